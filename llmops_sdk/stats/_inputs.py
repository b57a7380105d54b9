"""Checks of arguments that every module here shares, and the sums of clusters."""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Iterable

__all__ = ["cluster_sums", "count", "finite", "finite_values", "positive", "probability"]


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


def finite_values(values: Iterable[float], name: str) -> list[float]:
    """Return the values as floats, or raise a ValueError for an empty sample, a NaN or an infinity."""
    numbers = [float(value) for value in values]
    if not numbers:
        raise ValueError(f"{name} is empty: give at least one value")
    for index, number in enumerate(numbers):
        if not math.isfinite(number):
            raise ValueError(f"{name}[{index}] is {number}: remove missing values and report how many there were")
    return numbers


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
