"""The errors of calls to a model."""

from __future__ import annotations

from typing import Any

from llmops_sdk.errors._base import LLMOpsError

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "ContentFilterError",
    "ContextWindowError",
    "IncompleteResponseError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderTimeoutError",
    "RateLimitError",
    "ServerError",
    "StreamInterruptedError",
]


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
