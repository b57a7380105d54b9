"""Define all errors that the SDK raises.

The tree::

    LLMOpsError
    ├── ConfigError                      a setting is unknown, of the wrong type, or unreadable
    ├── ProviderError                    a call to a model failed
    │   ├── AuthenticationError          401: the key is missing or wrong
    │   ├── PermissionDeniedError        402, 403: the key may not do this
    │   ├── RateLimitError               429: too many requests or tokens
    │   ├── BadRequestError              400, 422: the request can never succeed unchanged
    │   │   ├── ContextWindowError       the prompt is longer than the model takes
    │   │   └── ContentFilterError       the provider refused the content
    │   ├── NotFoundError                404: no such model or endpoint
    │   ├── ServerError                  5xx, 529: the provider failed
    │   ├── ProviderConnectionError      no connection, or it was reset
    │   ├── ProviderTimeoutError         (also a TimeoutError) a deadline passed
    │   └── StreamInterruptedError       a stream broke after its first chunk; `.partial`
    │       └── IncompleteResponseError  a stream ended cleanly but without a finish reason
    ├── CircuitOpenError                 the breaker of this model is open
    ├── BudgetExceededError              a spending limit is reached
    ├── LimitExceededError               a rate or concurrency limit is reached
    ├── GuardrailViolation               a guard blocked the input or the output
    ├── ValidationFailedError            the answer does not fit the type asked for
    ├── ToolCallError                    a model's tool call has no function, or its arguments are not valid
    ├── EmbeddingError                   an vectors are not usable
    ├── StoreError                       the local store cannot be read or written
    ├── QueryError                       the SQL of a query is not valid or not allowed
    ├── OtlpDecodeError                  a request or a file is not valid OTLP
    ├── MissingDependencyError           (also an ImportError) an optional library is not installed
    ├── CassetteError                    a cassette has no recording of a request, or its file is unreadable
    ├── ScriptError                      a scripted provider in a test has no answer for a call
    └── RealCallBlockedError             a test called a real model inside `block_real_calls()`

All of them pickle, so that they can cross process pools and task queues.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "CassetteError",
    "CircuitOpenError",
    "ConfigError",
    "ContentFilterError",
    "ContextWindowError",
    "EmbeddingError",
    "GuardrailViolation",
    "IncompleteResponseError",
    "LLMOpsError",
    "LimitExceededError",
    "MissingDependencyError",
    "NotFoundError",
    "OtlpDecodeError",
    "PermissionDeniedError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderTimeoutError",
    "QueryError",
    "RateLimitError",
    "RealCallBlockedError",
    "ScriptError",
    "ServerError",
    "StoreError",
    "StreamInterruptedError",
    "ToolCallError",
    "ValidationFailedError",
]


def _rebuild(cls: type[LLMOpsError], message: str, state: dict[str, Any]) -> LLMOpsError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class LLMOpsError(Exception):
    """The base of all errors that the SDK raises.

    Args:
        message: What is wrong, where, and what to do.

    Example:
        >>> import llmops_sdk as llmops
        >>> issubclass(llmops.RateLimitError, llmops.LLMOpsError)
        True
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        # The default __reduce__ calls the class with `args` alone and loses the keyword-only fields.
        return _rebuild, (type(self), str(self.args[0]) if self.args else "", self.__dict__.copy())


class ConfigError(LLMOpsError):
    """A setting is unknown, of the wrong type, or in a file that cannot be read.

    Attributes:
        source: The file or the environment variable that holds it, or "arguments".
        key: The dotted key, as in `retry.attempts`, or None if the whole file is invalid.
        value: The invalid value, or None.
        nearest: The nearest known key, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        key: str | None = None,
        value: object = None,
        nearest: str | None = None,
    ) -> None:
        super().__init__(message)
        self.source = source
        self.key = key
        self.value = value
        self.nearest = nearest


class ProviderError(LLMOpsError):
    """A call to a model failed.

    Attributes:
        provider: The provider's name, as in "openai".
        model: The model as it was configured, as in "openai/gpt-4.1-mini".
        status_code: The HTTP status, or None without a response.
        retry_after: Seconds that the provider asked to wait, or None.
        request_id: The provider's id of the request, or None.
        attempts: The attempts made before the error was raised, oldest first.
        should_retry: Whether the provider says that a retry may help, or None if it does not say.
        deployment: The name of the deployment that failed (see `Response.deployment`), or None.
        rate_limits: What the rate-limit headers of the response say, a `RateLimits`, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        attempts: tuple[Any, ...] = (),
        should_retry: bool | None = None,
        deployment: str | None = None,
        rate_limits: Any = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.retry_after = retry_after
        self.request_id = request_id
        self.attempts = attempts
        self.should_retry = should_retry
        self.deployment = deployment
        self.rate_limits = rate_limits


class AuthenticationError(ProviderError):
    """The provider's key is missing or wrong (401)."""


class PermissionDeniedError(ProviderError):
    """The key is valid but may not do this (402, 403)."""


class RateLimitError(ProviderError):
    """The provider asks to slow down (429); see `retry_after`."""


class BadRequestError(ProviderError):
    """The request can never succeed unchanged (400, 409, 422 and the other 4xx)."""


class ContextWindowError(BadRequestError):
    """The prompt and the answer together are longer than the model takes."""


class ContentFilterError(BadRequestError):
    """The provider's own filter refused the content."""


class NotFoundError(ProviderError):
    """The model or endpoint does not exist (404)."""


