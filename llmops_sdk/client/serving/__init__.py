"""Open what serves a model below its retries: hedging, its deployments, and the traffic control of each of them.

Doors for other packages: `_watched_calls`.
"""
