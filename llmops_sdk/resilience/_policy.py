"""When a failed call is tried again, and after how long: pure functions."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from llmops_sdk._util._retry_after import retry_after_seconds
from llmops_sdk.config import FallbackSettings, RetrySettings
from llmops_sdk.errors import (
    AuthenticationError,
    CircuitOpenError,
    ContentFilterError,
    ContextWindowError,
    LimitExceededError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)

__all__ = [
    "On",
    "Uniform",
    "avoidable",
    "backoff",
    "elsewhere",
    "next_wait",
    "predicate",
    "retry_after",
    "retryable",
    "status_code",
    "transient",
]

Uniform = Callable[[float, float], float]
"""Draws a number between two, as `random.uniform` does."""

On: TypeAlias = "type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]"
"""Which exceptions a policy is for: their types, or a function that tells."""

_RETRYABLE = (RateLimitError, ServerError, ProviderConnectionError, ProviderTimeoutError)
# 409 is left out: a conflict is about the request's content as often as about a lock, and OpenAI-compatible servers
# use it for both.
_RETRYABLE_STATUS = frozenset({408, 429, *range(500, 600)})
# What the openai and anthropic clients raise for an error event in a stream has no status, or the 200 that it began
# with; what went wrong stands in the event.
_RETRYABLE_EVENTS = frozenset({"api_error", "overloaded_error", "rate_limit_error", "server_error", "timeout_error"})

_UNREACHED = (ConnectionError, TimeoutError, socket.gaierror)
# Of the openai and anthropic clients, and of httpx, for a server that hangs up: there is no OSError behind it.
_UNREACHED_NAMES = frozenset({"APIConnectionError", "TransportError"})


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
    if (status := status_code(error)) is not None and status >= 400:
        return status in _RETRYABLE_STATUS
    if _event_type(error) in _RETRYABLE_EVENTS:
        return True
    # A vendor's client wraps what went wrong with the connection in an error of its own.
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    return any(
        isinstance(one, _UNREACHED) or _UNREACHED_NAMES & {kind.__name__ for kind in type(one).__mro__}
        for one in causes
    )


def _event_type(error: BaseException) -> str:
    """The type of error that an event in a stream told, as the vendors' clients keep it in `error.body`."""
    body: object = getattr(error, "body", None)
    if not isinstance(body, Mapping):
        return ""
    outer = cast("Mapping[str, object]", body)
    # OpenAI's is the error itself, Anthropic's the event around it.
    inner = outer.get("error")
    told = cast("Mapping[str, object]", inner) if isinstance(inner, Mapping) else outer
    return str(told.get("type"))


# What one model or one account has and another may not have.
_OWN = (AuthenticationError, PermissionDeniedError, NotFoundError, CircuitOpenError, LimitExceededError)
_OWN_STATUS = frozenset({401, 402, 403, 404})


def avoidable(error: BaseException, policy: FallbackSettings) -> bool:
    """Whether another model may answer what this one did not: an outage, a quota, a key; not a bad request.

    Args:
        error: What the model's provider raised.
        policy: What is to be done about errors that are as much the request's as the model's.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.config import FallbackSettings
        >>> from llmops_sdk.resilience import avoidable
        >>> errors = llmops.AuthenticationError("no key"), llmops.BadRequestError("no such role")
        >>> [avoidable(error, FallbackSettings()) for error in errors]
        [True, False]
    """
    if isinstance(error, ContextWindowError):
        return policy.context_window
    if isinstance(error, ContentFilterError):
        return policy.content_filter
    return isinstance(error, _OWN) or retryable(error)


def elsewhere(error: BaseException) -> bool:
    """The same for any callable: also connection errors, time-outs, and a vendor's exceptions by their HTTP status.

    Args:
        error: What the callable raised.
    """
    return avoidable(error, FallbackSettings()) or transient(error) or status_code(error) in _OWN_STATUS


def predicate(on: On | None, default: Callable[[BaseException], bool]) -> Callable[[BaseException], bool]:
    """The function that tells which exceptions a policy is for."""
    if on is None:
        return default
    if isinstance(on, (type, tuple)):
        kinds = cast("tuple[type[BaseException], ...]", on)
        return lambda error: isinstance(error, kinds)
    return on


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
    return retry_after_seconds(named, now)


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
