"""What a stage says about the deployment below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Health", "health_of"]


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a deployment; without limits and breaker it is always ready.

    Attributes:
        ready: Whether it takes calls now.
        retry_in: Seconds until it takes calls again; None if it takes some now, or if that is unknown.
        in_flight: The calls under way, without those that wait.
        waiting: The calls that wait for a limit.
        full: Whether one more call would have to wait for a limit.
        cooldown: Seconds for which the provider asked all callers to wait; 0.0 if it did not.
    """

    ready: bool = True
    retry_in: float | None = None
    in_flight: int = 0
    waiting: int = 0
    full: bool = False
    cooldown: float = 0.0


_WELL = Health()


def health_of(provider: Any) -> Health:
    """Return what a provider or a stage says about its deployment; one that says nothing is always ready."""
    ask = getattr(provider, "health", None)
    found: object = ask() if callable(ask) else None
    # A provider of the application may mean something else by it.
    return found if isinstance(found, Health) else _WELL
