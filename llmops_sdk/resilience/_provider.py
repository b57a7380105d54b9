"""The stage that retries failed calls to a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import fields, replace
from random import uniform
from typing import TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.config import RetrySettings, Timeout
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response, WrapperProvider
from llmops_sdk.providers.traffic import Route
from llmops_sdk.resilience._attempts import Attempts, AttemptScope
from llmops_sdk.resilience._budget import budget_of
from llmops_sdk.resilience._chunks import aclose, close
from llmops_sdk.resilience._error_classes import retryable
from llmops_sdk.resilience._retry_loop import acall, call
from llmops_sdk.resilience._retry_waits import Uniform

__all__ = ["RetryProvider"]

_T = TypeVar("_T")
_Answer = TypeVar("_Answer", Response, Embeddings)


@public("llmops_sdk.resilience")
class RetryProvider(WrapperProvider):
    """A stage that retries failed calls, within a number of attempts and a total deadline.

    It retries a stream only until the first piece of the answer. `Response.attempts` lists the attempts (on a stream:
    the chunk with the finish reason and those after it do), and so does `attempts` of the error that is raised. Each
    attempt is also an event on the current span. No wait is shorter than a cooldown of the deployment.

    Args:
        inner: The provider to call.
        policy: How often to retry, and the seconds to wait.
        clock: The time, and how to wait.
        random: Draws the jitter between two bounds, as `random.uniform` does.
        deployment: The model's name in `[models]`, for its attempts and answers; None if it has none, or if a stage
            below chooses among several.
        routes: Whether a stage below chooses among deployments, or hedges.

    Raises:
        ProviderError: At a call: the error of the last attempt, with every attempt in its `attempts`.
        StreamInterruptedError: At a chunk: the stream broke, or the total deadline passed, after the first piece.

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
        self,
        inner: Provider,
        policy: RetrySettings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        random: Uniform = uniform,
        deployment: str | None = None,
        routes: bool = False,
    ) -> None:
        super().__init__(inner)
        self.policy = policy
        self.deployment = deployment
        self._routes = routes
        self._clock = clock
        self._uniform = random

    def complete(self, request: Request) -> Response:
        self.prepare()
        attempts = self._attempts(request)
        response = self._call(self.inner.complete, request, attempts)
        return replace(response, attempts=tuple(attempts.ended), deployment=attempts.served() or response.deployment)

    async def acomplete(self, request: Request) -> Response:
        await self.aprepare()
        attempts = self._attempts(request)
        response = await self._acall(self.inner.acomplete, request, attempts)
        return replace(response, attempts=tuple(attempts.ended), deployment=attempts.served() or response.deployment)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        self.prepare()
        attempts = self._attempts(request)
        made = self._call(lambda bounded: self.inner.embed(texts, bounded), request, attempts)
        return _with_deployment(made, attempts)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        await self.aprepare()
        attempts = self._attempts(request)
        made = await self._acall(lambda bounded: self.inner.aembed(texts, bounded), request, attempts)
        return _with_deployment(made, attempts)

    def stream(self, request: Request) -> Iterator[Chunk]:
        self.prepare()
        attempts = self._attempts(request)

        def attempt() -> tuple[AttemptScope, Iterator[Chunk], ExitStack]:
            with ExitStack() as undo:
                scope = undo.enter_context(attempts.begin())
                chunks = self.inner.stream(self._request(request, attempts, scope))
                undo.callback(close, chunks)
                for chunk in chunks:
                    if scope.hold(chunk):
                        break
                scope.check_deadline()
                return scope, chunks, undo.pop_all()

        scope, chunks, undo = call(attempt, attempts, retryable)
        with undo:
            for chunk in scope.held:
                yield scope.deliver(chunk)
            for chunk in chunks:
                scope.check_deadline()
                yield scope.deliver(chunk)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        await self.aprepare()
        attempts = self._attempts(request)

        async def attempt() -> tuple[AttemptScope, AsyncIterator[Chunk], AsyncExitStack]:
            async with AsyncExitStack() as undo:
                scope = undo.enter_context(attempts.begin())
                chunks = self.inner.astream(self._request(request, attempts, scope))
                undo.push_async_callback(aclose, chunks)
                while (chunk := await _next_in_time(chunks, scope)) is not None:
                    if scope.hold(chunk):
                        break
                scope.check_deadline()
                return scope, chunks, undo.pop_all()

        scope, chunks, undo = await acall(attempt, attempts, retryable)
        async with undo:
            for chunk in scope.held:
                yield scope.deliver(chunk)
            while (chunk := await _next_in_time(chunks, scope)) is not None:
                scope.check_deadline()
                yield scope.deliver(chunk)

    def _call(self, work: Callable[[Request], _Answer], request: Request, attempts: Attempts) -> _Answer:
        def attempt() -> _Answer:
            with attempts.begin() as scope:
                answer = work(self._request(request, attempts, scope, whole=True))
                scope.cost = answer.cost
                return answer

        return call(attempt, attempts, retryable)

    async def _acall(
        self, work: Callable[[Request], Awaitable[_Answer]], request: Request, attempts: Attempts
    ) -> _Answer:
        async def attempt() -> _Answer:
            with attempts.begin() as scope:
                bounded = self._request(request, attempts, scope, whole=True)
                answer = await _whole_in_time(work(bounded), bounded, scope)
                scope.cost = answer.cost
                return answer

        return await acall(attempt, attempts, retryable)

    def _attempts(self, request: Request) -> Attempts:
        return Attempts(
            policy=self.policy,
            clock=self._clock,
            uniform=self._uniform,
            total=(request.timeout or Timeout()).total,
            provider=self.name,
            model=request.model,
            first_number=request.first_attempt,
            first_reason=request.reason,
            budget=budget_of(self._budget_key(request), self.policy.budget),
            deployment=self.deployment,
            counts_refusals=False,
            can_go_elsewhere=self.has_other_deployment if self._routes else None,
            cooldown=self._cooldown,
        )

    def _cooldown(self) -> float:
        return self.health().cooldown

    def _request(self, request: Request, attempts: Attempts, scope: AttemptScope, *, whole: bool = False) -> Request:
        """Return the request of an attempt: with the time that is left, and where stages below note what they do."""
        bounded = _bounded(request, attempts, whole=whole)
        return _with_route(bounded, scope.route) if self._routes else bounded

    def _budget_key(self, request: Request) -> str:
        """Return what shares a retry budget: the calls to one server, or to one model where the server is unknown."""
        server = self.server
        return request.model if server is None else f"{self.name} at {server[0]}:{server[1]}"


