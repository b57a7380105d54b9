"""What the patterns of personal data find, before overlaps are resolved."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
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
    chosen: list[Found] = []
    touching: list[Found] = []
    end = 0
    for one in sorted(found, key=_BY_START):
        if one.start < end:
            touching.append(one)
            end = max(end, one.end)
        else:
            chosen += _surest(touching)
            touching = [one]
            end = one.end
    return chosen + _surest(touching)


_BY_START = attrgetter("start")


def _surest(touching: list[Found]) -> list[Found]:
    if len(touching) < 2:
        return touching
    if len(touching) == 2:
        return [min(touching, key=_rank)]
    base = touching[0].start
    taken = bytearray(max(one.end for one in touching) - base)
    chosen: list[Found] = []
    for one in sorted(touching, key=_rank):
        first, last = one.start - base, one.end - base
        if 1 not in taken[first:last]:
            chosen.append(one)
            taken[first:last] = b"\1" * (last - first)
    return sorted(chosen, key=_BY_START)


def _rank(one: Found) -> tuple[float, int, int]:
    return -one.score, one.start - one.end, one.start
