"""`llmops eval …`: run, compare, gate, report and list experiments."""
