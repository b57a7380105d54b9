"""`llmops route …`: train, report and simulate routers, and explain their decisions."""
