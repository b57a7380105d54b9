"""Run a task over a data set: bounded, resumable, within a budget, and written down as it goes."""
