"""What processes and machines share: the server of `[shared]`, and the state of limits and budgets.

Doors for other packages: `_local`, `_server`, `_state`.
"""
