"""What a limiter needs to know of a call, and what it tells about it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, cast

from llmops_sdk.errors import LimitExceededError, RateLimitError
from llmops_sdk.resilience._error_classes import status_code
from llmops_sdk.resilience.limits._pass import Outcome, Pass
from llmops_sdk.shared._decisions import record_decision
from llmops_sdk.tracing.spans import _active

if TYPE_CHECKING:
    from llmops_sdk.tracing.records._records import Stamp

__all__ = [
    "Fairness",
    "is_cancelled",
    "outcome_of",
    "record_cancelled_wait",
    "record_limit_refusal",
    "record_lowered",
    "record_wait",
    "turn_of",
]

Fairness = Literal["user", "session", "none"]

_CANCELLED = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
_OVERLOADED = frozenset({429, 529})


def turn_of(fair: Fairness) -> str:
    """Return who takes turns in the queue: the user or the session of the current context, or "" for nobody."""
    if fair == "none":
        return ""
    stamp = cast("Stamp | None", _active.stamp_of(_active.get()))
    return "" if stamp is None else (stamp.user_id if fair == "user" else stamp.session_id) or ""


def is_cancelled(error: BaseException | None) -> bool:
    """Return whether the caller ended the call: by a cancellation, or by leaving its stream."""
    return isinstance(error, _CANCELLED)


def outcome_of(error: BaseException | None) -> Outcome:
    """Return what the end of a call says to an adaptive limit.

    Example:
        >>> from llmops_sdk import RateLimitError
        >>> from llmops_sdk.resilience.limits._calls import outcome_of
        >>> outcome_of(None), outcome_of(RateLimitError("slow down", status_code=429)), outcome_of(TimeoutError())
        ('ok', 'throttled', 'timeout')
    """
    if error is None:
        return "ok"
    if is_cancelled(error):
        return "cancelled"
    if isinstance(error, RateLimitError) or status_code(error) in _OVERLOADED:
        return "throttled"
    return "timeout" if isinstance(error, TimeoutError) else "error"


def record_wait(name: str, one: Pass) -> None:
    """Record that a call waited, if it did."""
    if one.waited:
        record_decision("limit", "waited", deployment=name, subject=one.limit, wait_ms=one.waited * 1_000)


def record_cancelled_wait(name: str, one: Pass, waited: float) -> None:
    """Record that the caller ended the wait of a call after some seconds."""
    record_decision("limit", "cancelled", deployment=name, subject=one.limit, wait_ms=waited * 1_000)


def record_limit_refusal(name: str, error: LimitExceededError) -> None:
    """Record that a call was refused."""
    record_decision("limit", "refused", deployment=name, subject=error.limit, wait_ms=error.waited * 1_000)


def record_lowered(name: str, limit: int, outcome: Outcome) -> None:
    """Record that an adaptive limit was lowered."""
    record_decision("limit", "lowered", deployment=name, subject="concurrency", reason=outcome, limit=limit)
