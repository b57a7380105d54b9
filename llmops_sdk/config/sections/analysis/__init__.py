"""The settings of what reads the stored traces: evaluators, checks for drift, canaries, rules and objectives."""
