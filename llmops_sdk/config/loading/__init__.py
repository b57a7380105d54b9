"""Read every source of settings, merge them by precedence, and report problems.

Doors for other packages: `_environment`, `_files`, `_guard_options`, `_load`, `_prices`, `_trust`, `_trust_list`.
"""
