"""The live span: ids, parent, attributes, scores, and the blocks that open it.

Doors for other packages: `_active`, `_runtime`.
"""
