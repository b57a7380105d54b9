"""Precision and recall of retrieved contexts, as ragas defines them."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["context_precision", "context_recall"]


def context_precision(relevant: Iterable[int]) -> float:
    """Return how far up the useful contexts stand, from 0 to 1.

    It is the mean, over the useful contexts, of the share of useful ones up to the place of each. Unlike
    `average_precision`, useful contexts that were not retrieved do not count. 0 if no context is useful.

    Args:
        relevant: A 1 or a 0 for each retrieved context, the best ranked first: whether it is useful for the answer.

    Raises:
        TypeError: `relevant` is a string.
        ValueError: Something else than 0 and 1 is in the list.

    Source: ragas 0.4, context precision.

    Example:
        >>> from llmops_sdk.evals.metrics import context_precision
        >>> round(context_precision([1, 0, 1]), 4)
        0.8333
    """
    found = 0
    parts: list[float] = []
    for rank, mark in enumerate(_marks(relevant, "relevant"), 1):
        if mark:
            found += 1
            parts.append(found / rank)
    return math.fsum(parts) / found if found else 0.0


def context_recall(attributed: Iterable[int]) -> float | None:
    """Return the share of the right answer's statements that the contexts support, from 0 to 1.

    Args:
        attributed: A 1 or a 0 for each statement of the right answer: whether the contexts support it.

    Returns:
        None if there is no statement, where ragas returns NaN: count such items as skipped.

    Raises:
        TypeError: `attributed` is a string.
        ValueError: Something else than 0 and 1 is in the list.

    Source: ragas 0.4, context recall.

    Example:
        >>> from llmops_sdk.evals.metrics import context_recall
        >>> context_recall([1, 1, 0, 1])
        0.75
    """
    marks = _marks(attributed, "attributed")
    return sum(marks) / len(marks) if marks else None


def _marks(values: Iterable[int], name: str) -> list[bool]:
    if isinstance(values, str | bytes):
        raise TypeError(f"{name} is a string: give a list of 0 and 1")
    found: list[bool] = []
    for index, value in enumerate(values):
        if not isinstance(value, int | float) or value not in {0, 1}:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{name}[{index}] is {value!r}: give 0 or 1, and leave out what was not judged")
        found.append(bool(value))
    return found
