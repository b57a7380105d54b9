"""The watcher: evaluate what the configuration asks for, keep states, tell people, and say what would have been.

Doors for other packages: `_problems`, `_silences`, `_start`.
"""
