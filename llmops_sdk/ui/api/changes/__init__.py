"""What the page changes: scores, data sets and replays."""
