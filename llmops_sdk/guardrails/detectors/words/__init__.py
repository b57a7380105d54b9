"""Find words and phrases of a list in texts, in any spelling."""
