"""Which errors a retry or another model may get past: pure functions."""

from __future__ import annotations

import reprlib
import socket
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeGuard, cast

from llmops_sdk._util._guard import Caught
from llmops_sdk.config import FallbackSettings
from llmops_sdk.errors import (
    AuthenticationError,
    BudgetExceededError,
    CircuitOpenError,
    ConfigError,
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
    "ErrorFilter",
    "error_filter",
    "is_of_one_model",
    "is_refusal",
    "is_transient",
    "retryable",
    "should_fall_back",
    "should_fall_back_any",
    "status_code",
]

ErrorFilter: TypeAlias = "type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]"
"""Which exceptions a policy applies to: their types, or a function that decides."""

_RETRYABLE = (RateLimitError, ServerError, ProviderConnectionError, ProviderTimeoutError)
# 409 is left out: a conflict is about the request's content as often as about a lock, and OpenAI-compatible servers
# use it for both.
_RETRYABLE_STATUS = frozenset({408, 429, *range(500, 600)})
# For an error event in a stream the openai and anthropic clients raise an error without a status, or with the 200
# that the stream began with; only the event says what went wrong.
_RETRYABLE_EVENTS = frozenset({"api_error", "overloaded_error", "rate_limit_error", "server_error", "timeout_error"})

# A quota of money does not come back within seconds, though its status is 429.
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

_CONNECTION_ERRORS = (ConnectionError, TimeoutError, socket.gaierror)
# The openai and anthropic clients and httpx raise these for a server that hangs up, without an OSError as the cause.
_CONNECTION_ERROR_NAMES = frozenset({"APIConnectionError", "TransportError"})


def retryable(error: BaseException) -> bool:
    """Return whether a failed call to a provider may succeed when it is made again.

    If the provider says whether a retry may help, that counts. A broken stream may only while nothing of its answer was
    delivered: a repeat would show the beginning twice.

    Args:
        error: The error of the provider.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.resilience import retryable
        >>> retryable(llmops.RateLimitError("slow down")), retryable(llmops.AuthenticationError("no key"))
        (True, False)
    """
    if isinstance(error, StreamInterruptedError):
        return _broke_before_its_answer(error)
    if isinstance(error, ProviderError) and error.should_retry is not None:
        return error.should_retry
    return isinstance(error, _RETRYABLE)


def _broke_before_its_answer(error: StreamInterruptedError) -> bool:
    partial = error.partial
    return partial is None or not (partial.text or partial.tool_calls or partial.reasoning)


def is_transient(error: BaseException) -> bool:
    """Return whether any callable may succeed when it is called again.

    Beyond `retryable`, connection errors and time-outs count, and vendors' exceptions by their HTTP status.
    """
    if isinstance(error, ProviderError):
        return retryable(error)
    if (told := _told_by_server(error)) is not None:
        return told
    if (status := status_code(error)) is not None and status >= 400:
        return status in _RETRYABLE_STATUS
    if _event_type(error) in _RETRYABLE_EVENTS:
        return True
    # A vendor's client wraps a connection error in an error of its own.
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    return any(
        isinstance(one, _CONNECTION_ERRORS) or _CONNECTION_ERROR_NAMES & {base.__name__ for base in type(one).__mro__}
        for one in causes
    )


def _told_by_server(error: BaseException) -> bool | None:
    """Return whether the response of a vendor's exception says that a retry may help, or None if it does not say."""
    told = ""
    # An exception of the application may have properties that raise, or a code that cannot be hashed.
    with Caught():
        if getattr(error, "code", None) in _QUOTA_CODES:
            return False
    with Caught():
        headers = getattr(getattr(error, "response", None), "headers", None)
        get = getattr(headers, "get", None)
        told = str(get("x-should-retry") if callable(get) else None).lower()
    return {"true": True, "false": False}.get(told)


