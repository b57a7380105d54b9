"""Score a sample of the stored traces: each span once, within a daily budget.

Doors for other packages: `_online`.
"""
