"""Send spans, scores and metrics to OTLP backends and the console.

Doors for other packages: `_delivery`, `_destinations`, `_filter`, `_sizes`, `_threads`.
"""
