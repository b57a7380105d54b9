"""Spans of other libraries, the application's own TracerProvider, and W3C propagation.

Doors for other packages: `_convert`, `_foreign_span`.
"""
