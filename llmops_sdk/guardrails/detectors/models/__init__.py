"""Detectors that ask something larger: a model as a judge, a classifier in a file, Presidio, a function of yours."""