_FIELDS = tuple(one.name for one in fields(Request) if one.name != "route")


def _with_route(request: Request, route: Route) -> Request:
    """Return the request with a route: `dataclasses.replace` in a third of the time."""
    copy = object.__new__(Request)
    for name in _FIELDS:
        object.__setattr__(copy, name, getattr(request, name))
    object.__setattr__(copy, "route", route)
    return copy


def _with_deployment(made: Embeddings, attempts: Attempts) -> Embeddings:
    deployment = attempts.served()
    return made if deployment is None else replace(made, deployment=deployment)


def _bounded(request: Request, attempts: Attempts, *, whole: bool = False) -> Request:
    """Return the request with the time that is left; for a first attempt that is all of it."""
    timeout = request.timeout or Timeout()
    left = attempts.remaining() if attempts.ended else timeout.total
    if whole and timeout.attempt is not None:
        left = timeout.attempt if left is None else min(left, timeout.attempt)
    return request if left == timeout.total else replace(request, timeout=timeout.model_copy(update={"total": left}))


async def _whole_in_time(work: Awaitable[_T], request: Request, scope: AttemptScope) -> _T:
    """Await an attempt within the bounds of its request, even if the provider inside ignores them."""
    total = (request.timeout or Timeout()).total
    bound = asyncio.timeout(total)
    try:
        async with bound:
            return await work
    except TimeoutError as error:
        if not bound.expired():
            raise
        scope.check_deadline()
        raise scope.attempt_timeout(total) from error


async def _next_in_time(chunks: AsyncIterator[Chunk], scope: AttemptScope) -> Chunk | None:
    """Await the next chunk within the total deadline, even if the provider inside ignores it; None at the end."""
    bound = asyncio.timeout(scope.remaining())
    try:
        async with bound:
            return await anext(chunks, None)
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise scope.deadline_error() from error
