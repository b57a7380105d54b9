"""`llmops dataset`: create, list, show, compare, split and export data sets.

Doors for other packages: `_commands`.
"""
