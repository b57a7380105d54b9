"""P-values adjusted for many tests at once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from llmops_sdk.stats._inputs import finite_values, probability

__all__ = ["benjamini_hochberg", "holm"]


def holm(p_values: Iterable[float]) -> list[float]:
    """Return p-values adjusted so that the chance of any false finding is bounded.

    Reject where the adjusted value is at most alpha: the chance that even one rejection is false is then at most
    alpha, whatever the dependence between the tests. Use it for a gate.

    Args:
        p_values: From 0 to 1, one a test. The result has the same order.

    Raises:
        ValueError: There is none, or one is not from 0 to 1.

    Example:
        >>> from llmops_sdk.stats import holm
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    values, order = _sorted(p_values)
    m = len(values)
    stepped = accumulate(((m - rank) * values[index] for rank, index in enumerate(order)), max)
    return _in_order(stepped, order)


def benjamini_hochberg(p_values: Iterable[float]) -> list[float]:
    """Return p-values adjusted so that the expected share of false findings is bounded.

    Reject where the adjusted value is at most alpha: of the rejections, at most the share alpha is false on average,
    if the tests are independent or positively dependent. Use it for a screen over many signals.

    Args:
        p_values: From 0 to 1, one a test. The result has the same order.

    Raises:
        ValueError: There is none, or one is not from 0 to 1.

    Example:
        >>> from llmops_sdk.stats import benjamini_hochberg
        >>> [round(p, 3) for p in benjamini_hochberg([0.01, 0.04, 0.03])]
        [0.03, 0.04, 0.04]

    Source: Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", J. R. Statist. Soc. B 57 (1995).
    """
    values, order = _sorted(p_values)
    order.reverse()
    m = len(values)
    stepped = accumulate((m / (m - rank) * values[index] for rank, index in enumerate(order)), min)
    return _in_order(stepped, order)


def _sorted(p_values: Iterable[float]) -> tuple[list[float], list[int]]:
    """Return the checked values, and their indexes from the smallest value to the largest."""
    values = finite_values(p_values, "p_values")
    for index, value in enumerate(values):
        probability(value, f"p_values[{index}]", closed=True)
    return values, sorted(range(len(values)), key=values.__getitem__)


def _in_order(stepped: Iterable[float], order: list[int]) -> list[float]:
    adjusted = [0.0] * len(order)
    for index, value in zip(order, stepped, strict=True):
        adjusted[index] = min(1.0, value)
    return adjusted
