"""Compaction, sampling of old traces, retention and prune, also in the background process.

Doors for other packages: `_places`.
"""
