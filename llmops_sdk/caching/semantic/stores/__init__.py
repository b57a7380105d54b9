"""Stores of the semantic tier on servers. Its names serve `caching.semantic`."""
