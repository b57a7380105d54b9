"""Service-level objectives: burn rates over several windows, rules for low traffic, and the budget that is left.

Doors for other packages: `_windows`.
"""
