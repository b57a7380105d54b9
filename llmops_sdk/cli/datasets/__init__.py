"""`llmops dataset`: create, list, show, compare, split and export data sets."""
