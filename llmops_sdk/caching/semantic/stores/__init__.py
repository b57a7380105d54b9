"""Stores of the semantic tier: on this disk and on a server. Its names serve `caching.semantic`."""
