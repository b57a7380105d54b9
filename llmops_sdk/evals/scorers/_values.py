"""Turn what a scorer returns into a score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from llmops_sdk.evals._types import Score
from llmops_sdk.evals.identity._digest import canonical

__all__ = ["score_of"]


def score_of(value: Any, threshold: float | None = None, *, higher_is_better: bool = True) -> Score | None:
    """Return the score that a scorer's return value means; None where the scorer does not apply.

    Args:
        value: A `Score`, a number, true or false, a label, or None.
        threshold: The value from which on an output passes, or None.
        higher_is_better: Whether values below the threshold fail; otherwise those above it.

    Raises:
        TypeError: It is something else, or a part of the score has another type.
        ValueError: It is not a finite number, or a score without a value and a label.
    """
    if value is None:
        return None
    score = _with_checked_parts(value) if isinstance(value, Score) else _plain_score(value)
    if score.value is not None:
        number = _finite(score.value)
        passed = score.passed
        if passed is None and threshold is not None:
            passed = number >= threshold if higher_is_better else number <= threshold
        if number is not score.value or passed is not score.passed:
            score = Score(
                value=number, label=score.label, comment=score.comment, passed=passed, metadata=score.metadata
            )
    elif score.label is None and score.passed is None:
        raise ValueError("the scorer returned a Score without value and label: return None where it does not apply")
    return score


def _plain_score(value: Any) -> Score:
    if isinstance(value, str):
        return Score(label=value)
    # A number of numpy, which is neither a float nor a bool.
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        value = item()
    if isinstance(value, bool):
        return Score(value=float(value), passed=value)
    if isinstance(value, int | float):
        return Score(value=value)
    raise TypeError(
        "a scorer returns a number, True or False, a label, None or a Score, "
        f"not {type(cast('object', value)).__name__}"
    )


def _with_checked_parts(score: Score) -> Score:
    """Return a score whose parts have their types: what a row of the store cannot hold is this scorer's failure.

    Raises:
        TypeError: A part has another type.
        ValueError: The metadata is no JSON.
    """
    for name in ("label", "comment"):
        part = getattr(score, name)
        if not isinstance(part, str | None):
            raise TypeError(f"the scorer returned a Score whose {name} is {type(part).__name__}: give a text or None")
    passed: Any = getattr(score.passed, "item", lambda: score.passed)()  # also a bool of numpy
    if not isinstance(passed, bool | None):
        raise TypeError(
            f"the scorer returned a Score whose passed is {type(passed).__name__}: give True, False or None"
        )
    metadata: Any = score.metadata
    if not isinstance(metadata, Mapping):
        raise TypeError(f"the scorer returned a Score whose metadata is {type(metadata).__name__}: give a mapping")
    if metadata:
        try:
            canonical(dict(cast("Mapping[Any, Any]", metadata)))
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"the scorer returned a Score whose metadata is no JSON: {error}") from error
    return score if passed is score.passed else replace(score, passed=passed)


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"the scorer returned {number}: return a finite number, or None where it does not apply")
    return number
