"""Keep spans until a backend acknowledges them, and send them again.

Doors for other packages: `_outbox`.
"""
