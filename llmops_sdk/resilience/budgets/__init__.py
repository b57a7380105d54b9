"""Keep the spending of calls within budgets of money or tokens: estimate it before a call, and correct it after."""
