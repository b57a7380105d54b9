"""Decide from the nearest stored questions whether one of their answers serves a new question, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmops_sdk.caching.semantic._neighbours import Neighbour
from llmops_sdk.caching.semantic.lexical import Comparison

__all__ = ["Judged", "Verdict", "decide"]

_AGREEING = 3
"""How many of the nearest questions have a say; more of them agree less often and are hardly surer."""

# logit = bias + the comparison's own logit + agreement of the others with the best + distance to the first rival.
# Fitted by benchmarks/caching_fit.py on the training half of BANKING77 and the visible half of fow.
_BIAS, _OWN, _AGREE, _MARGIN = -1.0, 1.0, 1.0, 10.0
_NO_RIVAL = 0.15  # the distance to a rival that is not among the nearest
_WEAK = 0.02


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
    left = [pair for pair in compared if pair[1].decision != "different"]
    judged = tuple(Judged(one, found, _score(one, found, left)) for one, found in compared)
    able = [one for one in judged if one.comparison.decision != "different"]
    best = max(able, key=lambda one: (one.comparison.decision == "same", one.score), default=None)
    refused = next((one for one in judged if one.comparison.decision == "different"), None)
    return Verdict(best, refused, judged)


def _score(neighbour: Neighbour, comparison: Comparison, others: Sequence[tuple[Neighbour, Comparison]]) -> float:
    if comparison.decision == "different":
        return 0.0
    same = sum(other.group == neighbour.group for other, _ in others[:_AGREEING]) - 1
    rival = next((other.similarity for other, _ in others if other.group != neighbour.group), None)
    margin = _NO_RIVAL if rival is None else max(-_NO_RIVAL, min(_NO_RIVAL, neighbour.similarity - rival))
    own = min(max(comparison.score, _WEAK), 1.0 - _WEAK / 10)
    logit = _BIAS + _OWN * math.log(own / (1.0 - own)) + _AGREE * max(same, 0) + _MARGIN * margin
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))
