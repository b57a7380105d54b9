"""What a stage says about the deployment below it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Health"]


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a deployment; without limits and breaker it is always ready.

    Attributes:
        ready: Whether it takes calls now.
        retry_in: Seconds until it takes calls again; None if it takes some now, or if that is unknown.
        in_flight: The calls under way, without those that wait.
        waiting: The calls that wait for a limit.
        full: Whether one more call would have to wait for a limit.
    """

    ready: bool = True
    retry_in: float | None = None
    in_flight: int = 0
    waiting: int = 0
    full: bool = False
