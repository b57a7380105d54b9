"""Count what of a sentence the documents do not contain, and turn the counts into the features of the model."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.grounding._evidence import Evidence
from llmops_sdk.grounding._words import NEGATIONS, sentences_of, words_of

__all__ = ["FEATURES", "MOST_SENTENCES", "Counts", "count_sentences", "features_of"]

MOST_SENTENCES = 50_000
"""The most sentences of an answer that are read."""
FEATURES = ("missing words", "missing triples", "missing pairs", "pairs of known words that are not near", "negations")
# The first unseen pair says more than the tenth.
_POWER = 1 / 3


@public("llmops_sdk.grounding")
class Counts(NamedTuple):
    """What a sentence has, and what of it the documents do not have."""

    start: int
    end: int
    weight: float
    missing_weight: float
    triples: int
    missing_triples: int
    pairs: int
    missing_pairs: int
    torn_pairs: int
    """Pairs of words that the documents have, but not near each other."""
    negated: int
    """1 if the sentence is negated and its place in the documents is not."""


def count_sentences(answer: str, evidence: Evidence) -> tuple[list[Counts], bool]:
    """Return the counts of each sentence that has content words, and whether sentences were left out."""
    found: list[Counts] = []
    for number, (start, end) in enumerate(sentences_of(answer)):
        if number == MOST_SENTENCES:
            return found, True
        counts = _count(answer[start:end], start, end, evidence)
        if counts is not None:
            found.append(counts)
    return found, False


def _count(text: str, start: int, end: int, evidence: Evidence) -> Counts | None:
    stems, weights = words_of(text)
    total = sum(weights)
    if not total:
        return None
    known = evidence.words
    missing = sum([weight for stem, weight in zip(stems, weights, strict=True) if weight and stem not in known])
    content = [stem for stem, weight in zip(stems, weights, strict=True) if weight]
    triples = list(zip(stems, stems[1:], stems[2:], strict=False))
    far = [pair for pair in pairwise(content) if pair not in evidence.pairs and pair[::-1] not in evidence.pairs]
    return Counts(
        start,
        end,
        total,
        missing,
        len(triples),
        sum([triple not in evidence.triples for triple in triples]),
        max(0, len(content) - 1),
        len(far),
        sum([one in known and other in known for one, other in far]),
        int(not NEGATIONS.isdisjoint(stems) and not evidence.negates(content)),
    )


def features_of(counts: Iterable[Counts]) -> tuple[float, ...]:
    """Return the features of some sentences taken together, each from 0 to 1, in the order of `FEATURES`."""
    sentences = 0
    weight = missing = 0.0
    triples = missing_triples = pairs = missing_pairs = torn = negated = 0
    for one in counts:
        sentences += 1
        weight += one.weight
        missing += one.missing_weight
        triples += one.triples
        missing_triples += one.missing_triples
        pairs += one.pairs
        missing_pairs += one.missing_pairs
        torn += one.torn_pairs
        negated += one.negated
    return (
        missing / weight if weight else 0.0,
        (missing_triples / triples) ** _POWER if triples else 0.0,
        (missing_pairs / pairs) ** _POWER if pairs else 0.0,
        (torn / pairs) ** _POWER if pairs else 0.0,
        negated / sentences if sentences else 0.0,
    )
