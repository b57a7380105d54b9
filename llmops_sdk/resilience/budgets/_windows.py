"""The time windows of budgets, in UTC: pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from llmops_sdk.config import BudgetSettings

__all__ = ["Window", "window_at"]

_SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
# The epoch was a Thursday; weeks begin on Monday.
_FIRST_MONDAY = 4 * 86_400.0


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a budget.

    Attributes:
        start: Its first instant, in seconds since the epoch; `-inf` for "total".
        end: The first instant of the next window; `inf` for "total".
    """

    start: float
    end: float

    @property
    def resets_at(self) -> float | None:
        """Return the end, or None for a window that never ends."""
        return None if self.end == math.inf else self.end


_TOTAL = Window(-math.inf, math.inf)


def window_at(settings: BudgetSettings, now: float) -> Window:
    """Return the window that is open at a time.

    Windows of seconds count from the epoch, so that all processes agree on them.

    Args:
        settings: The budget.
        now: Seconds since the epoch.

    Example:
        >>> from llmops_sdk.config import BudgetSettings
        >>> from llmops_sdk.resilience.budgets._windows import window_at
        >>> monthly = BudgetSettings(name="team", limit_usd=5, window="month")
        >>> window_at(monthly, 1_709_200_000.0).resets_at == 1_709_251_200.0  # 1 March 2024, 00:00 UTC
        True
    """
    unit = settings.window
    if unit == "total":
        return _TOTAL
    if unit == "month":
        # Whole seconds: a time just before midnight must not be rounded to it.
        first = datetime.fromtimestamp(math.floor(now), UTC).replace(day=1, hour=0, minute=0, second=0)
        following = (first + timedelta(days=31)).replace(day=1)
        return Window(first.timestamp(), following.timestamp())
    offset = _FIRST_MONDAY if unit == "week" else 0.0
    length = 7 * _SECONDS["day"] if unit == "week" else _SECONDS[unit] if isinstance(unit, str) else unit
    start = math.floor((now - offset) / length) * length + offset
    # A rounding error of a division by a length such as 0.1 must not give a window that does not hold the time.
    if start + length <= now:
        start += length
    return Window(start, start + length)
