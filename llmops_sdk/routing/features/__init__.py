"""Turn a prompt into numbers: what a person asks, its form, and its words."""
