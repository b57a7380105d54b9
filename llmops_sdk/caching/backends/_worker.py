"""Threads that use a store which may fail, hang or be used by others at the same time.

What all stores share: bounded waits, a back-off after failures, fork safety, sync and async twins. Any failure gives
the default of the work and logs one warning.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk.caching.backends._protocol import BackendError, DamagedError
from llmops_sdk.errors import StoreError

__all__ = ["Session", "Worked", "Worker"]

_WAIT = 2.0
"""Seconds that a call waits for the store; then it goes on without it."""
_BACKOFF = 5.0
"""Seconds after a failure or a time-out in which nobody uses the store."""


class Worked(Protocol):
    """What the threads use: `workers` is how many there are."""

    workers: int

    def close(self) -> None: ...


_B = TypeVar("_B", bound=Worked)
_S = TypeVar("_S", bound="Session[Any]")
_T = TypeVar("_T")


class Session(Generic[_B]):
    """What one process has open; a forked child begins its own."""

    def __init__(self, backend: _B) -> None:
        self.pid = os.getpid()
        self.backend = backend
        self.threads = ThreadPoolExecutor(backend.workers, thread_name_prefix="llmops-cache")
        self.failed_at = float("inf")


# A forked child must neither use nor close the parent's connections; this list keeps them from the garbage collector.
_parent_sessions: list[Session[Any]] = []


class Worker(Generic[_B, _S]):
    """Runs work with a store on its threads.

    Args:
        open_session: Opens what this process has open.
        clock: The time, for the back-off after a failure.
    """

    def __init__(self, open_session: Callable[[], _S], *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._open_session = open_session
        self._clock = clock
        self._session = open_session()

    @property
    def backend(self) -> _B:
        """Return the store's object of this process, or of the parent until the first use after a fork."""
        return self._session.backend

    def run(self, what: str, default: _T, work: Callable[..., _T], *args: Any) -> _T:
        """Return the result of `work(store, *args)`; the default when it fails or takes too long.

        Args:
            what: The word for the work in a warning.
            default: The result without the store.
            work: Takes the store and the arguments.
            args: The arguments.
        """
        if self._is_backing_off(self._session):
            return default
        return guarded(f"cache {what}", default, lambda: self._result(self._submit(default, work, args), _WAIT))

    async def arun(self, what: str, default: _T, work: Callable[..., _T], *args: Any) -> _T:
        """Return the result of `work(store, *args)`, as `run` does, async."""
        if self._is_backing_off(self._session):
            return default
        future = guarded(f"cache {what}", None, self._submit, default, work, args)
        if future is None:
            return default
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(_consume_exception)
        await asyncio.wait([waiting], timeout=_WAIT)
        return guarded(f"cache {what}", default, self._result, future, 0)

    def demand(self, work: Callable[..., _T], *args: Any) -> _T:
        """Return the result of `work(store, *args)`, for what must not fail unseen, such as a removal.

        Args:
            work: Takes the store and the arguments.
            args: The arguments.

        Raises:
            StoreError: The store fails or takes too long.
        """
        self._join()
        session = self._session
        place = str(getattr(session.backend, "place", "")) or "the cache"
        try:
            return session.threads.submit(work, session.backend, *args).result(_WAIT)
        except TimeoutError as error:
            raise StoreError(f"{place} is busy: nothing is known to be removed; try again", path=place) from error
        except (BackendError, OSError) as error:
            raise StoreError(f"{error}; try again", path=place) from error

    def start(self, what: str, work: Callable[..., object], *args: Any) -> None:
        """Run `work(store, *args)` without waiting for it; only a process that goes on does it."""
        session = self._session
        if session.pid != os.getpid() or sys.is_finalizing():
            return
        guarded(
            f"cache {what}", None, session.threads.submit, guarded, f"cache {what}", None, work, session.backend, *args
        )

    def close(self) -> None:
        """Close the connections and end the threads; the next use opens both again."""
        session, self._session = self._session, self._open_session()
        if session.pid != os.getpid():
            _parent_sessions.append(session)
            return
        try:
            closing = session.threads.submit(session.backend.close)
        except RuntimeError:
            return  # the interpreter is ending and its executors have ended: the store closes with the process
        guarded("cache close", None, closing.result, _WAIT)
        session.threads.shutdown(wait=False)

    def _is_backing_off(self, session: _S) -> bool:
        # A test's clock may show less than the one that was in force at the failure.
        return session.failed_at <= self._clock.monotonic() < session.failed_at + _BACKOFF

    def _result(self, future: Future[_T], seconds: float) -> _T:
        """Return the result of the work; back off from a store that hangs, so that no calls wait for it."""
        try:
            return future.result(seconds)
        except TimeoutError:
            if not future.done():
                future.cancel()
                self._session.failed_at = self._clock.monotonic()
            raise

    def _join(self) -> None:
        """Open a session of this process, if the one at hand is the parent's."""
        if self._session.pid != os.getpid():
            _parent_sessions.append(self._session)
            self._session = self._open_session()

    def _submit(self, default: _T, work: Callable[..., _T], args: tuple[Any, ...]) -> Future[_T]:
        self._join()
        return self._session.threads.submit(self._run, self._session, default, work, args)

    def _run(self, session: _S, default: _T, work: Callable[..., _T], args: tuple[Any, ...]) -> _T:
        """Do the work; runs on a worker thread."""
        if self._is_backing_off(session):  # work before this one in the queue has failed
            return default
        try:
            return work(session.backend, *args)
        except DamagedError:
            raise
        except (BackendError, OSError):
            session.failed_at = self._clock.monotonic()
            raise


def _consume_exception(future: asyncio.Future[Any]) -> None:
    """Read a future's error, which asyncio would log as never retrieved once nobody waits."""
    if not future.cancelled():
        future.exception()
