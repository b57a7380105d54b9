"""The way of one call: the deployments that it tried, and the requests of its current attempt."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Leg", "Route", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request went.

    Attributes:
        deployment: The deployment's name.
        provider: The provider's name.
        model: Provider and model, as in "openai/gpt-4.1-mini".
    """

    deployment: str
    provider: str
    model: str


@dataclass(slots=True, eq=False)
class Leg:
    """One request of an attempt; a hedged attempt has two.

    Attributes:
        reason: Why it was sent, as in `Attempt.reason`.
        start_ns: When, in nanoseconds since the epoch.
        began: When, by the monotonic clock.
        target: Where it went, if a stage below chose among deployments.
        status: "ok", "error" or "cancelled"; None while its end is that of the whole attempt.
        duration_ms: Milliseconds, with `status`.
        error: Its error, or None.
        cost: USD, or None when unknown.
    """

    reason: str
    start_ns: int
    began: float
    target: Target | None = None
    status: str | None = None
    duration_ms: float | None = None
    error: BaseException | None = None
    cost: float | None = None

    def close(self, status: str, now: float, error: BaseException | None = None) -> None:
        """Note an end that is not that of the whole attempt.

        Args:
            status: "error" or "cancelled".
            now: The time by the monotonic clock.
            error: The error, or None.
        """
        self.status, self.duration_ms, self.error = status, (now - self.began) * 1000, error


@dataclass(slots=True, eq=False)
class Route:
    """What the stages below a retry tell it, and each other; a request carries it.

    Attributes:
        tried: The deployments that the whole call has tried, oldest first.
        legs: The requests of the attempt, the first one first.
        leg: The one that the carrier is.
    """

    tried: list[Target]
    legs: list[Leg]
    leg: Leg
