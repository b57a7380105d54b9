"""When a failed call is tried again, and after how long: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from llmops_sdk._util._retry_after import seconds_asked
from llmops_sdk.config import RetrySettings
from llmops_sdk.errors import (
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)

__all__ = ["Uniform", "backoff", "next_wait", "retry_after", "retryable", "status_code", "transient"]

Uniform = Callable[[float, float], float]
"""Draws a number between two, as `random.uniform` does."""

_RETRYABLE = (RateLimitError, ServerError, ProviderConnectionError, ProviderTimeoutError)
# 409 is left out: a conflict is about the request's content as often as about a lock, and OpenAI-compatible servers
# use it for both.
_RETRYABLE_STATUS = frozenset({408, 429, *range(500, 600)})


def retryable(error: BaseException) -> bool:
    """Whether a failed call to a provider may succeed when it is made again.

    A broken stream may, as long as nothing of its answer was delivered: a repeat would show the beginning twice.

    Args:
        error: What the provider raised.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.resilience import retryable
        >>> retryable(llmops.RateLimitError("slow down")), retryable(llmops.AuthenticationError("no key"))
        (True, False)
    """
    if isinstance(error, StreamInterruptedError):
        partial = error.partial
        return partial is None or not (partial.text or partial.tool_calls or partial.reasoning)
    return isinstance(error, _RETRYABLE)


def transient(error: BaseException) -> bool:
    """The same for any callable: also connection errors, time-outs, and a vendor's exceptions by their HTTP status.

    Args:
        error: What the callable raised.
    """
    if isinstance(error, ProviderError):
        return retryable(error)
    if (status := status_code(error)) is not None:
        return status in _RETRYABLE_STATUS
    return isinstance(error, (ConnectionError, TimeoutError))


def status_code(error: BaseException) -> int | None:
    """The HTTP status of an exception, whoever's it is: `error.status_code` or `error.response.status_code`."""
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int) and not isinstance(status, bool):
            return status
    return None


def retry_after(error: BaseException, now: float) -> float | None:
    """The seconds that a server asked to wait, from `error.retry_after` or the headers of `error.response`.

    Args:
        error: What was raised.
        now: Seconds since the epoch, for a Retry-After that is a date.
    """
    seconds = getattr(error, "retry_after", None)
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
        return max(0.0, float(seconds)) if seconds == seconds else None  # noqa: PLR0124 - NaN is unlike itself
    headers = getattr(getattr(error, "response", None), "headers", None)
    # Not every client's headers are a Mapping; those of http.client are not.
    items = getattr(headers, "items", None)
    if not callable(items):
        return None
    named = {str(name).lower(): str(value) for name, value in cast("Iterable[tuple[Any, Any]]", items())}
    return seconds_asked(named, now)


def backoff(failures: int, policy: RetrySettings, uniform: Uniform) -> float:
    """Full jitter: uniform(0, min(max_wait, base·2ⁿ⁻¹)) after the n-th failure.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        failures: How many attempts have failed, at least 1.
        policy: The base and the cap, in seconds.
        uniform: The source of chance.
    """
    # 2**1023 is the last power that a float holds; the cap is reached long before.
    return uniform(0.0, min(policy.max_wait, policy.base * 2.0 ** min(failures - 1, 1023)))


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a call's bounds after a failed attempt."""

    attempts: int
    seconds: float | None


def next_wait(failures: int, asked: float | None, left: Left, policy: RetrySettings, uniform: Uniform) -> float | None:
    """The seconds to wait before the next attempt, or None when there shall be none.

    A wait is never shorter than the server asked for, and never begun when it would pass the deadline.

    Args:
        failures: How many attempts have failed, at least 1.
        asked: Seconds that the server asked to wait, or None.
        left: The attempts and the seconds left.
        policy: The bounds.
        uniform: The source of chance.
    """
    if left.attempts <= 0 or (asked is not None and asked > policy.max_retry_after):
        return None
    wait = max(asked or 0.0, backoff(failures, policy, uniform))
    return None if left.seconds is not None and wait >= left.seconds else wait
