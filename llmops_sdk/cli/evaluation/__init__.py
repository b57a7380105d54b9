"""`llmops eval …`: run, compare, gate and report experiments."""
