"""The retry budget keeps retries from making an outage worse. All calls of a process to one server share it."""

from __future__ import annotations

import functools
import threading

__all__ = ["RetryBudget", "budget_of", "forget_budgets"]

# The token costs of botocore's standard mode.
_COST = 14.0
_THROTTLED_COST = 5.0
_FIRST_TRY_REFUND = 1.0

_lock = threading.Lock()


class RetryBudget:
    """Tokens that retries take and successes give back.

    A retry takes 14 tokens, or 5 after a 429, and gives them back when it succeeds; a call that needs no retry gives
    back 1. So short failures cost nothing, and in an outage 500 tokens allow 35 retries (18 calls of three attempts),
    whatever the number of callers.

    Args:
        size: The number of tokens at first and at most.

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
        """Take the tokens of a retry and return their number; None when too few are left for a retry."""
        cost = _THROTTLED_COST if throttled else _COST
        with self._lock:
            if cost > self._left:
                return None
            self._left -= cost
            return cost

    def give(self, cost: float | None = None) -> None:
        """Give back the tokens of a retry that succeeded, or 1 for a call that needed no retry."""
        with self._lock:
            self._left = min(self._size, self._left + (_FIRST_TRY_REFUND if cost is None else cost))


@functools.lru_cache(maxsize=1_024)
def _budget(_server: str, size: float) -> RetryBudget:
    return RetryBudget(size)


def budget_of(server: str, size: float | None) -> RetryBudget | None:
    """Return the process's budget of that size for a server, or for a model of an unknown server; None means none."""
    if size is None:
        return None
    with _lock:  # two threads must get the same budget
        return _budget(server, size)


def forget_budgets() -> None:
    """Refill every budget: a test's failures are deliberate, and must not affect the next test."""
    _budget.cache_clear()
