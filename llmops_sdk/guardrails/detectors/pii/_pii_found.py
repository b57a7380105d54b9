"""What the patterns of personal data find, before overlaps are resolved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Found", "without_overlaps"]


class Found(NamedTuple):
    """A place in a text."""

    score: float
    start: int
    end: int
    kind: str


def without_overlaps(found: Iterable[Found]) -> list[Found]:
    """Return the findings in order and without overlap: the surest stay, and of equally sure ones the longest.

    Example:
        >>> without_overlaps([Found(0.6, 0, 9, "PHONE"), Found(0.9, 4, 8, "IP")])
        [Found(score=0.9, start=4, end=8, kind='IP')]
    """
    ranked = sorted(found, key=lambda one: (-one.score, one.start - one.end, one.start))
    if len(ranked) < 2:
        return ranked
    taken = bytearray(max(one.end for one in ranked))
    chosen: list[Found] = []
    for one in ranked:
        if 1 not in taken[one.start : one.end]:
            chosen.append(one)
            taken[one.start : one.end] = b"\1" * (one.end - one.start)
    return sorted(chosen, key=lambda one: one.start)
