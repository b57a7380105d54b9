"""Run one statement in a thread, under a lease.

Doors for other packages: `_own_rows`.
"""
