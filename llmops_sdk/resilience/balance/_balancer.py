"""Which deployment gets the next call: a pure policy."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import random as _random
from typing import Literal, TypeAlias

from llmops_sdk.providers.traffic import Health
from llmops_sdk.resilience._named_states import NamedStates

__all__ = ["AnswerStyle", "Balance", "Balancer", "balancer_of"]

Balance: TypeAlias = Literal["weighted", "least_busy", "lowest_latency"]

AnswerStyle: TypeAlias = Literal["answer", "stream", "vectors"]
"""What a latency is of: a whole answer, the first piece of a stream, or vectors. Each has its own average."""

_EXPLORE = 0.02
"""The share of calls that go to a deployment at random, so that one that became faster is found."""
_SMOOTHING = 0.2
"""The weight of a new latency in the average."""
_HALF_LIFE = 30.0
"""Seconds after which an average without a new latency counts half, and a failure, too."""
_FLOOR = 1e-3
"""Seconds: an unknown latency counts as this, so that a new deployment is soon known."""
_MAX_FAILURES = 8.0
"""A deployment that keeps failing still gets one call in so many, where no breaker keeps calls from it."""


@dataclass(slots=True)
class _Seen:
    """What was seen of one deployment.

    Attributes:
        weight: Its share of the calls, relative to the others.
        busy: The calls under way.
        turn: The state of the smooth weighted round robin.
        failures: Recent failures since the last success; old ones count less.
        failed_at: When that number was true.
        latencies: For each style the average latency in seconds, and when it was true.
    """

    weight: float
    busy: int
    turn: float
    failures: float
    failed_at: float
    latencies: dict[AnswerStyle, tuple[float, float]]


class Balancer:
    """Picks one of the deployments of a model. Thread-safe; it neither waits nor reads a clock.

    "weighted" takes turns in proportion to the weights (smooth weighted round robin). "least_busy" picks the one with
    the fewest calls under way, and waiting, for its weight. "lowest_latency" picks the lowest product of average
    latency and calls under way; 2 % of the calls explore, and an average without new latencies decays.

    Whatever the kind, a deployment whose limits are used up gets a call only if all are, and one that failed lately
    counts as having less weight: one that fails at once would otherwise look idle and fast, and draw all calls.

    Source of the smooth turns: nginx, "Upstream: smooth weighted round-robin balancing", 2012. Source of the product:
    Twitter Finagle, "Peak EWMA".

    Args:
        balance: The kind.
        weights: The weight of each deployment.
        random: Draws a number from 0 to 1.

    Example:
        >>> from llmops_sdk.providers.traffic import Health
        >>> from llmops_sdk.resilience.balance import Balancer
        >>> balancer = Balancer("weighted", [2.0, 1.0])
        >>> [balancer.pick(0.0, [Health(), Health()]) for _ in range(6)]
        [0, 1, 0, 0, 1, 0]
    """

    def __init__(self, balance: Balance, weights: Sequence[float], *, random: Callable[[], float] = _random) -> None:
        self.balance: Balance = balance
        self._random = random
        # The garbage collector may close an abandoned stream, and so end its call, while this thread holds the lock.
        self._lock = threading.RLock()
        self._seen = [_Seen(weight, 0, 0.0, 0.0, 0.0, {}) for weight in weights]

    def pick(
        self,
        now: float,
        healths: Sequence[Health],
        *,
        avoid: Collection[int] = (),
        style: AnswerStyle = "answer",
    ) -> int | None:
        """Return the index of the deployment that gets the call, and count it as under way; None if none is ready.

        Args:
            now: The time, in seconds of a clock that never goes back.
            healths: The health of each deployment.
            avoid: The deployments to take only if no other is ready.
            style: What the call asks for.
        """
        ready = [index for index, health in enumerate(healths) if health.ready]
        if not ready:
            return None
        candidates = [index for index in ready if index not in avoid] or ready
        candidates = [index for index in candidates if not healths[index].full] or candidates
        with self._lock:
            if len(candidates) == 1:
                index = candidates[0]
            elif self.balance == "weighted":
                index = self._next_turn(candidates, now)
            elif self.balance == "lowest_latency":
                index = self._fastest(candidates, now, healths, style)
            else:
                index = self._lowest(candidates, lambda one: self._load(one, now, healths[one]))
            self._seen[index].busy += 1
            return index

    def busy(self, index: int) -> int:
        """Return how many calls are under way at a deployment."""
        return self._seen[index].busy

    def end(self, index: int) -> None:
        """Note that a call is no longer under way."""
        with self._lock:
            self._seen[index].busy -= 1

    def observe(self, index: int, now: float, latency: float, *, style: AnswerStyle = "answer") -> None:
        """Note a success and its latency.

        Args:
            index: The deployment.
            now: The time.
            latency: Seconds.
            style: What the latency is of.
        """
        with self._lock:
            self._seen[index].failures = 0.0
            self._add(self._seen[index], now, latency, style)

    def observe_at_least(self, index: int, now: float, latency: float, *, style: AnswerStyle = "answer") -> None:
        """Note that a call was given up after so many seconds: its latency counts if it is above the average."""
        with self._lock:
            seen = self._seen[index]
            average = self._average(seen, now, style)
            if average is None or latency > average:
                self._add(seen, now, latency, style)

    @staticmethod
    def _add(seen: _Seen, now: float, latency: float, style: AnswerStyle) -> None:
        average, at = seen.latencies.get(style, (latency, now))
        # After a long time the new latency says more than the old ones.
        share = max(_SMOOTHING, 1.0 - _decay(now - at))
        seen.latencies[style] = (average + share * (latency - average), now)

    def failed(self, index: int, now: float) -> None:
        """Note a failure that says something about the deployment."""
        with self._lock:
            seen = self._seen[index]
            seen.failures = min(_MAX_FAILURES, self._failures(seen, now) + 1.0)
            seen.failed_at = now

    def _next_turn(self, candidates: Sequence[int], now: float) -> int:
        weights = {index: self._weight(index, now) for index in candidates}
        for index, weight in weights.items():
            self._seen[index].turn += weight
        best = max(candidates, key=lambda index: self._seen[index].turn)
        self._seen[best].turn -= sum(weights.values())
        return best

    def _fastest(self, candidates: Sequence[int], now: float, healths: Sequence[Health], style: AnswerStyle) -> int:
        if self._random() < _EXPLORE:
            return candidates[min(int(self._random() * len(candidates)), len(candidates) - 1)]

        averages = {index: self._average(self._seen[index], now, style) for index in candidates}
        slowest = max((average for average in averages.values() if average is not None), default=_FLOOR)

        def cost(index: int) -> float:
            average = averages[index]
            if average is None and self._seen[index].failures:
                average = slowest  # not worth exploring: it fails
            return max(_FLOOR, average or 0.0) * self._load(index, now, healths[index])

        return self._lowest(candidates, cost)

    def _lowest(self, candidates: Sequence[int], cost: Callable[[int], float]) -> int:
        """Return the candidate with the lowest cost; of several, one at random."""
        costs = [(cost(index), index) for index in candidates]
        lowest = min(costs)[0]
        best = [index for each, index in costs if each <= lowest]
        return best[0] if len(best) == 1 else best[min(int(self._random() * len(best)), len(best) - 1)]

    def _load(self, index: int, now: float, health: Health) -> float:
        # Other processes and other models may use the deployment, too: its own count has their calls.
        busy = max(self._seen[index].busy, health.in_flight + health.waiting)
        return (busy + 1) / self._weight(index, now)

    def _weight(self, index: int, now: float) -> float:
        seen = self._seen[index]
        return seen.weight if not seen.failures else seen.weight / (1.0 + self._failures(seen, now))

    @staticmethod
    def _failures(seen: _Seen, now: float) -> float:
        return seen.failures * _decay(now - seen.failed_at)

    @staticmethod
    def _average(seen: _Seen, now: float, style: AnswerStyle) -> float | None:
        known = seen.latencies.get(style)
        return None if known is None else known[0] * _decay(now - known[1])


def _decay(seconds: float) -> float:
    return math.exp2(-max(0.0, seconds) / _HALF_LIFE)


_balancers: NamedStates[Balancer] = NamedStates()


def balancer_of(model: str, deployments: tuple[str, ...], balance: Balance, weights: tuple[float, ...]) -> Balancer:
    """Return the balancer of a model, which all its callers in the process share.

    Args:
        model: The model's name.
        deployments: The names of its deployments; other ones begin anew.
        balance: The kind.
        weights: The weight of each deployment.
    """
    key = model, deployments, balance, weights
    return _balancers.get(key, lambda: Balancer(balance, weights))
