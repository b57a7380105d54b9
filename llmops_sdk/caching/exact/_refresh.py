"""Ask for a new value in the background while an old one is served."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk.caching.backends._store import new_token
from llmops_sdk.caching.exact._lookup import CachePolicy, Lookup

if TYPE_CHECKING:
    from llmops_sdk.caching.backends._store import CacheStore
    from llmops_sdk.caching.exact._stats import Counts

__all__ = ["NO_SCOPE", "RefreshScope", "Refreshes"]

_T = TypeVar("_T")

_MOST = 4
"""How many values one cache refreshes at a time; others stay stale until the next call for them."""

RefreshScope: TypeAlias = Callable[[], AbstractContextManager[Callable[[Any], object]]]
"""Makes what surrounds a refresh, as a span; what it gives is called with the new value."""


def NO_SCOPE() -> AbstractContextManager[Callable[[Any], object]]:  # noqa: N802 - a constant that is called
    """Surround a refresh with nothing."""
    return nullcontext(lambda _: None)


class Refreshes(Generic[_T]):
    """The refreshes of one cache: a bounded number at a time, and one for each key over all processes.

    They run in the context of the call that was served, so that their spans stand in its trace.

    Args:
        store: Where the entries are.
        counts: The counters of the cache.
        lookup: Makes the lookup of a refresh.
        is_fresh: Returns whether the bytes of an entry need no refresh.
    """

    def __init__(
        self,
        store: CacheStore,
        counts: Counts,
        lookup: Callable[[CachePolicy[Any]], Lookup[Any]],
        is_fresh: Callable[[bytes], bool],
    ) -> None:
        self._store = store
        self._counts = counts
        self._lookup = lookup
        self._is_fresh = is_fresh
        self._under_way: set[tuple[int, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self,
        policy: CachePolicy[_T],
        ask: Callable[[float | None], _T],
        keep: Callable[[Lookup[_T], _T], _T],
        scope: RefreshScope,
    ) -> None:
        """Refresh a value on a thread of its own, which does not keep the process from ending."""
        place = self._begin(policy)
        if place is None:
            return

        def refresh() -> None:
            with Caught() as caught:
                token = new_token()
                try:
                    if not self._store.claim(policy.key, token):
                        return
                    if self._store.get(policy.key, self._is_fresh):  # another process was faster
                        return
                    self._counts.add("refreshes")
                    with scope() as record, self._lookup(policy).refreshing() as lookup:
                        value = ask(policy.total)
                        record(value)
                        keep(lookup, value)
                finally:
                    self._store.release(policy.key, token)
                    self._under_way.discard(place)
            self._note(caught.error)

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(refresh,), name="llmops-refresh", daemon=True)
        if guarded("cache refresh", True, thread.start):  # a thread could not be started
            self._under_way.discard(place)

    def start_task(
        self,
        policy: CachePolicy[_T],
        ask: Callable[[float | None], Awaitable[_T]],
        keep: Callable[[Lookup[_T], _T], Awaitable[_T]],
        scope: RefreshScope,
    ) -> None:
        """Refresh a value in a task of the running event loop."""
        place = self._begin(policy)
        if place is None:
            return

        async def refresh() -> None:
            with Caught() as caught:
                token = new_token()
                try:
                    if not await self._store.aclaim(policy.key, token):
                        return
                    if await self._store.aget(policy.key, self._is_fresh):
                        return
                    self._counts.add("refreshes")
                    with scope() as record, self._lookup(policy).refreshing() as lookup:
                        value = await ask(policy.total)
                        record(value)
                        await keep(lookup, value)
                finally:
                    self._store.release(policy.key, token)
                    self._under_way.discard(place)
            self._note(caught.error)

        task = asyncio.get_running_loop().create_task(refresh())
        self._tasks.add(task)  # the loop keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    def _begin(self, policy: CachePolicy[_T]) -> tuple[int, str] | None:
        """Note a refresh and return its place, or None when there are enough or the value is refreshed already."""
        pid = os.getpid()
        place = (pid, policy.key)
        if place in self._under_way or sum(one == pid for one, _ in list(self._under_way)) >= _MOST:
            return None
        self._under_way.add(place)
        return place

    def _note(self, error: BaseException | None) -> None:
        if error is not None:
            self._counts.add("refresh_errors")
