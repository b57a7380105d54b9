"""The stage that tries a failed call to a model again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from random import uniform
from typing import Generic, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.config import RetrySettings, Timeout
from llmops_sdk.errors import ProviderError, ProviderTimeoutError, StreamInterruptedError
from llmops_sdk.providers import Accumulator, Chunk, Embeddings, Provider, Request, Response, WrapperProvider
from llmops_sdk.resilience._attempts import Attempts, Try
from llmops_sdk.resilience._budget import budget_of
from llmops_sdk.resilience._chunks import aclose, close, is_piece
from llmops_sdk.resilience._policy import Uniform, retryable
from llmops_sdk.resilience._retry_loop import acall, call

__all__ = ["RetryProvider"]

_T = TypeVar("_T")
_Chunks = TypeVar("_Chunks")
_Stack = TypeVar("_Stack")


def _no_chunks() -> list[Chunk]:
    return []


@dataclass(slots=True)
class _Opened(Generic[_Chunks, _Stack]):
    """A stream whose first piece has come.

    Attributes:
        attempt: The attempt that the stream is.
        chunks: The rest of it.
        undo: Closes the chunks and ends the attempt.
        held: What has come, empty chunks before the first piece included.
    """

    attempt: Try
    chunks: _Chunks
    undo: _Stack
    held: list[Chunk] = field(default_factory=_no_chunks)


@public("llmops_sdk.resilience")
class RetryProvider(WrapperProvider):
    """Tries a failed call again, within a number of attempts and a total deadline.

    A stream is tried again only until the first piece of its answer. Each attempt stands in `Response.attempts` (on a
    stream: on the chunk with the finish reason and those after it), in the `attempts` of the error that is raised,
    and as an event on the current span.

    Args:
        inner: The provider that is called.
        policy: How often, and the seconds between.
        clock: The time, and how to wait.
        random: Draws the jitter between two bounds, as `random.uniform` does.

    Example:
        >>> from llmops_sdk.config import RetrySettings, Settings, resolve_model
        >>> from llmops_sdk.providers import Request, open_provider
        >>> from llmops_sdk.resilience import RetryProvider
        >>> inner = open_provider(resolve_model(Settings(), "offline/echo"))
        >>> provider = RetryProvider(inner, RetrySettings(attempts=2))
        >>> request = Request(model="offline/echo", messages=[{"role": "user", "content": "Hi"}])
        >>> [attempt.status for attempt in provider.complete(request).attempts]
        ['ok']
    """

    def __init__(
        self, inner: Provider, policy: RetrySettings, *, clock: Clock = SYSTEM_CLOCK, random: Uniform = uniform
    ) -> None:
        super().__init__(inner)
        self.policy = policy
        self._clock = clock
        self._uniform = random

    def complete(self, request: Request) -> Response:
        """The whole answer.

        Raises:
            ProviderError: That of the last attempt, with every attempt in its `attempts`.
        """
        attempts = self._attempts(request)

        def attempt() -> Response:
            with attempts.begin() as one:
                response = self.inner.complete(_bounded(request, attempts, whole=True))
                one.cost = response.cost
                return response

        return replace(call(attempt, attempts, retryable), attempts=tuple(attempts.made))

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async.

        Raises:
            ProviderError: That of the last attempt, with every attempt in its `attempts`.
        """
        attempts = self._attempts(request)

        async def attempt() -> Response:
            with attempts.begin() as one:
                bounded = _bounded(request, attempts, whole=True)
                response = await _whole_in_time(self.inner.acomplete(bounded), attempts, bounded)
                one.cost = response.cost
                return response

        return replace(await acall(attempt, attempts, retryable), attempts=tuple(attempts.made))

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces.

        Raises:
            ProviderError: That of the last attempt, with every attempt in its `attempts`.
            StreamInterruptedError: The stream broke, or the total deadline passed, after the first piece.
        """
        attempts = self._attempts(request)

        def attempt() -> _Opened[Iterator[Chunk], ExitStack]:
            with ExitStack() as undo:
                one = undo.enter_context(attempts.begin())
                chunks = self.inner.stream(_bounded(request, attempts))
                undo.callback(close, chunks)
                opened = _Opened(one, chunks, undo)
                for chunk in chunks:
                    opened.held.append(chunk)
                    if is_piece(chunk):
                        break
                    _check(attempts)
                _check(attempts)
                opened.undo = undo.pop_all()
                return opened

        opened = call(attempt, attempts, retryable)
        seen = Accumulator()
        with opened.undo:
            for chunk in opened.held:
                yield _told(chunk, attempts, opened.attempt, seen)
            for chunk in opened.chunks:
                _check(attempts, opened.attempt, seen)
                yield _told(chunk, attempts, opened.attempt, seen)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async.

        Raises:
            ProviderError: That of the last attempt, with every attempt in its `attempts`.
            StreamInterruptedError: The stream broke, or the total deadline passed, after the first piece.
        """
        attempts = self._attempts(request)

        async def attempt() -> _Opened[AsyncIterator[Chunk], AsyncExitStack]:
            async with AsyncExitStack() as undo:
                one = undo.enter_context(attempts.begin())
                chunks = self.inner.astream(_bounded(request, attempts))
                undo.push_async_callback(aclose, chunks)
                opened = _Opened(one, chunks, undo)
                while (chunk := await _in_time(anext(chunks, None), attempts)) is not None:
                    opened.held.append(chunk)
                    if is_piece(chunk):
                        break
                    _check(attempts)
                _check(attempts)
                opened.undo = undo.pop_all()
                return opened

        opened = await acall(attempt, attempts, retryable)
        seen = Accumulator()
        async with opened.undo:
            for chunk in opened.held:
                yield _told(chunk, attempts, opened.attempt, seen)
            while (chunk := await _in_time(anext(opened.chunks, None), attempts, opened.attempt, seen)) is not None:
                _check(attempts, opened.attempt, seen)
                yield _told(chunk, attempts, opened.attempt, seen)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`.

        Raises:
            ProviderError: That of the last attempt, with every attempt in its `attempts`.
        """
        attempts = self._attempts(request)

        def attempt() -> Embeddings:
            with attempts.begin() as one:
                embeddings = self.inner.embed(texts, _bounded(request, attempts, whole=True))
                one.cost = embeddings.cost
                return embeddings

        return call(attempt, attempts, retryable)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`, async.

        Raises:
            ProviderError: That of the last attempt, with every attempt in its `attempts`.
        """
        attempts = self._attempts(request)

        async def attempt() -> Embeddings:
            with attempts.begin() as one:
                bounded = _bounded(request, attempts, whole=True)
                embeddings = await _whole_in_time(self.inner.aembed(texts, bounded), attempts, bounded)
                one.cost = embeddings.cost
                return embeddings

        return await acall(attempt, attempts, retryable)

    def _attempts(self, request: Request) -> Attempts:
        return Attempts(
            policy=self.policy,
            clock=self._clock,
            uniform=self._uniform,
            total=(request.timeout or Timeout()).total,
            provider=self.name,
            model=request.model,
            first=request.first_attempt,
            reason=request.reason,
            budget=budget_of(request.model, self.policy.budget),
        )


def _bounded(request: Request, attempts: Attempts, *, whole: bool = False) -> Request:
    """The request with the time that is left; of the first attempt that is all, unless an attempt has a bound."""
    timeout = request.timeout or Timeout()
    left = attempts.remaining() if attempts.made else timeout.total
    if whole and timeout.attempt is not None:
        left = timeout.attempt if left is None else min(left, timeout.attempt)
    return request if left == timeout.total else replace(request, timeout=timeout.model_copy(update={"total": left}))


def _told(chunk: Chunk, attempts: Attempts, attempt: Try, seen: Accumulator) -> Chunk:
    """Note what the chunk says; from the finish reason on, it carries the attempts."""
    seen.add(chunk)
    if chunk.cost is not None:
        attempt.cost = chunk.cost
    if chunk.finish_reason:
        attempt.finished = True
    return replace(chunk, attempts=attempts.snapshot(attempt)) if attempt.finished else chunk


def _check(attempts: Attempts, attempt: Try | None = None, seen: Accumulator | None = None) -> None:
    """Raise when the total deadline has passed: a stream that drips keeps every other bound."""
    left = attempts.remaining()
    if left is not None and left <= 0 and not (attempt is not None and attempt.finished):
        raise _late(attempts, seen)


def _late(attempts: Attempts, seen: Accumulator | None) -> ProviderError:
    message = f"{attempts.model}: the total deadline of {attempts.total:g} s passed"
    if seen is None:
        return ProviderTimeoutError(message, provider=attempts.provider, model=attempts.model)
    return StreamInterruptedError(
        f"{message} in the middle of the stream",
        partial=seen.response(),
        provider=attempts.provider,
        model=attempts.model,
    )


async def _whole_in_time(work: Awaitable[_T], attempts: Attempts, request: Request) -> _T:
    """Await an attempt within the bounds of its request, whether or not the provider inside keeps to them."""
    timeout = request.timeout or Timeout()
    bound = asyncio.timeout(timeout.total)
    try:
        async with bound:
            return await work
    except TimeoutError as error:
        if not bound.expired():
            raise
        _check(attempts)
        raise ProviderTimeoutError(
            f"{attempts.model}: the attempt took longer than {timeout.total:g} s",
            provider=attempts.provider,
            model=attempts.model,
        ) from error


async def _in_time(
    work: Awaitable[_T], attempts: Attempts, attempt: Try | None = None, seen: Accumulator | None = None
) -> _T:
    """Await within the total deadline, whether or not the provider inside keeps to it."""
    bound = asyncio.timeout(None if attempt is not None and attempt.finished else attempts.remaining())
    try:
        async with bound:
            return await work
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise _late(attempts, seen) from error
