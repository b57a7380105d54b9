"""Metrics of rankings, with the values of trec_eval."""
