"""What processes and machines share: the server of `[shared]`, and the state of limits and budgets.

Doors for other packages: `_decisions`, `_local`, `_open`, `_postgres_server`, `_redis_server`, `_server`, `_state`.
"""
