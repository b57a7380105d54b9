"""Streams: replayed from the store, or read along by all callers of this process that ask the same at the same time."""

from __future__ import annotations

import contextvars
import copy
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

from llmops_sdk._util._guard import Caught, report
from llmops_sdk.caching.exact._chunks import as_served, read_chunks, usable, write_chunks
from llmops_sdk.caching.exact._exact import ExactCache
from llmops_sdk.caching.exact._flight import FlightTimeoutError
from llmops_sdk.caching.exact._lookup import CachePolicy, Lookup
from llmops_sdk.caching.exact._turns import CallTurn
from llmops_sdk.errors import BadRequestError, LLMOpsError, StreamInterruptedError
from llmops_sdk.providers import Accumulator, Chunk, Response

__all__ = ["FLIGHT", "SharedStreams", "answer_of", "copied", "patience", "with_chunks"]

FLIGHT = "-stream"
"""Streams have flights of their own: whoever waits for a stream waits for the consumer of another one."""


_PATIENCE = 5.0


def patience(first_token: float | None) -> float:
    """Return the seconds that a stream waits at most for that of another process."""
    return _PATIENCE if first_token is None else first_token


def with_chunks(policy: CachePolicy[Response], chunks: list[Chunk]) -> CachePolicy[Response]:
    """Return a policy that also stores the chunks that have come when the answer is written."""
    write = policy.rules.write

    def write_all(response: Response) -> dict[str, Any]:
        return {**write(response), "chunks": write_chunks(usable(chunks))}

    return replace(policy, rules=replace(policy.rules, write=write_all))


def answer_of(chunks: list[Chunk]) -> Response:
    """Return the answer that chunks make."""
    whole = Accumulator()
    for chunk in chunks:
        whole.add(chunk)
    return whole.response()


def copied(error: BaseException, chunks: list[Chunk]) -> BaseException:
    """Return the error of a stream for one more reader: a raised object belongs to the thread that raises it.

    Args:
        error: What ended the stream.
        chunks: What came before.
    """
    if not isinstance(error, Exception):
        return StreamInterruptedError(
            "the caller whose stream this one read along was interrupted: ask again", partial=answer_of(chunks)
        )
    if not isinstance(error, LLMOpsError):
        return error
    new = copy.copy(error)
    new.__cause__ = error
    return new


