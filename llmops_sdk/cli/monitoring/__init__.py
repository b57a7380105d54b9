"""`llmops watch`, `llmops alerts …` and `llmops report`: monitoring on the command line."""
