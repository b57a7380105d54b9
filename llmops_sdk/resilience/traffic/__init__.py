"""Control the traffic to each deployment of a model: the stage with its limits, breaker and budgets, and its events."""
