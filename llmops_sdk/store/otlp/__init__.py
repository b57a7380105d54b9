"""Read and write OTLP requests, JSON and protobuf, without their libraries' classes.

Doors for other packages: `_bounds`, `_read`.
"""