class ServerError(ProviderError):
    """The provider failed (5xx, 529)."""


class ProviderConnectionError(ProviderError):
    """The connection failed, or it was reset before the answer."""


class ProviderTimeoutError(ProviderError, TimeoutError):
    """A deadline of the call passed."""


class StreamInterruptedError(ProviderError):
    """A stream broke after its first chunk.

    Attributes:
        partial: The part that arrived before the break, as a `Response`.
    """

    def __init__(self, message: str, *, partial: Any = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.partial = partial


class IncompleteResponseError(StreamInterruptedError):
    """A stream ended cleanly but without a finish reason, so its answer may be incomplete."""


class CircuitOpenError(LLMOpsError):
    """The circuit breaker of a model is open, or the model is cooling down after its Retry-After.

    Attributes:
        retry_at: Seconds until the next call is allowed, or None.
        deployment: The model's deployment, or None; with several, the one that is back first.
    """

    def __init__(self, message: str, *, retry_at: float | None = None, deployment: str | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at
        self.deployment = deployment


class BudgetExceededError(LLMOpsError):
    """A spending limit is reached.

    Attributes:
        budget: The budget's name.
        per: Who has the budget: "all", "model", "user", "session", "tag" or "run".
        key: Whose it is: the user, the session and so on; "" for "all".
        unit: "usd" or "tokens".
        limit: The limit, in that unit.
        left: How much is left, in that unit.
        resets_at: When it starts at zero again, in seconds since the epoch; None for never.
    """

    def __init__(
        self,
        message: str,
        *,
        budget: str | None = None,
        per: str = "all",
        key: str = "",
        unit: str = "usd",
        limit: float | None = None,
        left: float | None = None,
        resets_at: float | None = None,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.per = per
        self.key = key
        self.unit = unit
        self.limit = limit
        self.left = left
        self.resets_at = resets_at


class LimitExceededError(LLMOpsError):
    """A rate or concurrency limit is reached, and its queue is full or the wait would take too long.

    Attributes:
        limit: The limit: "concurrency", "requests_per_minute" or "tokens_per_minute".
        deployment: The model's deployment, or the name of the decorated function's limit.
        retry_after: Seconds after which a call may pass, or None if unknown.
        waited: Seconds that the call waited in the queue.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str | None = None,
        deployment: str | None = None,
        retry_after: float | None = None,
        waited: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.deployment = deployment
        self.retry_after = retry_after
        self.waited = waited


class GuardrailViolation(LLMOpsError):  # noqa: N818 - the name is part of the public contract
    """A guard blocked the input or the output.

    Attributes:
        guard: The guard's name.
        rail: The rail, as in "input" or "output".
        reason: Why, without the content itself.
        action: "block", or the action that the guard could not take here: "reask" or "fallback".
    """

    def __init__(
        self,
        message: str,
        *,
        guard: str | None = None,
        rail: str | None = None,
        reason: str | None = None,
        action: str = "block",
    ) -> None:
        super().__init__(message)
        self.guard = guard
        self.rail = rail
        self.reason = reason
        self.action = action


class ValidationFailedError(LLMOpsError):
    """The answer does not fit the type that was asked for, after all repeats.

    Attributes:
        response: The last answer, as a `Response`.
        errors: The validator's messages about it.
    """

    def __init__(self, message: str, *, response: Any = None, errors: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.response = response
        self.errors = errors


class ToolCallError(LLMOpsError):
    """A model's call of a tool cannot be run: no function has its name, or the arguments are not valid.

    Attributes:
        tool: The name that the model called.
        call_id: The id of the call, which the tool's answer must repeat.
        errors: The problems one by one, without the arguments' values; fit to be sent back to the model.
    """

    def __init__(self, message: str, *, tool: str = "", call_id: str = "", errors: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tool = tool
        self.call_id = call_id
        self.errors = errors


class EmbeddingError(LLMOpsError):
    """Vectors are not usable: their number or length is wrong, one is zero or not finite, or an index is full.

    Attributes:
        source: The name of the embedder that made the vectors, or of the method that refused them.
    """

    def __init__(self, message: str, *, source: str | None = None) -> None:
        super().__init__(message)
        self.source = source


class StoreError(LLMOpsError):
    """The local store cannot be read or written.

    Attributes:
        path: The affected folder or file, or None.
    """

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class QueryError(LLMOpsError):
    """The SQL of a query is not valid, or not allowed.

    Attributes:
        sql: The statement.
    """

    def __init__(self, message: str, *, sql: str | None = None) -> None:
        super().__init__(message)
        self.sql = sql


class CassetteError(LLMOpsError):
    """A cassette cannot answer: it has no recording of the request, or its file cannot be read or written.

    It is not a `ProviderError`: no retry and no fallback follows.

    Attributes:
        path: The cassette's file.
        nearest: The most similar recorded request, or None.
    """

    def __init__(self, message: str, *, path: str, nearest: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.nearest = nearest


class RealCallBlockedError(LLMOpsError):
    """A test called a real model inside `block_real_calls()`; no retry and no fallback follows.

    Attributes:
        model: The model of the call, as in "openai/gpt-4.1-mini".
    """

    def __init__(self, message: str, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class ScriptError(LLMOpsError):
    """A scripted provider has no answer for a call, or an answer of another type."""


class OtlpDecodeError(LLMOpsError):
    """A request or a file is not valid OTLP; the message says what is wrong and where."""


class MissingDependencyError(LLMOpsError, ImportError):
    """An optional library is not installed; the message has the command that installs it."""
