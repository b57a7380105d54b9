"""Decide from the nearest stored questions whether one of their answers serves a new question, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmops_sdk.caching.semantic._neighbours import Neighbour
from llmops_sdk.caching.semantic.lexical import Comparison

__all__ = ["Judged", "Verdict", "decide"]

_SOFT: frozenset[str] = frozenset({"content", "entity", "modifier", "paraphrase"})
"""Differences that may be only wording: labels can show that such answers are right. No other difference is served."""

_AGREEING = 3
"""How many of the nearest questions show whether the best one's answer is common among them."""

_NO_RIVAL = 0.15
"""The distance to the nearest question with another answer, where none is among the nearest; also the largest."""

# A logistic model of whether the answer is right, fitted by benchmarks/caching_fit.py on half of BANKING77's questions.
_BIAS, _SIMILARITY = -5.03, 4.97
_ONE_AGREES, _TWO_AGREE, _ALL_BUT_ONE, _ALL = 1.17, 0.11, 2.08, 1.12
_RIVAL, _BEHIND = 5.35, -8.36
_WORDING, _DIFFERS = 2.19, 0.65


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


def decide(neighbours: Sequence[Neighbour], compare: Callable[[Neighbour], Comparison]) -> Verdict:
    """Return the verdict on the nearest stored questions.

    Args:
        neighbours: The nearest first.
        compare: Compares the new question with a stored one.
    """
    compared = [(neighbour, compare(neighbour)) for neighbour in neighbours]
    # Questions that the words refuse have no say in how well the others agree.
    able = [pair for pair in compared if not _is_refused(pair[1])]
    judged = tuple(Judged(one, found, _score(one, found, neighbours, able)) for one, found in compared)
    candidates = [one for one in judged if not one.is_refused]
    best = next((one for one in candidates if one.comparison.decision == "same"), None)
    refused = next((one for one in judged if one.is_refused), None)
    return Verdict(best or next(iter(candidates), None), refused, judged)


def _is_refused(found: Comparison) -> bool:
    # The score knows nothing of what was said before: such a doubt stands.
    if found.reason == "history":
        return found.decision != "same"
    return found.decision == "different" and found.reason not in _SOFT


def _score(
    one: Neighbour, found: Comparison, nearest: Sequence[Neighbour], able: Sequence[tuple[Neighbour, Comparison]]
) -> float:
    """Return how likely the answer of a stored question is right."""
    if _is_refused(found):
        return 0.0
    others = [other for other, _ in able if other is not one]
    agreeing = sum(other.group == one.group for other, _ in able[:_AGREEING] if other is not one)
    everywhere = 1 + sum(other.group == one.group for other in nearest if other is not one)
    rival = next((other.similarity for other in others if other.group != one.group), None)
    distance = _NO_RIVAL if rival is None else max(-_NO_RIVAL, min(_NO_RIVAL, one.similarity - rival))
    logit = (
        _BIAS + _SIMILARITY * one.similarity + _RIVAL * distance + _BEHIND * (nearest[0].similarity - one.similarity)
    )
    logit += _ONE_AGREES * (agreeing >= 1) + _TWO_AGREE * (agreeing >= 2)
    logit += _ALL_BUT_ONE * (everywhere >= 4) + _ALL * (everywhere >= 5)
    logit += _WORDING * (found.decision == "same") + _DIFFERS * (found.decision == "different")
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))
