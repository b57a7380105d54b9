"""Write the figures of a report as people read them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

from llmops_sdk._documents import Cell, one_line

__all__ = [
    "Direction",
    "Verdict",
    "count",
    "ms",
    "name",
    "percent",
    "points",
    "read_labels",
    "relative",
    "several",
    "signed",
    "trace_ids",
    "usd",
    "verdict",
    "verdict_cell",
    "with_interval",
]

Direction: TypeAlias = Literal["up_is_bad", "up_is_good", "neutral"]
Verdict: TypeAlias = Literal["worse", "better", "more", "less", "no clear change", "not enough data"]

_NONE = "–"
_LONGEST_NAME = 80
_MOST_TRACES = 3
_CLASSES: Mapping[Verdict, str] = {"worse": "bad", "better": "good"}


def count(value: float | None) -> str:
    """Return a number of things."""
    return _NONE if value is None else f"{value:,.0f}"


def several(number: float, one: str, more: str) -> str:
    """Return a number with the words for one thing, or for several."""
    return f"{count(number)} {one if number == 1 else more}"


def usd(value: float | None) -> str:
    """Return an amount of money, with enough digits for the cost of a call."""
    if value is None:
        return _NONE
    digits = 2 if value == 0 or abs(value) >= 1 else min(2 - math.floor(math.log10(abs(value))), 7)
    return f"{value:,.{digits}f} USD"


def ms(value: float | None) -> str:
    """Return a duration that is given in milliseconds."""
    if value is None:
        return _NONE
    return f"{value:.0f} ms" if abs(value) < 1_000 else f"{value / 1_000:.2f} s"


def percent(value: float | None) -> str:
    """Return a share."""
    if value is None:
        return _NONE
    hundred = 100 * value
    if abs(hundred) >= 1_000:
        return f"{hundred:,.0f} %"
    return f"{hundred:.2f} %" if 0 < abs(hundred) < 1 else f"{hundred:.1f} %"


def points(value: float | None) -> str:
    """Return a difference of shares, in percentage points."""
    return _NONE if value is None else f"{100 * value:+.2f} pp"


def relative(value: float | None) -> str:
    """Return a change as a share of what was before, with its sign."""
    return _NONE if value is None else f"{100 * value:+.1f} %"


def signed(text: Callable[[float | None], str]) -> Callable[[float | None], str]:
    """Return a function that writes a number as `text` does, and a plus sign before one above 0."""
    return lambda value: ("+" if value is not None and value > 0 else "") + text(value)


def with_interval(estimate: Mapping[str, Any] | None, text: Callable[[float | None], str]) -> str:
    """Return a figure with its interval.

    Args:
        estimate: `value`, `low` and `high`.
        text: Writes a number.
    """
    if estimate is None or estimate["value"] is None:
        return _NONE
    if estimate["low"] is None:
        return text(estimate["value"])
    return f"{text(estimate['value'])} ({text(estimate['low'])} to {text(estimate['high'])})"


def verdict(change: Mapping[str, Any] | None, direction: Direction) -> Verdict:
    """Return what a change means: its interval is above 0, below 0, or holds 0.

    Args:
        change: `value`, `low` and `high`; None for no comparison.
        direction: Which way is bad.
    """
    if change is None or change["low"] is None:
        return "not enough data"
    if change["low"] <= 0 <= change["high"]:
        return "no clear change"
    is_up = change["low"] > 0
    if direction == "neutral":
        return "more" if is_up else "less"
    return "worse" if is_up == (direction == "up_is_bad") else "better"


def verdict_cell(found: Verdict) -> Cell:
    """Return a cell with a verdict in its colour."""
    return Cell(found, _CLASSES.get(found, ""))


def name(value: object, longest: int = _LONGEST_NAME) -> str:
    """Return a name from the data as one short line without control characters.

    Args:
        value: The name; None is a dash.
        longest: The most characters.
    """
    return _NONE if value is None else one_line(str(value), longest)


def trace_ids(ids: Sequence[str | None] | None) -> Cell:
    """Return a cell with the first ids of traces."""
    return Cell(" ".join(name(one) for one in list(ids or ())[:_MOST_TRACES] if one) or _NONE, "id")


def read_labels(text: str | None) -> dict[str, str]:
    """Return the labels of an alert or a slice; none where the text is no JSON object.

    Args:
        text: A JSON object, or None.
    """
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    labels = cast("dict[Any, Any]", found) if isinstance(found, dict) else {}
    return {str(key): str(value) for key, value in labels.items()}
