"""The stage that sends a slow call a second time, and takes the faster answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import TypeAlias, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import HedgeSettings
from llmops_sdk.errors import ProviderTimeoutError
from llmops_sdk.providers import Chunk, Provider, Request, Response, WrapperProvider
from llmops_sdk.providers.traffic import Route
from llmops_sdk.resilience._chunks import aclose, close, is_piece
from llmops_sdk.resilience.hedging._call import Entry, HedgedCall
from llmops_sdk.resilience.hedging._policies import HedgePolicies
from llmops_sdk.resilience.hedging._policy import HedgePolicy
from llmops_sdk.resilience.hedging._race import arace, race

__all__ = ["HedgeProvider"]

_T = TypeVar("_T")
_Opened: TypeAlias = tuple[list[Chunk], Iterator[Chunk]]
_AsyncOpened: TypeAlias = tuple[list[Chunk], AsyncIterator[Chunk]]


class HedgeProvider(WrapperProvider):
    """A stage that sends a second request when the first takes unusually long; the first answer counts.

    Of a stream, the first piece decides. A first request that fails before the delay is the retry's affair; afterwards
    the other one may still answer. Async, the loser is cancelled. Sync, both requests run in a bounded pool of daemon
    threads: the loser's answer is dropped when it comes. Embeddings are never hedged, nor calls with tools unless the
    settings say so, nor calls while others wait for a limit.

    Args:
        inner: The provider to call.
        settings: When to hedge.
        clock: The time.
        name: The model's name, in the record of each hedge.
        policies: The statistics to go on with, under these settings. Default: new ones.

    Example:
        >>> from llmops_sdk.config import HedgeSettings, Settings, resolve_model
        >>> from llmops_sdk.providers import Request, open_provider
        >>> from llmops_sdk.resilience.hedging import HedgeProvider
        >>> inner = open_provider(resolve_model(Settings(), "offline/echo"))
        >>> provider = HedgeProvider(inner, HedgeSettings(share=0.05))
        >>> provider.complete(Request(model="offline/echo", messages=[{"role": "user", "content": "Hi"}])).text
        'Hi'
    """

    def __init__(
        self,
        inner: Provider,
        settings: HedgeSettings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        name: str = "",
        policies: HedgePolicies | None = None,
    ) -> None:
        super().__init__(inner)
        self.settings = settings
        self.policies = HedgePolicies.of(settings) if policies is None else policies
        self.policies.update(settings)
        self._clock = clock
        self._name = name

    def complete(self, request: Request) -> Response:
        if not self._may_hedge(request):
            return self.inner.complete(request)
        policy = self.policies.answers
        if policy.delay() is None:
            with _Observed(policy, self._clock):
                return self.inner.complete(request)
        call: HedgedCall[Response] = self._call(policy, request)

        def send(entry: Entry[Response]) -> Response:
            return self.inner.complete(_request_of(entry, call, request))

        response = race(call, send, _ignore)
        call.note_cost(response.cost)
        call.record()
        return response

    async def acomplete(self, request: Request) -> Response:
        if not self._may_hedge(request):
            return await self.inner.acomplete(request)
        policy = self.policies.answers
        if policy.delay() is None:
            with _Observed(policy, self._clock):
                return await self.inner.acomplete(request)
        call: HedgedCall[Response] = self._call(policy, request)

        async def send(entry: Entry[Response]) -> Response:
            return await self.inner.acomplete(_request_of(entry, call, request))

        response = await arace(call, send, _aignore)
        call.note_cost(response.cost)
        call.record()
        return response

    def stream(self, request: Request) -> Iterator[Chunk]:
        if not self._may_hedge(request):
            yield from self.inner.stream(request)
            return
        call: HedgedCall[_Opened] = self._call(self.policies.streams, request)

        def send(entry: Entry[_Opened]) -> _Opened:
            return _first_piece(self.inner.stream(_request_of(entry, call, request)))

        held, chunks = race(call, send, lambda opened: close(opened[1]))
        try:
            for chunk in held:
                call.note_cost(chunk.cost)
                yield chunk
            for chunk in chunks:
                call.note_cost(chunk.cost)
                yield chunk
        finally:
            call.record()
            close(chunks)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        if not self._may_hedge(request):
            chunks = self.inner.astream(request)
            try:
                async for chunk in chunks:
                    yield chunk
            finally:
                await aclose(chunks)
            return
        call: HedgedCall[_AsyncOpened] = self._call(self.policies.streams, request)

        async def send(entry: Entry[_AsyncOpened]) -> _AsyncOpened:
            return await _afirst_piece(self.inner.astream(_request_of(entry, call, request)))

        held, chunks = await arace(call, send, lambda opened: aclose(opened[1]))
        try:
            for chunk in held:
                call.note_cost(chunk.cost)
                yield chunk
            async for chunk in chunks:
                call.note_cost(chunk.cost)
                yield chunk
        finally:
            call.record()
            await aclose(chunks)

    def _may_hedge(self, request: Request) -> bool:
        return self.settings.tools or not request.tools

    def _call(self, policy: HedgePolicy, request: Request) -> HedgedCall[_T]:
        return HedgedCall(policy, self._clock, self._name or request.model, request.route, self._has_room)

    def _has_room(self) -> bool:
        health = self.health()
        return health.ready and not health.waiting


class _Observed:
    """Observes the latency of a call that must not be hedged."""

    __slots__ = ("_began", "_clock", "_policy")

    def __init__(self, policy: HedgePolicy, clock: Clock) -> None:
        self._policy, self._clock = policy, clock

    def __enter__(self) -> None:
        self._began = self._clock.monotonic()

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, ProviderTimeoutError):
            self._policy.observe(self._clock.monotonic() - self._began)


def _request_of(entry: Entry[_T], call: HedgedCall[_T], request: Request) -> Request:
    """Return the request to send: the second one has the time that is left, and a record of its own."""
    if entry is call.first:
        return request
    timeout, route = request.timeout, request.route
    if timeout is not None and timeout.total is not None:
        timeout = timeout.model_copy(update={"total": max(0.001, timeout.total - call.elapsed())})
    if route is not None:
        route = Route(route.tried, route.legs, entry.leg)
    return replace(request, timeout=timeout, route=route)


def _first_piece(chunks: Iterator[Chunk]) -> _Opened:
    """Return the chunks up to the first piece of the answer, and the others to come."""
    held: list[Chunk] = []
    try:
        for chunk in chunks:
            held.append(chunk)
            if is_piece(chunk):
                break
    except BaseException:
        close(chunks)
        raise
    return held, chunks


async def _afirst_piece(chunks: AsyncIterator[Chunk]) -> _AsyncOpened:
    held: list[Chunk] = []
    try:
        async for chunk in chunks:
            held.append(chunk)
            if is_piece(chunk):
                break
    except BaseException:
        await aclose(chunks)
        raise
    return held, chunks


def _ignore(_: Response) -> None:
    pass


async def _aignore(_: Response) -> None:
    pass
