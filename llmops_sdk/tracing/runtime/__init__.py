"""The bounded queue and its background thread: start, flush, fork, exit and SIGTERM.

Doors for other packages: `_start`.
"""
