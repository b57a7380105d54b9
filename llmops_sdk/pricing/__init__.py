"""Prices of models: find the price of a model, and compute the cost of a call.

Providers price the SDK's own calls with it, and the store the calls that other libraries made.
Doors for other packages: `_builtin`, `_cost`, `_find`.
"""
