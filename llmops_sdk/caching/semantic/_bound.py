"""The bound on wrong answers among semantic hits: decide from labels which scores are safe to serve.

Each label tells whether a stored answer would have been right for a new question, and how sure the tier was before (its
score, 0 to 1). A threshold is certified when the labels at or above it are strong evidence, at any number of looks,
that less than `max_error` of such answers are wrong. Everything here is pure: counts in, decisions out.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from llmops_sdk._util._public import public
from llmops_sdk.caching.semantic._drift import CHANGED, WINDOW, change_evidence, excess_evidence
from llmops_sdk.caching.semantic._entries import RecentLabel
from llmops_sdk.errors import ConfigError
from llmops_sdk.stats import clopper_pearson, log_rate_e_value

__all__ = ["EXACT_JUDGE", "THRESHOLDS", "BoundCounts", "ErrorBound", "JudgeError"]

THRESHOLDS = (
    0.50, 0.60, 0.70, 0.75, 0.80, 0.85, 0.90, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.998,
)  # fmt: skip
"""The scores that may become the lowest one served. They are fixed in advance, as the evidence requires."""

_MARGIN = 0.5
"""Share of `max_error` that the measured error may reach: a rate just below the limit exceeds it by chance."""

_SUSPICION = 10.0
"""Evidence that ends a certificate, as a multiple of what the confidence asks for: one wrong audit is none."""


@public("llmops_sdk.caching")
@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeError:
    """How often the judge that labels stored answers is wrong itself.

    Attributes:
        false_right: An upper limit of the share of wrong answers that it calls right.
        false_wrong: A lower limit of the share of right answers that it calls wrong. 0 is always safe.
        false_wrong_high: An upper limit of that share; by default the same as `false_wrong`.

    Example:
        From 200 wrong and 300 right answers that people have judged before, as limits with 97.5 % confidence each:

        >>> from llmops_sdk.caching import JudgeError
        >>> error = JudgeError.measured(wrong_called_right=6, wrong=200, right_called_wrong=9, right=300)
        >>> round(error.false_right, 3), round(error.false_wrong, 3)
        (0.064, 0.014)
    """

    false_right: float = 0.0
    false_wrong: float = 0.0
    false_wrong_high: float | None = None

    def __post_init__(self) -> None:
        for name in ("false_right", "false_wrong", "false_wrong_high"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not ((is_number and 0.0 <= value < 1.0) or (value is None and name == "false_wrong_high")):
                raise ConfigError(f"{name}={value!r}: give a share from 0 to below 1", key=name, value=value)
        if self.false_wrong_high is not None and self.false_wrong_high < self.false_wrong:
            raise ConfigError(
                f"false_wrong_high={self.false_wrong_high!r}: give at least false_wrong, {self.false_wrong!r}",
                key="false_wrong_high",
                value=self.false_wrong_high,
            )
        if self.false_right + self.false_wrong >= 1.0:
            raise ConfigError(
                "a judge with false_right + false_wrong of 1 or more says nothing about the answers: use another",
                key="judge_error",
            )

    @classmethod
    def measured(cls, *, wrong_called_right: int, wrong: int, right_called_wrong: int, right: int) -> JudgeError:
        """Return the limits that a sample of answers with known labels gives.

        Args:
            wrong_called_right: How many wrong answers the judge called right.
            wrong: How many wrong answers it has judged.
            right_called_wrong: How many right answers it called wrong.
            right: How many right answers it has judged.

        Raises:
            ConfigError: The sample is too small to tell the judge from a coin.
            ValueError: There are more mistakes than answers.
        """
        if not (wrong and right):
            raise ConfigError(
                "give right and wrong answers: without one kind the judge's error is unknown", key="right"
            )
        low, high = clopper_pearson(right_called_wrong, right)
        return cls(
            false_right=clopper_pearson(wrong_called_right, wrong)[1],
            false_wrong=low,
            false_wrong_high=min(high, 0.999),
        )

    def lowest_observed(self, rate: float) -> float:
        """Return the lowest share of labels "wrong" where the share `rate` of the answers is wrong."""
        return rate * (1.0 - self.false_right) + (1.0 - rate) * self.false_wrong

    def highest_observed(self, rate: float) -> float:
        """Return the highest share of labels "wrong" where the share `rate` of the answers is wrong."""
        return rate + (1.0 - rate) * (self.false_wrong if self.false_wrong_high is None else self.false_wrong_high)

    def rate(self, observed: float) -> float:
        """Return the highest share of wrong answers that agrees with a share of labels "wrong"."""
        return max(0.0, (observed - self.false_wrong) / (1.0 - self.false_right - self.false_wrong))


EXACT_JUDGE = JudgeError()
"""The error of a judge that is never wrong."""


@dataclass(slots=True)
class BoundCounts:
    """The labels so far, as the store keeps them.

    Attributes:
        right: Labels "right", by band: `right[0]` below the lowest threshold, `right[i]` from `THRESHOLDS[i - 1]` on.
        wrong: Labels "wrong", by band.
        audited: How many served answers were judged since the threshold was certified.
        audited_wrong: How many of these were wrong.
        epoch: How often the evidence was discarded because served answers were wrong too often.
    """

    right: list[int] = field(default_factory=lambda: [0] * (len(THRESHOLDS) + 1))
    wrong: list[int] = field(default_factory=lambda: [0] * (len(THRESHOLDS) + 1))
    audited: int = 0
    audited_wrong: int = 0
    epoch: int = 0


class ErrorBound:
    """Decides which scores to serve, so that at most `max_error` of the hits are wrong.

    Args:
        max_error: The largest share of wrong answers among hits, above 0 and below 0.5.
        confidence: The chance that the bound holds, at all times together.
        judge_error: How often the labels are wrong.
        counts: The labels so far.
        recent: The latest of these labels, the oldest first.

    Attributes:
        certified: The lowest score that the labels certify, or None.
        change: The evidence that answers have turned wrong lately; see `change_evidence`.
        threshold: The lowest score to serve, or None: also while a change is likely, until it is known.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        max_error: float,
        *,
        confidence: float = 0.95,
        judge_error: JudgeError = EXACT_JUDGE,
        counts: BoundCounts | None = None,
        recent: Sequence[RecentLabel] = (),
    ) -> None:
        for name, share in (("max_error", max_error), ("confidence", confidence)):
            if isinstance(share, bool) or not isinstance(share, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"{name}={share!r}: give a share, a number between 0 and 1", key=name, value=share)
        if not 0.0 < max_error < 0.5:
            raise ConfigError(f"max_error={max_error!r}: give a share above 0 and below 0.5", key="max_error")
        if not 0.5 <= confidence < 1.0:
            raise ConfigError(f"confidence={confidence!r}: give a share from 0.5 to below 1", key="confidence")
        self.max_error = max_error
        self.judge_error = judge_error
        self.counts = counts or BoundCounts()
        self.recent = deque(recent, WINDOW)
        self._alpha = 1.0 - confidence
        self._decide()

    def serves(self, score: float) -> bool:
        """Return whether an answer with this score may be served."""
        return self.threshold is not None and score >= self.threshold

    def is_paused_for(self, score: float) -> bool:
        """Return whether an answer with this score would be served, if answers had not turned wrong lately."""
        return self.threshold is None and self.certified is not None and score >= self.certified

    def observe(self, score: float, *, right: bool, served: bool = False) -> None:
        """Take a label.

        Args:
            score: The tier's score before the label was known, 0 to 1.
            right: Whether the stored answer would have been right.
            served: Whether it was served, so that the label is an audit.
        """
        counts = self.counts
        band = bisect_right(THRESHOLDS, score)
        (counts.right if right else counts.wrong)[band] += 1
        self.recent.append(RecentLabel(band, right, served))
        if served:
            counts.audited += 1
            counts.audited_wrong += not right
        self._decide()
        if self.is_broken():
            self.counts = BoundCounts(epoch=counts.epoch + 1)
            self.recent.clear()
            self._decide()

    def is_broken(self) -> bool:
        """Return whether there is strong evidence that more than `max_error` of the hits are wrong.

        All audits count, and, while serving rests, the latest labels of the scores that were served before.
        """
        counts, high = self.counts, self.judge_error.highest_observed(self.max_error)
        needed = math.log(_SUSPICION / self._alpha)
        if counts.audited_wrong > high * counts.audited and (
            log_rate_e_value(counts.audited_wrong, counts.audited, null_rate=high) >= needed
        ):
            return True
        rests = self.certified is not None and self.threshold is None
        lowest = bisect_right(THRESHOLDS, self.certified or 0.0) if rests else len(THRESHOLDS) + 1
        return excess_evidence([one.right for one in self.recent if one.audit or one.band >= lowest], high) >= needed

    def evidence(self, threshold: float) -> tuple[int, int]:
        """Return the labels at or above a threshold: how many are wrong, and how many there are."""
        first = bisect_right(THRESHOLDS, threshold)
        wrong = sum(self.counts.wrong[first:])
        return wrong, wrong + sum(self.counts.right[first:])

    def estimate(self, threshold: float) -> float | None:
        """Return the share of wrong answers at or above a threshold by the labels, or None without any."""
        wrong, trials = self.evidence(threshold)
        return None if trials == 0 else self.judge_error.rate(wrong / trials)

    def _decide(self) -> None:
        self.certified = self._certified()
        self.change = 0.0
        if self.certified is not None:  # otherwise nothing is served that a change could make wrong
            self.change = change_evidence(self.counts.right, self.counts.wrong, self.recent)
        self.threshold = None if self.change >= CHANGED else self.certified

    def _certified(self) -> float | None:
        """Return the lowest threshold that the labels certify, or None."""
        # A share of the risk for each threshold and for each new beginning, so that all of them together keep it.
        needed = math.log(len(THRESHOLDS) / self._alpha) + (self.counts.epoch + 1) * math.log(2.0)
        most = self.judge_error.lowest_observed(self.max_error)
        fewest = needed / -math.log1p(-most)  # labels, if none is wrong
        for threshold in THRESHOLDS:
            wrong, trials = self.evidence(threshold)
            if trials < fewest or self.judge_error.rate(wrong / trials) > _MARGIN * self.max_error:
                continue
            if log_rate_e_value(trials - wrong, trials, null_rate=1.0 - most) >= needed:
                return threshold
        return None
