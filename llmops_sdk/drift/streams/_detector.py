"""Decide after every score whether the mean of a stream has changed since a reference of limited size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from llmops_sdk.drift.streams._sums import Sums, entropy, scale_of, signed_root

__all__ = ["Alternative", "Candidate", "Detector"]

Alternative: TypeAlias = Literal["two-sided", "greater", "less"]

_BLOCK = 5
"""The scan for later changes looks at a stream after each block of this many scores."""
_SPACING = 0.12
"""The spacing of the candidates for the change, as a share of their age: a stream of any length has few."""
_SHIFTS = (0.2, 0.4, 0.8)
"""The shifts to look for, in standard deviations of a score."""
_LEAST_ROOT = 1.5
"""Candidates with a smaller root say next to nothing, and the evidence without them is only weaker."""
_SHARE = 0.65
"""The share of alpha for a change between the reference and the stream. The level for it is exact."""
_SCAN_SHARE = 0.4
"""The share of alpha for changes within the stream. The bound for them is nearly twice too large: a scan alone that
ought to alarm in 5 % of the streams alarms in 3 %, so that both together stay below alpha."""
_LARGEST = 700.0


@dataclass(slots=True)
class Candidate:
    """A place where the stream may have changed: after `start` scores, whose sums are `before`."""

    start: int
    before: Sums
    entropy: float
    """The largest log-likelihood of the reference and these scores under one mean; 0 for no scores."""
    examples: list[str] = field(default_factory=list[str])
    """Up to five ids of what follows it."""


@dataclass(slots=True)
class Detector:
    """The test of one stream. Scores are scaled to 0..1.

    It makes two tests at once, and neither takes the mean of the reference as known.

    The first compares the whole stream with the reference. Without a change, the root of the likelihood ratio times
    the root of u = t / (n + t) is a Brownian motion at the time u, for n scores in the reference and t in the stream.
    It is below 1 however long the stream is: what the reference does not say, the stream cannot make up for. The
    reflection principle gives the level that it reaches up to the horizon with a chance of `_SHARE` × alpha.

    The second adds the evidence for a change at each place of the stream: a mixture over shifts of the likelihood
    ratio of what follows to what precedes it, the reference included. With weights of 1 / horizon their sum has at most
    the mean 1, so that it reaches 1 / a with a chance of at most a.
    """

    reference: Sums
    alpha: float
    horizon: int
    alternative: Alternative = "two-sided"
    stream: Sums = field(default_factory=Sums)
    candidates: list[Candidate] = field(default_factory=list[Candidate])
    level: float = 0.0
    """The largest value of the Brownian motion so far."""
    log_e: float = -_LARGEST
    """The largest logarithm of the sum of the scan so far."""
    detected_at: int | None = None
    """How many scores the stream had at the alarm."""
    change: Candidate | None = None
    """Where it changed."""

    def add(self, score: float, example: str | None = None) -> bool:
        """Add a score from 0 to 1, and return whether the mean of the stream has changed by now.

        Args:
            score: The score.
            example: The id of its trace, to be named as an example where it follows the change.
        """
        if self.stream.n % _BLOCK == 0:
            before = self.reference.plus(self.stream)
            likelihood = entropy(before.total, before.n) if before.n else 0.0
            copy = Sums(self.stream.n, self.stream.total, self.stream.squares)
            self.candidates.append(Candidate(self.stream.n, copy, likelihood))
        self.stream.add(score)
        latest = self.candidates[-1]
        if example is not None and len(latest.examples) < _BLOCK:
            latest.examples.append(example)
        self._compare_with_reference()
        if self.stream.n % _BLOCK == 0:
            self._scan()
        if self.detected_at is None and self.p_value <= self.alpha:
            self.detected_at = self.stream.n
            self._locate()
        return self.detected_at is not None

    @property
    def p_value(self) -> float:
        """Return the smallest alpha at which the stream would have raised an alarm by now."""
        sides = 2 if self.alternative == "two-sided" else 1
        tail = math.erfc(self.level / math.sqrt(2 * self._end)) / 2
        return min(1.0, 2 * sides * tail / _SHARE, math.exp(-self.log_e) / _SCAN_SHARE)

    @property
    def _end(self) -> float:
        """Return the time of the Brownian motion at the horizon."""
        return self.horizon / (self.horizon + self.reference.n)

    def _is_wanted(self, rose: bool) -> bool:
        return self.alternative == "two-sided" or rose is (self.alternative == "greater")

    def _sided(self, root: float) -> float:
        return abs(root) if self.alternative == "two-sided" else root if self.alternative == "greater" else -root

    def _compare_with_reference(self) -> None:
        time = self.stream.n / (self.stream.n + self.reference.n)
        self.level = max(self.level, self._sided(signed_root(self.reference, self.stream)) * math.sqrt(time))

    def _scan(self) -> None:
        self.candidates = [one for one in self.candidates if one.start % _spacing(self.stream.n - one.start) == 0]
        both = self.reference.plus(self.stream)
        scale, together = scale_of(both), entropy(both.total, both.n)
        logs: list[float] = []
        for one in self.candidates:
            n, total = self.stream.n - one.start, self.stream.total - one.before.total
            # As `signed_root`, with what all candidates have in common computed once.
            root = math.sqrt(max(0.0, scale * (one.entropy + entropy(total, n) - together)))
            if root >= _LEAST_ROOT and self._is_wanted(total * both.n >= both.total * n):
                logs.append(self._log_evidence(root, math.sqrt((both.n - n) * n / both.n)) + math.log(_spacing(n)))
        if logs:
            self.log_e = max(self.log_e, min(_LARGEST, _log_sum(logs) - math.log(self.horizon)))

    def _log_evidence(self, root: float, size: float) -> float:
        """Return the logarithm of the mean likelihood ratio over the shifts: of both signs where both are tested."""
        logs = [shift * size * (root - shift * size / 2) for shift in _SHIFTS]
        sides = 2 if self.alternative == "two-sided" else 1
        # The shifts of the other sign add nothing to speak of.
        return _log_sum(logs) - math.log(sides * len(_SHIFTS))

    def _locate(self) -> None:
        """Take the place with the largest likelihood ratio as that of the change."""
        self.change = max(
            self.candidates,
            key=lambda one: self._sided(signed_root(self.reference.plus(one.before), self.stream.minus(one.before))),
        )

    def state(self) -> dict[str, Any]:
        """Return everything as values of JSON."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Detector:
        """Return the detector of a state.

        Args:
            state: What `state` returned.
        """
        values = dict(state)
        values["reference"], values["stream"] = Sums(**values["reference"]), Sums(**values["stream"])
        values["candidates"] = [_candidate(one) for one in values["candidates"]]
        values["change"] = None if values["change"] is None else _candidate(values["change"])
        return cls(**values)


def _log_sum(logs: list[float]) -> float:
    largest = max(logs)
    return largest + math.log(math.fsum([math.exp(one - largest) for one in logs]))


def _candidate(state: Mapping[str, Any]) -> Candidate:
    return Candidate(state["start"], Sums(**state["before"]), state["entropy"], list(state["examples"]))


def _spacing(age: int) -> int:
    """Return the spacing of candidates of an age, in scores: so that older ones are among younger ones."""
    spacing = _BLOCK
    while spacing * 2 <= age * _SPACING:
        spacing *= 2
    return spacing
