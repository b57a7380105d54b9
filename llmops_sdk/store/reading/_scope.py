"""Bound the queries of one request: one deadline for all of them, and one call that ends them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from llmops_sdk.errors import QueryError

__all__ = ["QueryScope", "current_scope"]


class QueryScope:
    """A block whose queries share a deadline; another thread may end them.

    Args:
        seconds: The time for all queries together, from the start of the block.

    Attributes:
        expired: Whether the deadline ended a query.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._cancelled = False
        self._cancel_query: Callable[[], None] | None = None
        self._token: Token[QueryScope | None] | None = None

    def __enter__(self) -> Self:
        """Begin: the queries of this thread belong to the scope."""
        self._deadline = time.monotonic() + self._seconds
        self._token = _current.set(self)
        return self

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End."""
        if self._token is not None:
            _current.reset(self._token)

    def cancel(self) -> None:
        """End the running query, and refuse further ones. It does not wait."""
        with self._lock:
            self._cancelled = True
            cancel_query = self._cancel_query
        if cancel_query is not None:
            cancel_query()

    def begin(self, sql: str, timeout: float | None, cancel_query: Callable[[], None]) -> float:
        """Register a query, and return its seconds.

        Args:
            sql: The statement, for the error.
            timeout: The query's own bound in seconds, or None.
            cancel_query: Ends the query without waiting.

        Raises:
            QueryError: The scope was cancelled, or its time is over.
        """
        left = self._deadline - time.monotonic()
        with self._lock:
            if self._cancelled:
                raise QueryError("the query was cancelled", sql=sql)
            if left <= 0:
                self.expired = True
                raise QueryError(f"the queries together took longer than {self._seconds:g} s: read less", sql=sql)
            self._cancel_query = cancel_query
        return left if timeout is None else min(left, timeout)

    def end(self) -> None:
        """Forget the query that has ended."""
        with self._lock:
            self._cancel_query = None
        self.expired = self.expired or time.monotonic() >= self._deadline


_current: ContextVar[QueryScope | None] = ContextVar("llmops_query_scope", default=None)


def current_scope() -> QueryScope | None:
    """Return the scope of this thread, or None."""
    return _current.get()
