"""The streams and views of evaluation: data sets and experiments."""
