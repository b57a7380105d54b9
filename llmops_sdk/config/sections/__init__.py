"""The settings themselves: frozen pydantic models, one docstring a field.

Doors for other packages: `_base`.
"""
