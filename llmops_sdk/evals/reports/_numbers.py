"""Write numbers of reports as people read them."""

from __future__ import annotations

from llmops_sdk.stats import Interval

__all__ = ["MARKS", "change_text", "interval_text", "number", "p_text", "title"]

MARKS = {"better": "better", "worse": "WORSE", "undecided": "undecided"}
_NONE = "–"


def number(value: float | None) -> str:
    """Return a number with three decimals, or four digits where it is large or tiny; a dash for None."""
    if value is None:
        return _NONE
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"


def interval_text(interval: Interval | None) -> str:
    """Return an interval as `[low, high]`, or a dash."""
    return _NONE if interval is None else f"[{number(interval.low)}, {number(interval.high)}]"


def change_text(difference: float | None, interval: Interval | None) -> str:
    """Return a difference with its sign and its interval."""
    if difference is None:
        return _NONE
    sign = "+" if difference > 0 else ""
    return f"{sign}{number(difference)}" + ("" if interval is None else f" {interval_text(interval)}")


def p_text(value: float | None) -> str:
    """Return a p-value, or a dash; small ones as `< 0.001`."""
    if value is None:
        return _NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def title(scorer: str, part: str) -> str:
    """Return the name of a row: the scorer, and the slice if it has one."""
    return f"{scorer} ({part})" if part else scorer
