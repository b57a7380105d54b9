"""`llmops watch` and `llmops alerts`: evaluate rules, list their states, silence them, and try them."""
