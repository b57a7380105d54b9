"""Read every source of settings, merge them in order of precedence, and explain what is wrong.

Doors for other packages: `_environment`, `_keys`, `_resolve_model`, `_settings`.
"""
