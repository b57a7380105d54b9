"""Score a sample of the stored traces: each span once, within a daily budget."""
