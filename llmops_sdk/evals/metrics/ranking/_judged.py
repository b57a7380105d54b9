"""A ranking and its relevance judgments, ordered and checked as trec_eval does."""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

__all__ = ["Judged", "Ranking", "Relevance", "cutoff", "judge"]

Ranking = Iterable[str] | Mapping[str, float]
"""Ids, the best first; or a score for each id."""
Relevance = Mapping[str, float] | Iterable[str]
"""A gain for each judged id, of which 0 is judged and not relevant; or the relevant ids."""


class Judged(NamedTuple):
    """The gain at each rank, and what there is to find.

    Attributes:
        gains: The gain of each place of the ranking. 0 for what is not relevant, None for what was not judged.
        ideal: The gains of all relevant ids, the largest first.
        not_relevant: How many ids were judged and are not relevant.
    """

    gains: list[float | None]
    ideal: list[float]
    not_relevant: int

    @property
    def hits(self) -> list[bool]:
        """Return whether each place has a relevant id."""
        return [gain is not None and gain > 0 for gain in self.gains]


def judge(ranking: Ranking, relevance: Relevance) -> Judged | None:
    """Return the gains of a ranking, or None if nothing was judged.

    Raises:
        TypeError: An id is no string, or a score or gain is no number.
        ValueError: A score or a gain is not finite.
    """
    gains = _gains(relevance)
    ids = _ordered(ranking)
    if not gains:
        return None
    found: list[float | None] = []
    seen: set[str] = set()
    for one in ids:
        # A repeat keeps its place and is not found a second time.
        found.append(None if one in seen else gains.get(one))
        seen.add(one)
    # trec_eval takes a negative gain for "was not judged".
    found = [None if gain is not None and gain < 0 else gain for gain in found]
    ideal = sorted((gain for gain in gains.values() if gain > 0), reverse=True)
    return Judged(found, ideal, sum(gain == 0 for gain in gains.values()))


def cutoff(k: int | None) -> int | None:
    """Return the number of places to look at.

    Raises:
        TypeError: `k` is no integer.
        ValueError: `k` is below 1.
    """
    if k is None:
        return None
    number = operator.index(k)
    if number < 1:
        raise ValueError(f"k is {number}: give an integer of at least 1, or None for the whole ranking")
    return number


def _gains(relevance: Relevance) -> dict[str, float]:
    if isinstance(relevance, str | bytes):
        raise TypeError("relevance is one string: give a set of ids, or a mapping of ids to gains")
    if not isinstance(relevance, Mapping):
        return dict.fromkeys(map(_id, relevance), 1.0)
    gains = cast("Mapping[str, float]", relevance)
    return {_id(one): _number(gain, "the gain", one) for one, gain in gains.items()}


def _ordered(ranking: Ranking) -> list[str]:
    if isinstance(ranking, str | bytes):
        raise TypeError("ranking is one string: give a list of ids, or a mapping of ids to scores")
    if not isinstance(ranking, Mapping):
        return [_id(one) for one in ranking]
    scores = cast("Mapping[str, float]", ranking)
    # trec_eval keeps scores in single precision, so that scores which differ later are ties.
    scored = [(ctypes.c_float(_number(score, "the score", _id(one))).value, one) for one, score in scores.items()]
    return [one for _, one in sorted(scored, reverse=True)]


def _id(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"an id is {type(value).__name__}, not a string")
    return value


def _number(value: float, what: str, one: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{what} of {one!r} is {number}: give a finite number")
    return number
