"""The views of evaluation: data sets."""
