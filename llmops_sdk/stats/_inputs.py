"""Checks of arguments that every module here shares, and the sums of clusters."""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Iterable

from llmops_sdk.errors import MissingScoreError

__all__ = ["cluster_sums", "count", "finite", "finite_values", "positive", "probability", "score"]

_REMOVE_MISSING = "remove missing values and report how many there were"
_LARGEST = 1e150  # squares of larger values are no floats


def finite(value: float, name: str) -> float:
    """Return `value` as a float, or raise a ValueError that names the argument."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}: give a finite number")
    return number


def positive(value: float, name: str) -> float:
    """Return `value` as a finite float above 0, or raise a ValueError that names the argument."""
    number = finite(value, name)
    if number <= 0:
        raise ValueError(f"{name} is {number}: give a number above 0")
    return number


def finite_values(values: Iterable[float | None], name: str, *, missing: str = _REMOVE_MISSING) -> list[float]:
    """Return the values as floats, or raise an error for an empty sample or a value that is no ordinary number.

    Args:
        values: Numbers; a bool counts as 0 or 1.
        name: The argument, for the error.
        missing: What to do about None and NaN, for the error.

    Raises:
        MissingScoreError: A value is None or NaN.
        ValueError: There is no value, or one is infinite or so large that its square is no float.
        TypeError: A value is no number.
    """
    if isinstance(values, str | bytes):
        raise TypeError(f"{name} is a text: give a sequence of numbers")
    numbers = [score(value, name, index, missing=missing) for index, value in enumerate(values)]
    if not numbers:
        raise ValueError(f"{name} is empty: give at least one value")
    return numbers


def score(value: float | None, name: str, index: int | None = None, *, missing: str = _REMOVE_MISSING) -> float:
    """Return `value` as a float, or raise an error as `finite_values` does."""
    place = name if index is None else f"{name}[{index}]"
    if value is None or value != value:  # noqa: PLR0124 - only NaN differs from itself
        raise MissingScoreError(f"{place} is {value}: {missing}", argument=name, index=index)
    if isinstance(value, str | bytes):
        raise TypeError(f"{place} is a text: give a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not -_LARGEST <= number <= _LARGEST:
        raise ValueError(f"{place} is {number}: give finite numbers up to {_LARGEST:g}")
    return number


def probability(value: float, name: str, *, closed: bool = False) -> float:
    """Return `value` as a float between 0 and 1, or raise a ValueError.

    Args:
        value: The number.
        name: The argument, for the error.
        closed: Whether 0 and 1 themselves are allowed.
    """
    number = float(value)
    if 0 < number < 1 or (closed and number in {0.0, 1.0}):
        return number
    bounds = "from 0 to 1" if closed else "above 0 and below 1"
    raise ValueError(f"{name} is {number}: give a number {bounds}, such as 0.05")


def count(value: int, name: str, *, least: int = 0) -> int:
    """Return `value` as an int of at least `least`; a float raises a TypeError."""
    number = operator.index(value)
    if number < least:
        raise ValueError(f"{name} is {number}: give an integer of at least {least}")
    return number


def cluster_sums(values: list[float], clusters: Iterable[Hashable]) -> tuple[list[float], list[int]]:
    """Return the sum of the values and the number of values of each cluster, in the order of first appearance."""
    labels = list(clusters)
    if len(labels) != len(values):
        raise ValueError(f"there are {len(values)} values and {len(labels)} cluster labels: give one label a value")
    sums: dict[Hashable, float] = {}
    sizes: dict[Hashable, int] = {}
    for label, value in zip(labels, values, strict=True):
        sums[label] = sums.get(label, 0.0) + value
        sizes[label] = sizes.get(label, 0) + 1
    if len(sums) < 2:
        raise ValueError("every value is in the same cluster: give at least two clusters")
    return list(sums.values()), list(sizes.values())
