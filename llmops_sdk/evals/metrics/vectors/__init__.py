"""Metrics of texts by vectors of the texts or of their tokens."""
