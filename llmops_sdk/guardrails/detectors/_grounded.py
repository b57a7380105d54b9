"""Find sentences of an answer that its documents do not contain, by words, names, numbers and word pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors.words._phrases import folded

__all__ = ["GroundedDetector"]

_MOST_READ = 1_000_000
"""The most characters of an answer, and of all its documents, that are read."""
_MOST_SENTENCES = 50_000
"""The most sentences of an answer that are read."""

_SENTENCE = re.compile(
    r"[^.!?\n\u3002\uff01\uff1f]++(?:[.!?\u3002\uff01\uff1f]++(?=[^\s\"')\]\u3002])[^.!?\n\u3002\uff01\uff1f]++)*+[.!?\u3002\uff01\uff1f]*+[\"')\]]*+"
)
_WORD = re.compile(r"[^\W\d_]++|\d++(?:[.,:]\d++)*+")
_STEM = 6
_PAIRS = 0.5
"""The weight of two neighbours, as a share of the weight of both words."""
_NEAR = 4
"""Two words are a pair of the documents if so few words lie between them, common ones not counted."""
_COMMON_TEXT = (
    "a about after all also an and any are as at be been before but by can could did do does for from had has "
    "have he her his how i if in into is it its more most no not of on or other our out over she so some than "
    "that the their them then there these they this to under up was we were what when where which while who will "
    "with would yes you your"
)
_COMMON = frozenset(_COMMON_TEXT.split())


class _Words(NamedTuple):
    """The words of a text: their stems in order, and how much each weighs."""

    stems: list[str]
    weights: list[float]


@public("llmops_sdk.guardrails.detectors")
class GroundedDetector:
    """Finds sentences of an answer that the documents of the call do not contain.

    It compares words, pairs of words, names and numbers; it knows no meaning. It finds invented names and numbers, and
    misses a sentence that says something else with the words of the documents; a paraphrase may be found although it
    is right. An answer without documents passes.

    The score is the largest share of a sentence that the documents do not contain, from 0 to 1. On 125 questions of
    HaluEval, the half that did not set the threshold, the default finds 89 % of the invented answers and none of the
    right ones (AUC .98). Those right answers are literal: calibrate the threshold on your own answers.

    Args:
        threshold: The share from which a sentence counts as not grounded.

    Raises:
        ConfigError: The threshold is not above 0 and at most 1.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors._grounded import GroundedDetector
        >>> context = GuardContext(rail="output", documents=("Ada Lovelace wrote her notes in 1843.",))
        >>> answer = "Lovelace wrote notes in 1843. She moved to Paris in 1850."
        >>> GroundedDetector().detect(answer, context).findings
        (Finding(kind='UNGROUNDED', start=30, end=57, score=1.0),)
    """

    name = "grounded"
    whole_text = True

    def __init__(self, threshold: float = 0.15) -> None:
        if not 0 < threshold <= 1:
            raise ConfigError(f"threshold must be above 0 and at most 1, not {threshold!r}", key="threshold")
        self._threshold = threshold
        self.version = f"2:{threshold:g}"

    def detect(self, text: str, context: GuardContext) -> Detection:
        """Return the sentences that the documents do not contain."""
        if not any(context.documents):
            return Detection(threshold=self._threshold)
        known, is_cut = _known(context.documents)
        findings: list[Finding] = []
        score = 0.0
        for number, (start, end) in enumerate(_sentences(text[:_MOST_READ])):
            if number == _MOST_SENTENCES:
                is_cut = True
                break
            share = _missing(_words(text[start:end]), known)
            score = max(score, share)
            if share >= self._threshold:
                findings.append(Finding("UNGROUNDED", start, end, share))
        return Detection(
            found=bool(findings),
            findings=tuple(findings),
            score=score,
            threshold=self._threshold,
            reason="not in the documents" if findings else "",
            truncated=is_cut or len(text) > _MOST_READ,
        )


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    for match in _SENTENCE.finditer(text):
        start, end = match.span()
        start += len(match[0]) - len(match[0].lstrip())
        if start < end:
            yield start, end


def _words(text: str) -> _Words:
    """Return the words of a text. Names and numbers weigh more than others, the most common words nothing."""
    stems: list[str] = []
    weights: list[float] = []
    is_first = True
    for match in _WORD.finditer(text):
        word = match[0]
        plain = word.lower() if word.isascii() else folded(word).text
        if word[0].isdigit():
            stems.append(plain.replace(",", ""))
            weights.append(3.0)
        else:
            stems.append(plain[:_STEM])
            is_name = word[0].isupper() and not is_first
            weights.append(0.0 if plain in _COMMON else 2.0 if is_name else 1.0)
        is_first = False
    return _Words(stems, weights)


def _known(documents: Sequence[str]) -> tuple[set[str], bool]:
    """Return the stems of the documents and the pairs of neighbours, and whether a part was left out."""
    known: set[str] = set()
    left = _MOST_READ
    for document in documents:
        words = _words(document[:left])
        known.update(words.stems)
        stems = [stem for stem, weight in zip(words.stems, words.weights, strict=True) if weight]
        for distance in range(1, _NEAR + 1):
            known.update(map(_pair, stems, stems[distance:]))
        left -= len(document)
        if left < 0:
            return known, True
    return known, False


def _pair(one: str, other: str) -> str:
    return f"{one} {other}"


def _missing(words: _Words, known: set[str]) -> float:
    """Return the share of the words and of their pairs that are not known, by weight; common words do not count."""
    total = missing = 0.0
    before, before_weight = "", 0.0
    for stem, weight in zip(words.stems, words.weights, strict=True):
        if weight:
            pair_weight = _PAIRS * (before_weight + weight) if before else 0.0
            total += weight + pair_weight
            missing += weight * (stem not in known) + pair_weight * (_pair(before, stem) not in known)
            before, before_weight = stem, weight
    return round(missing / total, 3) if total else 0.0
