"""Whether stored answers have turned wrong lately: evidence from labels of misses, which come faster than audits.

Earlier labels say how likely an answer is right at a score. When answers become outdated, or other people ask, that
falls at all scores at once, also at those that are not served. So misses show it before many hits are wrong.
Everything here is pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmops_sdk.caching.semantic._entries import RecentLabel
from llmops_sdk.stats import log_rate_e_value

__all__ = ["CHANGED", "WINDOW", "audit_share", "change_evidence", "excess_evidence"]

WINDOW = 128
"""How many of the latest labels are compared with the earlier ones."""

CHANGED = math.log(100.0)
"""The evidence for a change from which on nothing is served by its score."""

_TURNED = (0.05, 0.15, 0.4)
"""Shares of all answers that may have turned wrong at once: the evidence is the strongest for one of them."""
_FEWEST = 20  # earlier labels of a band, below which its new ones say nothing
_MOST_AUDITS = 0.5  # a larger share of the hits is not audited, unless the user asks for it


def change_evidence(right: Sequence[int], wrong: Sequence[int], recent: Sequence[RecentLabel]) -> float:
    """Return the evidence that answers have lately been wrong more often than earlier ones of the same score.

    It is the logarithm of a likelihood ratio, for the most likely moment of the change (CUSUM). It falls again while
    answers are as right as before.

    Args:
        right: All labels "right", by band.
        wrong: All labels "wrong", by band.
        recent: The latest of these labels, the oldest first.

    Source: E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954).
    """
    before = list(zip(right, wrong, strict=True))
    most = (sum(right) + sum(wrong)) // 2  # the others are needed to compare with
    known = [label for label in recent if 0 <= label.band < len(before)][-most:] if most else []
    for label in known:
        good, bad = before[label.band]
        before[label.band] = (good - 1, bad) if label.right else (good, bad - 1)
    steps = {band: _steps(*before[band]) for band in {label.band for label in known}}
    few = some = many = 0.0  # written out: this runs for each label
    for label in known:
        step = steps[label.band][label.right]
        few, some, many = max(0.0, few + step[0]), max(0.0, some + step[1]), max(0.0, many + step[2])
    return max(few, some, many)


def _steps(right: int, wrong: int) -> tuple[Sequence[float], Sequence[float]]:
    """Return what a wrong and a right label of a band add to the evidence, by the share that may have turned wrong."""
    if right < 0 or wrong < 0 or right + wrong < _FEWEST:
        return (0.0,) * len(_TURNED), (0.0,) * len(_TURNED)
    rate = (wrong + 1) / (right + wrong + 2)
    later = [rate + (1 - rate) * turned for turned in _TURNED]
    return [math.log(one / rate) for one in later], [math.log((1 - one) / (1 - rate)) for one in later]


def excess_evidence(labels: Sequence[bool], null_rate: float) -> float:
    """Return the evidence that from some moment on more answers than a share are wrong, as a logarithm.

    Args:
        labels: Whether each was right, the oldest first.
        null_rate: The share.
    """
    best, wrong = 0.0, 0
    for count, right in enumerate(reversed(labels), 1):
        if not right:
            wrong += 1
            if wrong > null_rate * count:
                best = max(best, log_rate_e_value(wrong, count, null_rate=null_rate))
    return best


def audit_share(share: float, evidence: float) -> float:
    """Return the share of the hits to audit: the configured one, and more of them the more a change is likely."""
    if share <= 0.0:
        return share
    return max(share, min(_MOST_AUDITS, share ** (1.0 - min(1.0, evidence / CHANGED))))
