"""The files of data sets: one of items for each version, and a small one that describes it.

Retention leaves them alone, and `prune` erases items in them.

Doors for other packages: `_names`, `_versions`, `_write`.
"""
