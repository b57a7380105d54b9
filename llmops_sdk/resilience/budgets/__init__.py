"""Keep the spending of calls within budgets of money or tokens: estimate it before a call, and correct it after.

Doors for other packages: `_estimate`, `_scopes`, `_spent`.
"""

from llmops_sdk.resilience.budgets._decorator import budget

__all__ = ["budget"]
