"""Record what a breaker did on the current span."""

from __future__ import annotations

from collections.abc import Iterable

from llmops_sdk.errors import CircuitOpenError
from llmops_sdk.resilience.breaker._breaker import Breaker, Change, Trial
from llmops_sdk.shared._decisions import record_decision

__all__ = ["record_changes", "record_probe", "record_refusal"]


def record_changes(breaker: Breaker, changes: Iterable[Change], error: BaseException | None = None) -> None:
    """Record the changes that the end of a call caused.

    Args:
        breaker: The breaker.
        changes: What `Trial.end` or `Trial.confirm` returned.
        error: The error that caused them, or None.
    """
    for change in changes:
        paused = change.decision == "paused"
        record_decision(
            "cooldown" if paused else "breaker",
            change.decision,
            deployment=breaker.name,
            reason=None if error is None else type(error).__name__,
            wait_ms=change.seconds * 1_000 if change.seconds else None,
            value=None if paused else change.failures,
            limit=breaker.settings.failures,
        )


def record_probe(breaker: Breaker, trial: Trial) -> None:
    """Record that a call probes the deployment, if it does."""
    if trial.is_probe:
        record_decision("breaker", "half_open", deployment=breaker.name)


def record_refusal(breaker: Breaker, error: CircuitOpenError) -> None:
    """Record that a call was refused."""
    state = breaker.state
    record_decision(
        "cooldown" if state == "closed" else "breaker",
        "refused",
        deployment=breaker.name,
        reason="cooldown" if state == "closed" else state,
        wait_ms=None if error.retry_at is None else error.retry_at * 1_000,
    )
