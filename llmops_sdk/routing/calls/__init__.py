"""Decide about live calls: what models can take, rules, the trained router, exploration, and what is recorded.

Doors for other packages: `_call_router`, `_cascade`, `_facts`.
"""
