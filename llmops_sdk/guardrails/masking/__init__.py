"""Reversible placeholders: what the model sees instead of a value, and the way back.

Doors for other packages: `_masks`, `_restore`.
"""
