"""`@trace` on functions, coroutines, generators and async generators.

Doors for other packages: `_trace`.
"""
