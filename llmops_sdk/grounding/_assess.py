"""The model: a logistic regression on five features, with fixed weights.

`tools/train_grounding.py` fitted the weights to two sets that were labelled by people: SummEval (MIT; 98 news articles
with 16 systems' summaries) and BEGIN's Wizard of Wikipedia (CC BY 4.0; answers of four dialogue systems to a sentence
of knowledge). No weight may be negative, so a sentence with more that is unknown never scores as better grounded.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.grounding._evidence import MOST_READ, Evidence
from llmops_sdk.grounding._features import count_sentences, features_of

__all__ = ["GROUNDED_THRESHOLD", "Assessment", "Sentence", "assess"]

# In the order of FEATURES. Printed by tools/train_grounding.py.
_WEIGHTS = (4.0306, 0.7157, 0.5426, 2.117, 1.2828)
_INTERCEPT = -1.5182
GROUNDED_THRESHOLD = 0.5
"""A sentence with at least this score counts as not grounded."""


@public("llmops_sdk.grounding")
class Sentence(NamedTuple):
    """A sentence of an answer."""

    start: int
    end: int
    score: float
    """From 0 to 1; higher is less grounded. 0 if the documents have every word, pair and triple of the sentence."""


@public("llmops_sdk.grounding")
class Assessment(NamedTuple):
    """What a comparison found."""

    score: float
    """From 0 to 1; higher is less grounded. 0 for an answer without content words."""
    sentences: tuple[Sentence, ...]
    """The sentences that have content words."""
    truncated: bool
    """Whether a part of the answer or of the documents was left out."""


def assess(answer: str, evidence: Evidence) -> Assessment:
    """Compare an answer with documents.

    Args:
        answer: The text; its first million characters and 50,000 sentences are read.
        evidence: The documents.

    Example:
        >>> from llmops_sdk.grounding import Evidence, assess
        >>> found = assess("Ada wrote notes. Bob moved to Paris.", Evidence(["Ada wrote notes in 1843."]))
        >>> [(one.start, one.end, one.score > 0.5) for one in found.sentences]
        [(0, 16, False), (17, 36, True)]
    """
    counts, is_cut = count_sentences(answer[:MOST_READ], evidence)
    sentences = tuple(Sentence(one.start, one.end, _score(features_of([one]))) for one in counts)
    return Assessment(
        _score(features_of(counts)) if counts else 0.0,
        sentences,
        is_cut or evidence.truncated or len(answer) > MOST_READ,
    )


def _score(features: tuple[float, ...]) -> float:
    if not any(features):
        return 0.0
    return 1 / (1 + math.exp(-_INTERCEPT - sum(map(math.prod, zip(_WEIGHTS, features, strict=True)))))
