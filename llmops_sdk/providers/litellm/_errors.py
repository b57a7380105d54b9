"""From a vendor's exception to one of ours: the one place where it is decided.

Classes are known by their names, along the whole line of their parents, so that litellm's, the openai library's and
httpx's are told apart without importing any of them. Where a class says nothing (402, 403, 409 and 529 arrive as a
generic APIError) the HTTP status decides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

from llmops_sdk._util._retry_after import retry_after_seconds
from llmops_sdk.errors import (
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ContentFilterError,
    ContextWindowError,
    IncompleteResponseError,
    LLMOpsError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from llmops_sdk.providers._types import Request

__all__ = ["map_error"]

_MAX_MESSAGE = 2_000
_BY_NAME: dict[str, type[ProviderError]] = {
    "ContextWindowExceededError": ContextWindowError,
    "ContentPolicyViolationError": ContentFilterError,
    "AuthenticationError": AuthenticationError,
    "PermissionDeniedError": PermissionDeniedError,
    "NotFoundError": NotFoundError,
    "RateLimitError": RateLimitError,
    "UnsupportedParamsError": BadRequestError,
    "LiteLLMUnknownProvider": BadRequestError,
    "RejectedRequestError": BadRequestError,
    "GuardrailRaisedException": ContentFilterError,
    "BlockedPiiEntityError": ContentFilterError,
    "PaymentRequiredError": PermissionDeniedError,
    "APIResponseValidationError": ServerError,
}
# What a server says in the body where the status and the class say no more than "bad request".
_BY_CODE: dict[str, type[ProviderError]] = {
    "content_filter": ContentFilterError,
    "content_policy_violation": ContentFilterError,
    "context_length_exceeded": ContextWindowError,
}
_TIMEOUTS = frozenset({"Timeout", "APITimeoutError", "TimeoutException", "TimeoutError", "ServerTimeoutError"})
_CONNECTION = frozenset({"APIConnectionError", "TransportError", "StreamError", "OSError", "ClientError"})
_RESPONSES = frozenset({"HTTPStatusError", "APIStatusError"})
_MALFORMED = frozenset({"JSONDecodeError", "UnicodeDecodeError", "ValidationError", "DecodingError"})


def map_error(
    error: BaseException,
    request: Request,
    *,
    provider: str | None = None,
    outer: BaseException | None = None,
    answered: bool = False,
) -> LLMOpsError:
    """The error of ours that says what `error` means; raise it `from error`.

    Args:
        error: What litellm, the openai library or httpx raised.
        request: The call that failed.
        provider: The provider's name; by default the first part of the model's.
        outer: What the application was handling when it made the call: it is in the chain of causes, and no cause.
        answered: Whether the server had begun a good answer: what cannot be read of it is the server's failure.
    """
    if isinstance(error, LLMOpsError):
        return error
    names = _names(error)
    if "MidStreamFallbackError" in names and isinstance(inner := getattr(error, "original_exception", None), Exception):
        if isinstance(error.__context__, StopIteration | StopAsyncIteration):
            # Nothing broke: litellm itself raises this at the end of a stream that has no finish reason.
            text = f"{request.model}: the stream ended without a finish reason"
            return IncompleteResponseError(text, provider=provider or request.provider, model=request.model)
        return map_error(inner, request, provider=provider, outer=outer, answered=answered)
    message = f"{request.model}: {_message(error)}"
    if "BudgetExceededError" in names:
        return BudgetExceededError(message)
    headers = _headers(error)
    kind, status = _kind(error, names, _caught(error, outer), answered=answered)
    return kind(
        message,
        provider=provider or request.provider,
        model=request.model,
        status_code=status,
        retry_after=retry_after_seconds(headers, time.time()),
        request_id=headers.get("x-request-id") or headers.get("request-id") or _text(error, "request_id"),
    )


def _kind(
    error: BaseException, names: frozenset[str], caught: BaseException | None, *, answered: bool
) -> tuple[type[ProviderError], int | None]:
    """The class, and the status where there was a response."""
    status = _status(error)
    for name, kind in _BY_NAME.items():
        if name in names:
            return kind, status
    body = _body(error) or _body(caught)
    if (coded := _BY_CODE.get(str(body.get("code")))) is not None:
        return coded, status
    # Where no response came, litellm makes up a status, and it changes some; what it caught says so.
    beneath = _names(caught) if caught is not None else names
    if beneath & _TIMEOUTS:
        return ProviderTimeoutError, None
    if beneath & _CONNECTION and not (answered and caught is None):
        return ProviderConnectionError, None
    if answered:
        return _kind_of_bad_answer(body, status)
    if caught is not None and beneath & _RESPONSES:
        status = _status(caught) or status
    elif "APIConnectionError" in names and caught is not None:
        return _kind_of_unknown(caught, beneath)
    return (ProviderError if status is None else _kind_of_status(status)), status


def _kind_of_bad_answer(body: Mapping[str, object], status: int | None) -> tuple[type[ProviderError], int | None]:
    """An error in an answer that began well, or an answer that cannot be read."""
    code = body.get("code")
    if isinstance(code, int) and code >= 400:
        return _kind_of_status(code), code
    # litellm gives what it cannot read a 500, and a vendor's word for what was wrong with the request its status.
    if status is not None and 400 <= status < 500:
        return _kind_of_status(status), status
    return ServerError, None


def _kind_of_unknown(caught: BaseException, names: frozenset[str]) -> tuple[type[ProviderError], int | None]:
    """What litellm does not know it calls a connection error, mistakes in a program among them."""
    if "APIError" in names:  # an error event in a stream
        code = _body(caught).get("code")
        return (_kind_of_status(code), code) if isinstance(code, int) and code >= 400 else (ServerError, None)
    return (ServerError if names & _MALFORMED else ProviderError), None


def _body(error: BaseException | None) -> Mapping[str, object]:
    """What the server said of an error, where the vendor's library keeps it."""
    body: object = getattr(error, "body", None)
    return cast("Mapping[str, object]", body) if isinstance(body, Mapping) else {}


def _caught(error: BaseException, outer: BaseException | None) -> BaseException | None:
    """The first exception below `error` that is not one of litellm's own, or None."""
    cause: BaseException | None = error
    while cause is not None and type(cause).__module__.partition(".")[0] == "litellm":
        cause = cause.__cause__ or cause.__context__
    return None if cause is outer else cause


def _kind_of_status(status: int) -> type[ProviderError]:
    if status in {402, 403}:
        return PermissionDeniedError
    named: dict[int, type[ProviderError]] = {
        401: AuthenticationError,
        404: NotFoundError,
        408: ProviderTimeoutError,
        429: RateLimitError,
    }
    if status in named:
        return named[status]
    if 400 <= status < 500:
        return BadRequestError
    return ServerError if status >= 500 else ProviderError


def _names(error: BaseException) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    return status if isinstance(status, int) and 100 <= status < 600 else None


def _message(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"


def _text(error: BaseException, name: str) -> str | None:
    value = getattr(error, name, None)
    return value if isinstance(value, str) else None


def _headers(error: BaseException) -> dict[str, str]:
    """The response's headers, by their names in lower case."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("litellm_response_headers", "headers"):
            found: object = getattr(holder, name, None)
            if isinstance(found, Mapping) and found:
                items = cast("Mapping[object, object]", found)
                return {str(key).lower().removeprefix("llm_provider-"): str(value) for key, value in items.items()}
    return {}
