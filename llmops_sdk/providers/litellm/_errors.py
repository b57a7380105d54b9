"""Map a vendor's exception to one of ours, in this one place.

The names of a class and its parents identify exceptions of litellm, openai and httpx without importing them. If the
class is generic (402, 403, 409 and 529 arrive as APIError), the HTTP status decides.
"""

from __future__ import annotations

import re
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
from llmops_sdk.providers.litellm._failures import NO_FAILURE, Failure, is_out_of_credit, is_too_long

__all__ = ["map_error", "with_details"]

# What a program's own objects raise while litellm writes the request.
_UNSENDABLE = (TypeError, ValueError, AttributeError, LookupError, RecursionError)

_MAX_MESSAGE = 2_000
_MIN_KEY = 6  # a shorter one, such as "none", stands in other words too
# litellm's advice is for its own settings and its proxy, which applications of this package do not have.
_ADVICE = re.compile(
    r"(?:To drop (?:these|it)\b|(?:You can |Please )?[Ss]et `?litellm\.|If you want to use these params dynamically"
    r"|Use `?litellm\.|`litellm_settings:).*",
    re.DOTALL,
)
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
# Codes in the body of a "bad request", where status and class say no more.
_BY_CODE: dict[str, type[ProviderError]] = {
    "content_filter": ContentFilterError,
    "content_policy_violation": ContentFilterError,
    "context_length_exceeded": ContextWindowError,
}
_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: PermissionDeniedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ProviderTimeoutError,
    429: RateLimitError,
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
    sent: bool = True,
    failure: Failure | None = None,
    told: str | None = None,
) -> LLMOpsError:
    """Return our error for a vendor's `error`. Raise the result `from error`.

    Args:
        error: What litellm, the openai library or httpx raised.
        request: The call that failed.
        provider: The provider's name; by default the first part of the model's.
        outer: The exception that the application was handling at the call. It ends the chain of contexts, and is
            not a cause.
        answered: Whether the server had begun a good answer. If the answer is unreadable, the server failed.
        sent: Whether a request was sent. If not, and no connection failed, the request could not be written.
        failure: The response with the error, or None if there was none.
        told: The text of an error in a good response, as Ollama's, or None.
    """
    if isinstance(error, LLMOpsError):
        return error
    names = _names(error)
    if "MidStreamFallbackError" in names and isinstance(inner := getattr(error, "original_exception", None), Exception):
        if isinstance(error.__context__, StopIteration | StopAsyncIteration):
            # Nothing broke: litellm raises this at the end of a stream without a finish reason.
            text = f"{request.model}: the stream ended without a finish reason"
            return IncompleteResponseError(text, provider=provider or request.provider, model=request.model)
        return map_error(
            inner, request, provider=provider, outer=outer, answered=answered, sent=sent, failure=failure, told=told
        )
    message = f"{request.model}: {_message(error)}"
    if "BudgetExceededError" in names:
        return BudgetExceededError(message)
    headers = _headers(error)
    caught = _caught(error, outer)
    error_class, status = _classify(error, names, caught, answered=answered)
    if not sent and _is_unsendable(caught):
        error_class, status = BadRequestError, None
        message = f"{message}. Nothing was sent: check the messages, the tools, the parameters and `extra`"
    if failure is not None and failure.text and failure.text[:40] not in message:
        message = f"{message}: {failure.text}"
    if told is not None:
        error_class, message = ContextWindowError if is_too_long(told) else ServerError, f"{request.model}: {told}"
    elif error_class is BadRequestError:
        error_class = _specific_bad_request(message)
    failure = failure or NO_FAILURE
    return error_class(
        message,
        provider=provider or request.provider,
        model=request.model,
        status_code=status,
        retry_after=failure.retry_after if (seconds := retry_after_seconds(headers, time.time())) is None else seconds,
        request_id=headers.get("x-request-id") or headers.get("request-id") or _text(error, "request_id"),
        should_retry=failure.should_retry,
    )


def _is_unsendable(caught: BaseException | None) -> bool:
    """Return whether the exception is about a request that litellm could not write."""
    # litellm raises a plain Exception at content that it does not know.
    return (isinstance(caught, _UNSENDABLE) or type(caught) is Exception) and not isinstance(caught, OSError)