class _SharedStream:
    """One stream of a provider and its readers. Whoever needs the next chunk pulls it, in the leader's context."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.chunks: list[Chunk] = []
        self.ended = False
        self.error: BaseException | None = None
        self.readers = 1
        self.leader: object = None
        # Reentrant: the garbage collector may close an abandoned stream while this thread pulls.
        self.lock = threading.RLock()
        self.puller: int | None = None
        self.source: Generator[Chunk] | None = None
        self.context = contextvars.copy_context()

    def is_over(self) -> bool:
        return self.ended or self.error is not None


class SharedStreams:
    """The streams of one cache that are under way on threads.

    Args:
        cache: The cache.
    """

    def __init__(self, cache: ExactCache) -> None:
        self._cache = cache
        self._lock = threading.RLock()
        self._under_way: dict[tuple[int, str], _SharedStream] = {}

    def stream(
        self,
        policy: CachePolicy[Response],
        ask: Callable[[float | None], Iterator[Chunk]],
        first_token: float | None,
        refresh: Callable[[Lookup[Response]], None],
    ) -> Iterator[Chunk]:
        """Yield the stored chunks, those of another caller's stream, or new ones.

        Args:
            policy: The key, and how the answer is stored and served.
            ask: Opens a new stream within the seconds that it is given.
            first_token: Seconds to wait at most for the stream of another process.
            refresh: Called after a stored answer was found, to refresh a stale one.

        Raises:
            FlightTimeoutError: The stream of another caller made this one wait for too long.
        """
        with self._cache.lookup(policy) as lookup:
            found = self._cache.find(policy.key)
            if found is not None and (served := lookup.serve(found, "served")) is not None:
                refresh(lookup)
                yield from read_chunks(found.payload, served)
                return
            while True:
                shared, leads = self._join(policy.key)
                try:
                    if leads:
                        yield from self._led(shared, lookup, ask, first_token)
                        return
                    read = 0
                    for chunk in self._chunks(shared, lookup):
                        yield chunk if shared.leader is lookup else as_served(chunk)
                        read += 1
                    if shared.ended:
                        lookup.note_shared(answer_of(shared.chunks).cost, took_over=shared.leader is lookup)
                        return
                    if read and shared.error is not None:
                        raise copied(shared.error, shared.chunks)
                finally:
                    self._leave(shared, lookup)

    def _join(self, key: str) -> tuple[_SharedStream, bool]:
        place = (os.getpid(), key)
        with self._lock:
            shared = self._under_way.get(place)
            # A stream inside the pull of the same one, on the same thread, would wait for itself.
            if shared is not None and not shared.is_over() and shared.puller != threading.get_ident():
                shared.readers += 1
                return shared, False
            shared = _SharedStream(key)
            self._under_way[place] = shared
            return shared, True

    def _leave(self, shared: _SharedStream, lookup: Lookup[Response]) -> None:
        with self._lock:
            shared.readers -= 1
            if shared.leader is lookup:
                shared.leader = None  # the next reader to pull has the cost
            if shared.readers:
                return
            self._forget(shared)
        if shared.source is not None and not shared.is_over():
            with Caught() as caught:
                shared.context.run(shared.source.close)
            if isinstance(caught.error, Exception):
                report("closing a stream", caught.error)
            shared.error = GeneratorExit()

    def _forget(self, shared: _SharedStream) -> None:
        place = (os.getpid(), shared.key)
        if self._under_way.get(place) is shared:
            del self._under_way[place]

    def _led(
        self,
        shared: _SharedStream,
        lookup: Lookup[Response],
        ask: Callable[[float | None], Iterator[Chunk]],
        first_token: float | None,
    ) -> Iterator[Chunk]:
        shared.leader = lookup
        shared.source = self._source(shared, lookup, ask, first_token)
        yield from self._chunks(shared, lookup)
        if shared.error is not None:
            raise shared.error

    def _source(
        self,
        shared: _SharedStream,
        lookup: Lookup[Response],
        ask: Callable[[float | None], Iterator[Chunk]],
        first_token: float | None,
    ) -> Generator[Chunk]:
        """Yield the chunks, and store them at their end; the readers take turns to run this."""
        cache, policy = self._cache, lookup.policy
        turn = CallTurn(cache.store, policy.key, cache.read, threading.get_ident(), cache.clock, flight=FLIGHT)
        with turn:
            taken = turn.take(lookup.remaining, patience(first_token))
            if taken.found is not None and (served := lookup.serve(taken.found, "shared")) is not None:
                yield from read_chunks(taken.found.payload, served)
                return
            with closing(cast("Generator[Chunk]", ask(lookup.remaining()))) as chunks:
                try:
                    yield from chunks
                except BadRequestError as error:
                    cache.keep_error(lookup, error)
                    raise
            lookup.policy = with_chunks(policy, shared.chunks)
            cache.keep(lookup, answer_of(usable(shared.chunks)), turn=turn)

    def _chunks(self, shared: _SharedStream, lookup: Lookup[Response]) -> Iterator[Chunk]:
        """Yield every chunk from the first one, and end at the stream's end or error."""
        index = 0
        while True:
            if index == len(shared.chunks):
                if shared.is_over():
                    return
                self._pull(shared, lookup, index)
                continue
            yield shared.chunks[index]
            index += 1

    def _pull(self, shared: _SharedStream, lookup: Lookup[Response], index: int) -> None:
        """Get one more chunk, unless another reader does so first."""
        left = lookup.remaining()
        if not shared.lock.acquire(timeout=-1 if left is None else max(left, 0.0)):
            raise FlightTimeoutError
        try:
            if index < len(shared.chunks) or shared.is_over() or shared.source is None:
                return
            shared.leader = shared.leader or lookup
            shared.puller = threading.get_ident()
            chunk: Chunk | None = None
            with Caught(BaseException) as caught:
                chunk = shared.context.run(next, shared.source, None)
            shared.puller = None
            if caught.error is not None:
                self._forget(shared)
                shared.error = caught.error
                if not isinstance(caught.error, Exception):
                    raise caught.error
            elif chunk is None:
                self._forget(shared)
                shared.ended = True
            else:
                shared.chunks.append(chunk)
        finally:
            shared.lock.release()
