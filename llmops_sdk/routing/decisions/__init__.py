"""Decide what the predictions are good for: which scores to believe, and where a cheaper model is good enough."""
