"""The retry budget: what keeps retries from making an outage worse, shared by all calls of the process to one model."""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["RetryBudget", "budget_of", "forget_budgets"]

# Those of botocore's standard mode.
_COST = 14.0
_THROTTLED_COST = 5.0
_CLEAN = 1.0

_MOST = 1_024
_lock = threading.Lock()
_budgets: OrderedDict[tuple[str, float], RetryBudget] = OrderedDict()


class RetryBudget:
    """Tokens that retries cost and successes give back.

    A retry takes 14, or 5 after a 429; when it succeeds they come back, and a call that needs none gives 1. So what
    passes by itself costs nothing, and in an outage retries cease after 35 calls, whatever the number of callers.

    Args:
        size: How many tokens there are at first and at most.

    Example:
        >>> from llmops_sdk.resilience._budget import RetryBudget
        >>> budget = RetryBudget(20)
        >>> budget.take(throttled=False), budget.take(throttled=False), budget.take(throttled=True)
        (14.0, None, 5.0)
        >>> budget.give(14.0)
        >>> budget.take(throttled=False)
        14.0
    """

    def __init__(self, size: float) -> None:
        self._size = size
        self._left = size
        self._lock = threading.Lock()

    def take(self, *, throttled: bool) -> float | None:
        """What a retry costs, taken; None where there is too little, and no retry shall be made."""
        cost = _THROTTLED_COST if throttled else _COST
        with self._lock:
            if cost > self._left:
                return None
            self._left -= cost
            return cost

    def give(self, cost: float | None = None) -> None:
        """Give back what the retry that succeeded cost, or 1 for a call that needed none."""
        with self._lock:
            self._left = min(self._size, self._left + (_CLEAN if cost is None else cost))


def budget_of(model: str, size: float | None) -> RetryBudget | None:
    """The budget of a model, of that size; None is without bound.

    Args:
        model: Provider and model.
        size: The tokens.
    """
    if size is None:
        return None
    with _lock:
        found = _budgets.setdefault((model, size), RetryBudget(size))
        _budgets.move_to_end((model, size))
        if len(_budgets) > _MOST:
            _budgets.popitem(last=False)
        return found


def forget_budgets() -> None:
    """Have every budget whole again; for tests, whose failures are made."""
    with _lock:
        _budgets.clear()
