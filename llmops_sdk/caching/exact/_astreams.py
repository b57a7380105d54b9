"""Async streams: replayed from the store, or read along by all tasks of one event loop that ask the same at once.

One task pulls the provider's stream from its beginning to its end, in the leader's context, each chunk when a reader
wants it: a reader that is cancelled does not break the stream of the others.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeAlias, cast

from llmops_sdk._util._guard import Caught, report
from llmops_sdk.caching.exact._chunks import as_served, read_chunks, usable
from llmops_sdk.caching.exact._exact import ExactCache
from llmops_sdk.caching.exact._flight import FlightTimeoutError
from llmops_sdk.caching.exact._lookup import CachePolicy, Lookup
from llmops_sdk.caching.exact._streams import FLIGHT, answer_of, copied, patience, with_chunks
from llmops_sdk.caching.exact._turns import CallTurn
from llmops_sdk.errors import BadRequestError
from llmops_sdk.providers import Chunk, Response

__all__ = ["SharedAsyncStreams"]

_Ask: TypeAlias = Callable[[float | None], AsyncIterator[Chunk]]


class _SharedStream:
    """One stream of a provider and its readers, in one event loop."""

    def __init__(self, place: tuple[int, int, str]) -> None:
        self.place = place
        self.loop = asyncio.get_running_loop()  # its id stands in the place, and must not be another's
        self.chunks: list[Chunk] = []
        self.ended = False
        self.error: BaseException | None = None
        self.readers = 1
        self.leader: object = None
        self.pump: asyncio.Task[None] | None = None
        self.wanted = asyncio.Event()
        self.news = asyncio.Event()

    def is_over(self) -> bool:
        return self.ended or self.error is not None

    def tell(self) -> None:
        """Wake every reader that waits."""
        news, self.news = self.news, asyncio.Event()
        news.set()


class SharedAsyncStreams:
    """The streams of one cache that are under way in event loops.

    Args:
        cache: The cache.
    """

    def __init__(self, cache: ExactCache) -> None:
        self._cache = cache
        self._under_way: dict[tuple[int, int, str], _SharedStream] = {}

    async def stream(
        self,
        policy: CachePolicy[Response],
        ask: _Ask,
        first_token: float | None,
        refresh: Callable[[Lookup[Response]], None],
    ) -> AsyncIterator[Chunk]:
        """Yield the stored chunks, those of another task's stream, or new ones; see `SharedStreams.stream`."""
        with self._cache.lookup(policy) as lookup:
            found = await self._cache.afind(policy.key)
            if found is not None and (served := lookup.serve(found, "served")) is not None:
                refresh(lookup)
                for chunk in read_chunks(found.payload, served):
                    yield chunk
                return
            while True:
                shared, leads = self._join(policy.key)
                try:
                    if leads:
                        shared.leader = lookup
                        context = contextvars.copy_context()
                        pump = self._pump(shared, lookup, ask, first_token)
                        shared.pump = asyncio.get_running_loop().create_task(pump, context=context)
                    read = 0
                    async with aclosing(self._chunks(shared, lookup)) as chunks:
                        async for chunk in chunks:
                            yield chunk if shared.leader is lookup else as_served(chunk)
                            read += 1
                    if shared.ended:
                        if not leads:
                            lookup.note_shared(answer_of(shared.chunks).cost, took_over=shared.leader is lookup)
                        return
                    if leads and shared.error is not None:
                        raise shared.error
                    if read and shared.error is not None:
                        raise copied(shared.error, shared.chunks)
                finally:
                    await self._leave(shared, lookup)

    def _join(self, key: str) -> tuple[_SharedStream, bool]:
        place = (os.getpid(), id(asyncio.get_running_loop()), key)
        shared = self._under_way.get(place)
        if shared is not None and not shared.is_over() and shared.pump is not asyncio.current_task():
            shared.readers += 1
            return shared, False
        shared = self._under_way[place] = _SharedStream(place)
        return shared, True

    async def _leave(self, shared: _SharedStream, lookup: Lookup[Response]) -> None:
        shared.readers -= 1
        if shared.leader is lookup:
            shared.leader = None  # the next reader to want a chunk has the cost
        if shared.readers:
            return
        self._forget(shared)
        pump = shared.pump
        if pump is not None and not pump.done():
            pump.cancel()
            with Caught() as caught:
                await asyncio.wait([pump])
            if isinstance(caught.error, Exception):
                report("closing a stream", caught.error)

    def _forget(self, shared: _SharedStream) -> None:
        if self._under_way.get(shared.place) is shared:
            del self._under_way[shared.place]

    async def _chunks(self, shared: _SharedStream, lookup: Lookup[Response]) -> AsyncGenerator[Chunk]:
        """Yield every chunk from the first one, and end at the stream's end or error."""
        index = 0
        while True:
            if index < len(shared.chunks):
                yield shared.chunks[index]
                index += 1
                continue
            if shared.is_over():
                return
            shared.leader = shared.leader or lookup
            shared.wanted.set()
            try:
                async with asyncio.timeout(lookup.remaining()):
                    await shared.news.wait()
            except TimeoutError as error:
                raise FlightTimeoutError from error

    async def _pump(
        self, shared: _SharedStream, lookup: Lookup[Response], ask: _Ask, first_token: float | None
    ) -> None:
        """Pull the chunks that readers want, and store them at their end."""
        with Caught(BaseException) as caught:
            async with aclosing(self._source(shared, lookup, ask, first_token)) as source:
                async for chunk in source:
                    shared.wanted.clear()
                    shared.chunks.append(chunk)
                    shared.tell()
                    await shared.wanted.wait()
        self._forget(shared)
        shared.error = caught.error
        shared.ended = caught.error is None
        shared.tell()
        if isinstance(caught.error, asyncio.CancelledError):
            raise caught.error

    async def _source(
        self, shared: _SharedStream, lookup: Lookup[Response], ask: _Ask, first_token: float | None
    ) -> AsyncGenerator[Chunk]:
        cache, policy = self._cache, lookup.policy
        owner = asyncio.current_task()
        with CallTurn(cache.store, policy.key, cache.read, owner, cache.clock, flight=FLIGHT) as turn:
            taken = await turn.take_async(lookup.remaining, patience(first_token))
            if taken.found is not None and (served := lookup.serve(taken.found, "shared")) is not None:
                for chunk in read_chunks(taken.found.payload, served):
                    yield chunk
                return
            async with aclosing(cast("AsyncGenerator[Chunk]", ask(lookup.remaining()))) as chunks:
                try:
                    async for chunk in chunks:
                        yield chunk
                except BadRequestError as error:
                    await cache.akeep_error(lookup, error)
                    raise
            lookup.policy = with_chunks(policy, shared.chunks)
            await cache.akeep(lookup, answer_of(usable(shared.chunks)), turn=turn)