def with_details(error: LLMOpsError, *, address: str | None, key: str | None) -> LLMOpsError:
    """Name the server in an error of the connection, and hide the key in any error's message."""
    text = str(error)
    if address is not None and isinstance(error, ProviderConnectionError | ProviderTimeoutError):
        text = f"{text} (server: {address})"
    if key is not None and len(key) > _MIN_KEY:
        text = text.replace(key, "***")
    error.args = (text,)
    return error


def _specific_bad_request(text: str) -> type[ProviderError]:
    """Return the class of a bad request that only its text explains."""
    if is_too_long(text):
        return ContextWindowError
    return PermissionDeniedError if is_out_of_credit(text) else BadRequestError


def _classify(
    error: BaseException, names: frozenset[str], caught: BaseException | None, *, answered: bool
) -> tuple[type[ProviderError], int | None]:
    """Return the class of the error, and the status if there was a response."""
    status = _status(error)
    for name, error_class in _BY_NAME.items():
        if name in names:
            return error_class, status
    body = _body(error) or _body(caught)
    if (coded := _BY_CODE.get(str(body.get("code")))) is not None:
        return coded, status
    # litellm makes up a status if no response came, and changes some. The exception that it caught is reliable.
    beneath = _names(caught) if caught is not None else names
    if beneath & _TIMEOUTS:
        return ProviderTimeoutError, None
    if beneath & _CONNECTION and not (answered and caught is None):
        return ProviderConnectionError, None
    if answered:
        return _classify_bad_answer(body, status)
    if caught is not None and beneath & _RESPONSES:
        status = _status(caught) or status
    elif "APIConnectionError" in names and caught is not None:
        return _classify_unknown(caught, beneath)
    return (ProviderError if status is None else _class_of_status(status)), status


def _classify_bad_answer(body: Mapping[str, object], status: int | None) -> tuple[type[ProviderError], int | None]:
    """Classify an error inside an answer that began well, or an unreadable answer."""
    code = body.get("code")
    if isinstance(code, int) and code >= 400:
        return _class_of_status(code), code
    # litellm gives 500 to answers that it cannot read, and 4xx to errors that blame the request.
    if status is not None and 400 <= status < 500:
        return _class_of_status(status), status
    return ServerError, None


def _classify_unknown(caught: BaseException, names: frozenset[str]) -> tuple[type[ProviderError], int | None]:
    """Classify what litellm calls a connection error because it does not know it; bugs in programs are among them."""
    if "APIError" in names:  # an error event in a stream
        code = _body(caught).get("code")
        return (_class_of_status(code), code) if isinstance(code, int) and code >= 400 else (ServerError, None)
    return (ServerError if names & _MALFORMED else ProviderError), None


def _body(error: BaseException | None) -> Mapping[str, object]:
    """Return the body of an error response, if the vendor's library keeps it."""
    body: object = getattr(error, "body", None)
    return cast("Mapping[str, object]", body) if isinstance(body, Mapping) else {}


def _caught(error: BaseException, outer: BaseException | None) -> BaseException | None:
    """Return the first exception below `error` that is not litellm's own, or None."""
    cause: BaseException | None = error
    while cause is not None and type(cause).__module__.partition(".")[0] == "litellm":
        cause = cause.__cause__ or cause.__context__
    return None if cause is outer else cause


def _class_of_status(status: int) -> type[ProviderError]:

    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return BadRequestError
    return ServerError if status >= 500 else ProviderError


def _names(error: BaseException) -> frozenset[str]:
    return frozenset(one.__name__ for one in type(error).__mro__)


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    return status if isinstance(status, int) and 100 <= status < 600 else None


def _message(error: BaseException) -> str:
    text = _ADVICE.sub("", str(error)).strip() or type(error).__name__
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"


def _text(error: BaseException, name: str) -> str | None:
    value = getattr(error, name, None)
    return value if isinstance(value, str) else None


def _headers(error: BaseException) -> dict[str, str]:
    """Return the response's headers, with names in lower case."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("litellm_response_headers", "headers"):
            found: object = getattr(holder, name, None)
            if isinstance(found, Mapping) and found:
                items = cast("Mapping[object, object]", found)
                return {str(key).lower().removeprefix("llm_provider-"): str(value) for key, value in items.items()}
    return {}
