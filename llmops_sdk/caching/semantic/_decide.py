"""Decide from the nearest stored questions whether one of their answers serves a new question, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmops_sdk.caching.semantic._neighbours import Neighbour
from llmops_sdk.caching.semantic.lexical import Comparison

__all__ = ["COMPARED", "NEAREST", "Judged", "Verdict", "decide"]

_SOFT: frozenset[str] = frozenset({"content", "entity", "modifier", "paraphrase"})
"""Differences that may be only wording: labels can show that such answers are right. No other difference is served."""

COMPARED = 5
"""How many of the nearest questions are compared by their words."""

NEAREST = 8
"""How many of them show whether others with the same answer are near as well."""

_NO_RIVAL = 0.15
"""The distance to the nearest question with another answer, where none is among the nearest; also the largest."""

_SHARPNESS = 10.0
"""How fast the vote of a question falls with its distance: at .1 it has a third of the weight."""

# How likely the answer is right, as a sum that a logistic function turns into a share. Round numbers set by hand, with
# that half of BANKING77 in view on which the benchmark does not score (docs/decisions/0031-semantic-tier.md).
_BIAS = -5.0
_SIMILARITY = 4.0
_DISTANCE = 10.0
_SHARE = 3.0
_MATE = 1.0
_WORDS = 2.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A stored question beside a new one.

    Attributes:
        neighbour: The stored question.
        comparison: What the words say.
        score: How likely its answer serves, 0 to 1.
    """

    neighbour: Neighbour
    comparison: Comparison
    score: float

    @property
    def is_refused(self) -> bool:
        """Return whether the words say that the questions ask for different things."""
        return _is_refused(self.comparison)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The best of the nearest questions, or why there is none.

    Attributes:
        best: The question whose answer would serve, or None.
        refused: The nearest question that the words refuse, or None.
        all: Every question that was looked at, the nearest first.
    """

    best: Judged | None
    refused: Judged | None
    all: tuple[Judged, ...]


def decide(
    neighbours: Sequence[Neighbour], compare: Callable[[Neighbour], Comparison], compared: int = COMPARED
) -> Verdict:
    """Return the verdict on the nearest stored questions.

    Args:
        neighbours: The nearest first, at least `NEAREST` if there are so many.
        compare: Compares the new question with a stored one.
        compared: How many of them to compare; only these can serve.
    """
    found = [(neighbour, compare(neighbour)) for neighbour in neighbours[:compared]]
    judged = tuple(Judged(one, said, _score(one, said, neighbours)) for one, said in found)
    candidates = [one for one in judged if not one.is_refused]
    same = [one for one in candidates if one.comparison.decision == "same"]
    # The very text first: vectors of texts that differ in capitals may be equal.
    best = max(same, key=lambda one: one.comparison.score == 1.0, default=None)
    refused = next((one for one in judged if one.is_refused), None)
    return Verdict(best or next(iter(candidates), None), refused, judged)


def _is_refused(found: Comparison) -> bool:
    # The score knows nothing of what was said before: such a doubt stands.
    if found.reason == "history":
        return found.decision != "same"
    return found.decision == "different" and found.reason not in _SOFT


def _score(one: Neighbour, found: Comparison, nearest: Sequence[Neighbour]) -> float:
    """Return how likely the answer of a stored question is right."""
    if _is_refused(found):
        return 0.0
    same = [other for other in nearest if other.group == one.group]
    rival = next((other.similarity for other in nearest if other.group != one.group), None)
    distance = _NO_RIVAL if rival is None else max(-_NO_RIVAL, min(_NO_RIVAL, same[0].similarity - rival))
    votes = [math.exp(_SHARPNESS * (other.similarity - nearest[0].similarity)) for other in nearest]
    share = sum(vote for vote, other in zip(votes, nearest, strict=True) if other.group == one.group) / sum(votes)
    mate = next((max(0.0, other.similarity) for other in same if other is not one), 0.0)
    logit = _BIAS + _SIMILARITY * one.similarity + _DISTANCE * distance + _SHARE * share + _MATE * mate
    logit += _WORDS * found.score
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))
