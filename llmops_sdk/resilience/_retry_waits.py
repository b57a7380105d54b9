"""How long to wait before the next attempt, and when to give up: pure functions over tenacity's strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

from tenacity import RetryCallState, stop_after_attempt, stop_before_delay, wait_exponential

from llmops_sdk._util._guard import Caught
from llmops_sdk._util._retry_after import retry_after_seconds
from llmops_sdk.config import RetrySettings

__all__ = ["Uniform", "backoff", "next_wait", "retry_after"]

_LONGEST = 1e300
"""Seconds: as good as infinite."""

Uniform: TypeAlias = Callable[[float, float], float]
"""Draws a number between two bounds, as `random.uniform` does."""


def retry_after(error: BaseException, now: float) -> float | None:
    """Return the seconds that a server asked to wait: `error.retry_after`, or from the headers of `error.response`.

    Args:
        error: The exception of any provider or vendor client.
        now: Seconds since the epoch, for a Retry-After header that is a date.
    """
    # The exception may be of the application, with properties that raise.
    with Caught():
        seconds = getattr(error, "retry_after", None)
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
            return _bounded(seconds)
    with Caught():
        headers = getattr(getattr(error, "response", None), "headers", None)
        # Not every client's headers are a Mapping; those of http.client are not.
        items = getattr(headers, "items", None)
        if callable(items):
            named = {str(name).lower(): str(value) for name, value in cast("Iterable[tuple[Any, Any]]", items())}
            return retry_after_seconds(named, now)
    return None


def _bounded(seconds: float) -> float | None:
    if seconds != seconds:  # noqa: PLR0124 - NaN does not equal itself
        return None
    # A larger integer is no float.
    return max(0.0, float(min(seconds, _LONGEST)))


def backoff(failures: int, policy: RetrySettings, uniform: Uniform) -> float:
    """Draw a wait with full jitter: uniform(0, min(max_wait, base·2ⁿ⁻¹)) after the n-th failure.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        failures: How many attempts have failed, at least 1.
        policy: The base and the cap, in seconds.
        uniform: The source of randomness.
    """
    return _backoff(_state(failures), policy, uniform)


def next_wait(
    failures: int,
    policy: RetrySettings,
    uniform: Uniform,
    *,
    asked: float | None = None,
    elapsed: float = 0.0,
    total: float | None = None,
) -> float | None:
    """Return the seconds to wait before the next attempt, or None to give up.

    A wait is never shorter than the server asked for, and always ends before the deadline.

    Args:
        failures: How many attempts have failed, at least 1.
        policy: The bounds.
        uniform: The source of randomness.
        asked: Seconds that the server asked to wait, or None.
        elapsed: Seconds since the call began.
        total: Seconds that the whole call may take, or None.
    """
    if asked is not None and asked > policy.max_retry_after:
        return None
    state = _state(failures, elapsed)
    wait = state.upcoming_sleep = max(asked or 0.0, _backoff(state, policy, uniform))
    if stop_after_attempt(policy.attempts)(state) or (total is not None and stop_before_delay(total)(state)):
        return None
    return wait


def _backoff(state: RetryCallState, policy: RetrySettings, uniform: Uniform) -> float:
    return uniform(0.0, wait_exponential(multiplier=policy.base, max=policy.max_wait)(state))


def _state(failures: int, elapsed: float = 0.0) -> RetryCallState:
    state = RetryCallState(cast("Any", None), None, (), {})
    state.attempt_number = failures
    state.start_time, state.outcome_timestamp = 0.0, elapsed
    return state
