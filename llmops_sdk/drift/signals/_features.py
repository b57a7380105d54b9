"""Make a row of the report of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from llmops_sdk.drift._contrast import Contrast
from llmops_sdk.drift._report import Feature, Status
from llmops_sdk.drift.signals._frame import Column, Compared
from llmops_sdk.stats import Interval

__all__ = ["feature_of", "missing"]

_LONGEST_NAME = 60
_PLAIN_NAMES = {"novelty": "the weight of novel texts", "oov": "the share of unknown words"}


def missing(signal: str, reason: str) -> Feature:
    """Return the row of a signal that could not be compared."""
    return Feature(signal=signal, status="not_enough_data", reason=reason)


def feature_of(
    signal: str,
    column: Column,
    part: Mapping[str, str],
    compared: Compared | None,
    *,
    status: str,
    cause: str | None,
    adjusted: float | None,
    min_n: int,
) -> Feature:
    """Return the row of a signal of a slice.

    Args:
        signal: Its name.
        column: Its values.
        part: The slice.
        compared: The comparison, or None where a window has no value.
        status: What follows from it.
        cause: What changed, where that is known.
        adjusted: The adjusted p-value.
        min_n: The fewest independent values.
    """
    known = cast("Status", status)
    if compared is None:
        reason = "there are no values in one of the windows, or none in the same hours of both"
        return Feature(signal=signal, slice=dict(part), status="not_enough_data", reason=reason)
    found = compared.found
    shown = _typical(found) if column.scale == "log" else found
    details: dict[str, Any] = {
        "reference_mean": shown.reference_mean, "current_mean": shown.current_mean,
    }  # fmt: skip
    if compared.category is not None:
        details["category"] = compared.category
    reason = _reason(signal, column, shown, compared)
    if status == "not_enough_data":
        before, after = (one.by_design for one in compared.sizes)
        reason = f"the windows are worth {before:.0f} and {after:.0f} independent values, and {min_n} are needed"
    elif status == "ours":
        reason += f"; the {str(cause).replace('_', ' ')} changed, and calls that kept theirs do not show it"
    limits = shown.interval
    return Feature(
        signal=signal,
        slice=dict(part),
        status=known,
        reason=reason,
        effect=shown.effect,
        interval=limits if math.isfinite(limits.low) and math.isfinite(limits.high) else None,
        p_value=found.p_value,
        adjusted_p_value=adjusted,
        reference_n=compared.reference_n,
        current_n=compared.current_n,
        effective_n=round(compared.sizes[1].effective, 1),
        cause=cause,
        details=details,
    )


def _typical(found: Contrast) -> Contrast:
    """Return a comparison of logarithms in the signal's own unit: of the geometric means."""
    before = math.exp(min(found.reference_mean, 700.0))

    def change(step: float) -> float:
        return before * math.expm1(step) if step < 600 else math.inf

    interval = Interval(change(found.interval.low), change(found.interval.high))
    return Contrast(change(found.effect), interval, found.p_value, before, before + change(found.effect))


def _reason(signal: str, column: Column, found: Contrast, compared: Compared) -> str:
    before, after = found.reference_mean, found.current_mean
    if column.scale == "category":
        name = str(compared.category)[:_LONGEST_NAME]
        return f"{signal} {name!r} had a share of {before:.1%}, now {after:.1%}"
    if column.scale == "share" or signal == "oov":
        return f"{_PLAIN_NAMES.get(signal, signal)} went from {before:.2%} to {after:.2%}"
    if column.scale == "log":
        ratio = after / before - 1 if before else 0.0
        unit = f" {column.unit}" if column.unit else ""
        return f"the typical {signal} went from {before:.4g} to {after:.4g}{unit} ({ratio:+.0%})"
    return f"{_PLAIN_NAMES.get(signal, f'the mean of {signal}')} went from {before:.4g} to {after:.4g}"
