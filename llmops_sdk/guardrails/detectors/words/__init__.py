"""Find words and phrases of a list in texts, in any spelling.

Doors for other packages: `_profanity`, `_topics`.
"""
