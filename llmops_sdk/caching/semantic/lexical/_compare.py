"""Compare two texts: whether the answer to one is the answer to the other, why, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Literal

from llmops_sdk._util._public import public
from llmops_sdk.caching.semantic.lexical._analyse import NO_WORDS, Analysed, Term, analyse
from llmops_sdk.caching.semantic.lexical._checks import Difference, Finding, Reason, find_difference
from llmops_sdk.caching.semantic.lexical._marks import (
    Mark,
    difference_of,
    is_cased_otherwise,
    prose_difference_of,
)

__all__ = ["Comparison", "Decision", "compare", "compare_analysed"]

# Natural questions differ in these without a change of the answer more often than in numbers or opposites.
_COSTS: dict[Reason, float] = {"question": 2.0, "role": 3.0, "negation": 4.0}
_SHOWN = 8  # words of a finding
Decision = Literal["same", "different", "unsure"]


@public("llmops_sdk.caching.semantic.lexical")
@dataclass(frozen=True, slots=True)
class Comparison:
    """What the checks say of a pair of texts.

    Attributes:
        decision: "same": serve the stored answer. "different": do not. "unsure": the words do not tell.
        reason: The strongest difference, or why there is none: "equal" or "wording".
        score: How likely one answer fits both, from 0 to 1. It orders pairs that are "unsure".
        checks: All differences found.
    """

    decision: Decision
    reason: Reason
    score: float
    checks: tuple[Finding, ...] = ()


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def compare(asked: str, stored: str, *, similarity: float, vocabulary: Container[str] = NO_WORDS) -> Comparison:
    """Compare two texts: may the answer to one answer the other?

    Args:
        asked: The text that asks.
        stored: The text whose answer is stored.
        similarity: The cosine of their vectors, from -1 to 1. It matters for the score, and for no decision.
        vocabulary: Words that are spelled right; see `analyse`.

    Example:
        >>> compare("Remind me at 7am", "Remind me at 7pm", similarity=0.97).reason
        'time'
        >>> compare("What is three plus 4?", "what's 3 plus four", similarity=0.9).decision
        'same'
    """
    return compare_analysed(
        analyse(asked, vocabulary=vocabulary),
        analyse(stored, vocabulary=vocabulary),
        similarity=similarity,
        vocabulary=vocabulary,
    )


def compare_analysed(
    asked: Analysed, stored: Analysed, *, similarity: float, vocabulary: Container[str] = NO_WORDS
) -> Comparison:
    """Compare two analysed texts; see `compare`. The arguments may change places without a change of the decision.

    Args:
        asked: The text that asks.
        stored: The text whose answer is stored.
        similarity: The cosine of their vectors, from -1 to 1; a value outside counts as the nearest, NaN as -1.
        vocabulary: The words that `analyse` was given.
    """
    if asked.digest == stored.digest:
        return Comparison("same", "equal", 1.0)
    if asked.cut or stored.cut:
        return Comparison("unsure", "length", 0.3)
    if (marks := difference_of(asked.marks, stored.marks)) is not None:
        return _marked(*marks)
    found = _compare_words(asked, stored, similarity, vocabulary)
    if found.decision == "same" and (marks := prose_difference_of(asked.marks, stored.marks)) is not None:
        return _marked(*marks)
    return found


def _marked(asked: Mark, stored: Mark) -> Comparison:
    return Comparison("different", asked.reason, 0.05, (Finding(asked.reason, asked.text, stored.text),))


def _compare_words(asked: Analysed, stored: Analysed, similarity: float, vocabulary: Container[str]) -> Comparison:
    if asked.plain == stored.plain:
        # Texts without a word are equal to themselves only: "?" is not "!".
        if not any(map(str.isalnum, asked.plain)):
            return Comparison("unsure", "content", 0.1)
        if not asked.english and is_cased_otherwise(asked.marks, stored.marks):
            return Comparison("unsure", "language", 0.3)
        return Comparison("same", "equal", 0.995)
    if not (asked.english and stored.english):
        return _compare_values(asked, stored)
    # Words are matched from left to right. One text always goes first, so that both directions give one decision.
    swap = asked.plain > stored.plain
    found = find_difference(stored, asked, vocabulary) if swap else find_difference(asked, stored, vocabulary)
    judged = _judge(found, min(1.0, similarity) if similarity > -1.0 else -1.0)
    if not swap:
        return judged
    return replace(judged, checks=tuple(Finding(one.reason, one.stored, one.asked) for one in judged.checks))


def _compare_values(asked: Analysed, stored: Analysed) -> Comparison:
    """Compare two texts of which one is not English: only values tell, and only that the texts differ."""
    values = [sorted(term.key for term in text.terms if term.role == "value") for text in (asked, stored)]
    if values[0] != values[1]:
        finding = Finding("number", " ".join(values[0][:_SHOWN]), " ".join(values[1][:_SHOWN]))
        return Comparison("different", "number", 0.05, (finding,))
    return Comparison("unsure", "language", 0.3)


def _judge(found: Difference, similarity: float) -> Comparison:
    checks = (*found.findings, *found.doubts)
    one, other = found.asked_only, found.stored_only
    left_over = max(len(one), len(other))
    if not left_over and not checks and found.shared:
        cost = 0.3 * found.explained + 0.25 * found.loose + 0.3 * (found.order in {"moved", "folded"})
        logit = 4.5 + 3.0 * (max(similarity, 0.4) - 0.9) - min(cost, 1.5)
        return Comparison("same", "wording", _sigmoid(logit))
    coverage = found.shared / (found.shared + left_over) if found.shared else float(not left_over)
    logit = 12.0 * (similarity - 0.93) + 2.5 * (coverage - 1.0)
    # Between texts that are nearly equal a difference is decisive; between texts in other words it is often chance.
    weight = coverage**3
    logit -= weight * (0.2 * min(len(found.doubts), 3) + 0.3 * (found.order == "crossed"))
    if found.findings:
        return Comparison("different", found.findings[0].reason, _sigmoid(logit - weight * _cost(found)), checks)
    if not left_over:
        reason = found.doubts[0].reason if found.doubts else "content"
        return Comparison("unsure", reason, _sigmoid(logit + 1.0), checks)
    decision, reason, penalty = _left_over(one, other)
    checks = (Finding(reason, _surfaces(one), _surfaces(other)), *checks)
    return Comparison(decision, reason, _sigmoid(logit - penalty * weight), checks)


def _cost(found: Difference) -> float:
    """Return how much the strongest finding takes from the logit of a pair that is equal in all else."""
    return max(_COSTS.get(finding.reason, 6.0) for finding in found.findings)


def _left_over(one: list[Term], other: list[Term]) -> tuple[Decision, Reason, float]:
    """Return what words of content on one side only, or on both, mean."""
    if one and other:
        if any(_is_name(term) for term in one) and any(_is_name(term) for term in other):
            return "different", "entity", 3.0
        if len(one) == 1 and len(other) == 1:
            return "different", "content", 3.0
        return "unsure", "paraphrase", 0.0
    if len(one) + len(other) <= 2:
        return "different", "modifier", 1.0
    return "unsure", "paraphrase", 0.0


def _surfaces(terms: list[Term]) -> str:
    return " ".join(term.surface for term in terms[:_SHOWN])


def _is_name(term: Term) -> bool:
    return term.named or term.acronym or not term.known
