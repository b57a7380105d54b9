"""Scorers in plain Python: the decorator `@scorer`, and the named scorers over `llmops_sdk.evals.metrics`.

Doors for other packages: `_named`.
"""
