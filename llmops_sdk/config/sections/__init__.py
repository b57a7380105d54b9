"""The settings models: frozen pydantic models, one module per topic, one docstring per field."""
