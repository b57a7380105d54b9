"""Count events by the minute: from SQL over the store, kept in memory and in a small database of the watcher.

Doors for other packages: `_database`.
"""
