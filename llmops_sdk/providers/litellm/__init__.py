"""Calls to real models through litellm, the only package that imports it.

Doors for other packages: `_endpoint`.
"""
