"""Hold what a backend has not acknowledged yet, and send it again.

Doors for other packages: `_outbox`.
"""
