"""Tell what the results of a task or a scorer depend on, so that a run uses stored results only where nothing changed.

Doors for other packages: `_callable_identity`, `_digest`.
"""
