"""A request that is not taken: the status, why, and what the sender is to do."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["RefusedError", "later"]


class RefusedError(Exception):
    """Ends a request with a status.

    Args:
        status: The HTTP status.
        message: What is wrong.
        headers: Headers besides.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def later(message: str, seconds: int = 1) -> RefusedError:
    """The refusal after which a sender comes again."""
    return RefusedError(503, message, {"Retry-After": str(seconds)})
