"""The budgets of decorators and blocks that are open around the code that runs here.

Every call asks whether there is one, so this module imports nothing of what a budget is: `budgets/_scopes.py` does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

__all__ = ["SCOPES", "open_scopes"]

SCOPES: ContextVar[tuple[Any, ...]] = ContextVar("llmops-budget-scopes", default=())

open_scopes: Callable[[], tuple[Any, ...]] = SCOPES.get
"""Return the budgets around the code that runs here, the outermost first; empty without any."""
