"""Run guards: their options, their order, and the bound on their time.

Doors for other packages: `_imported`.

Doors for the rest of `guardrails`: `_in_order`, `_options`, `_order`, `_pool`, `_runner`.
"""
