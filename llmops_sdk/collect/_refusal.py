"""The exception that ends a request with an HTTP error."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["RefusedError", "retry_later"]


class RefusedError(Exception):
    """The request is refused.

    Args:
        status: The HTTP status.
        message: The reason.
        headers: Additional response headers.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def retry_later(message: str, seconds: int = 1) -> RefusedError:
    """Return a refusal that makes the sender retry after some seconds."""
    return RefusedError(503, message, {"Retry-After": str(seconds)})