def _event_type(error: BaseException) -> str:
    """Return the type of error in a stream's error event, which the vendors' clients keep in `error.body`."""
    found = ""
    with Caught():
        body: object = getattr(error, "body", None)
        if isinstance(body, Mapping):
            outer = cast("Mapping[str, object]", body)
            # OpenAI's body is the error itself, Anthropic's the event around it.
            inner = outer.get("error")
            event = cast("Mapping[str, object]", inner) if isinstance(inner, Mapping) else outer
            found = str(event.get("type"))
    return found


# Errors of one model or one account, which another may not have.
_MODEL_ERRORS = (AuthenticationError, PermissionDeniedError, NotFoundError, CircuitOpenError, LimitExceededError)
_MODEL_STATUS = frozenset({401, 402, 403, 404})


def should_fall_back(error: BaseException, policy: FallbackSettings) -> bool:
    """Return whether another model may answer: after an outage, a quota, a bad key; not after a bad request.

    Args:
        error: The error of the model's provider.
        policy: Whether to fall back after a prompt that is too long, or an answer that a content filter stopped.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.config import FallbackSettings
        >>> from llmops_sdk.resilience import should_fall_back
        >>> errors = llmops.AuthenticationError("no key"), llmops.BadRequestError("no such role")
        >>> [should_fall_back(error, FallbackSettings()) for error in errors]
        [True, False]
    """
    if isinstance(error, ContextWindowError):
        return policy.context_window
    if isinstance(error, ContentFilterError):
        return policy.content_filter
    if isinstance(error, StreamInterruptedError):
        return _broke_before_its_answer(error)
    if isinstance(error, BudgetExceededError):
        return is_of_one_model(error)
    # What the provider says about a retry is about its own server, so another model may answer.
    return isinstance(error, (*_MODEL_ERRORS, *_RETRYABLE)) or retryable(error)


def is_of_one_model(error: BudgetExceededError) -> bool:
    """Return whether only calls to one model count in a budget: from any other, another model would take, too."""
    return error.per == "model" or error.model is not None


def is_refusal(error: BaseException) -> bool:
    """Return whether traffic control refused the call: no request was sent."""
    return isinstance(error, (CircuitOpenError, LimitExceededError, BudgetExceededError))


def should_fall_back_any(error: BaseException) -> bool:
    """Return whether another callable may succeed, as `should_fall_back` for the errors of any library."""
    return should_fall_back(error, FallbackSettings()) or is_transient(error) or status_code(error) in _MODEL_STATUS


def error_filter(on: ErrorFilter | None, default: Callable[[BaseException], bool]) -> Callable[[BaseException], bool]:
    """Return the function that decides which exceptions a policy applies to.

    Raises:
        ConfigError: `on` is neither exception types nor a function.
    """
    if on is None:
        return default
    return _checked_filter(on)


def _checked_filter(on: object) -> Callable[[BaseException], bool]:
    types = cast("tuple[object, ...]", on) if isinstance(on, tuple) else (on,)
    if all(isinstance(one, type) and issubclass(one, BaseException) for one in types):
        known = cast("tuple[type[BaseException], ...]", types)
        return lambda error: isinstance(error, known)
    if not isinstance(on, tuple) and callable(types[0]) and not isinstance(types[0], type):
        return cast("Callable[[BaseException], bool]", types[0])
    raise ConfigError(
        f"on = {reprlib.repr(types)[1:-1].rstrip(',')} is not valid: it must be an exception type, a tuple of them, or "
        "a function of the exception",
        key="on",
        value=types,
    )


def status_code(error: BaseException) -> int | None:
    """Return the HTTP status of any library's exception: `error.status_code` or `error.response.status_code`.

    It never raises: the exception may be of the application, with properties that do.
    """
    status: object = None
    with Caught():
        status = getattr(error, "status_code", None)
    if not _is_whole(status):
        with Caught():
            status = getattr(getattr(error, "response", None), "status_code", None)
    return status if _is_whole(status) else None


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
