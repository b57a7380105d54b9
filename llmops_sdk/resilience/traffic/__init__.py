"""Control the traffic to each deployment of a model: the stage with its breaker, budgets and limits, and its state.

Doors for other packages: `_open`, `_scoped`.
"""
