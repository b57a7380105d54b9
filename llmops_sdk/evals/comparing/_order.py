"""Warn of items whose order carries information: neighbours are alike, so they are fewer than they look."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise

from llmops_sdk.stats import normal_quantile

__all__ = ["order_warnings"]

_FEWEST = 30  # items
_ALPHA = 0.001  # a warning of the order is rarely false


def order_warnings(expected: Sequence[object], differences: Sequence[float]) -> list[str]:
    """Return what a reader must know about the order of the items.

    Args:
        expected: What the data set expects of each item, in the data set's order.
        differences: The differences of a score, in the same order.
    """
    warnings: list[str] = []
    labels: list[Hashable] = [one if isinstance(one, Hashable) else repr(one) for one in expected]
    if _is_sorted_by_label(labels):
        warnings.append(
            "the items are sorted by what is expected of them: neighbours are alike. Give by= if they come in groups; "
            "the sequential test shuffles them"
        )
    if _are_serial(differences):
        warnings.append(
            "the differences of neighbouring items are alike: the items are not independent, so the interval is too "
            "narrow. Give by= with what they share, such as a document or a template"
        )
    return warnings


def _is_sorted_by_label(labels: Sequence[Hashable]) -> bool:
    """Test the number of runs of equal labels against random order (Barton and David's test for k categories)."""
    n = len(labels)
    counts = Counter(labels)
    if n < _FEWEST or not 1 < len(counts) <= n // 2:
        return False
    runs = 1 + sum(before != after for before, after in pairwise(labels))
    squares = sum(count**2 for count in counts.values())
    cubes = sum(count**3 for count in counts.values())
    mean = (n * (n + 1) - squares) / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
    return variance > 0 and (runs - mean) / math.sqrt(variance) < normal_quantile(_ALPHA)


def _are_serial(differences: Sequence[float]) -> bool:
    """Test the correlation of each difference with the next one against none."""
    n = len(differences)
    if n < _FEWEST:
        return False
    mean = math.fsum(differences) / n
    centred = [value - mean for value in differences]
    total = math.fsum(value * value for value in centred)
    if total == 0:
        return False
    lag = math.fsum(before * after for before, after in pairwise(centred)) / total
    return (lag + 1 / n) * math.sqrt(n) > normal_quantile(1 - _ALPHA)
