"""The stage that serves stored answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.caching._admission import refused_request, refused_response
from llmops_sdk.caching._codec import read_response, write_response
from llmops_sdk.caching._exact import CacheStats, ExactCache, Lookup, record_bypass
from llmops_sdk.caching._flight import FlightTimeoutError
from llmops_sdk.caching._key import request_key
from llmops_sdk.config import CacheSettings, Timeout
from llmops_sdk.errors import ProviderTimeoutError
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, WrapperProvider, chunks_of

__all__ = ["CacheProvider"]


@dataclass(frozen=True, slots=True)
class _ResponsePlan:
    """How answers are stored and served."""

    key: str
    total: float | None

    def refused(self, value: Response) -> str | None:
        return refused_response(value)

    def write(self, value: Response) -> Any:
        return write_response(value)

    def read(self, payload: Any) -> Response | None:
        stored = read_response(payload)
        return None if stored is None else replace(stored, cache="exact", cost=0.0, saved_cost=stored.cost)

    def saved(self, value: Response) -> float | None:
        return value.saved_cost


@public("llmops_sdk.caching")
class CacheProvider(WrapperProvider):
    """Serves the stored answer of a request that is the same in every part, and stores new ones.

    Identical calls that run at the same time in one process make one call to the provider. Streams are served and
    stored too, but wait for nobody and let nobody wait: their consumer sets their pace.

    Args:
        inner: The provider that is called on a miss.
        settings: Whether it is on, how long answers are valid, whose they are.
        path: The folder of the cache; the answers are in `exact` inside it.
        clock: The time.
        identity: What else tells one model from another of the same name, as in its server's URL.

    Example:
        >>> import pathlib, tempfile
        >>> from llmops_sdk.caching import CacheProvider
        >>> from llmops_sdk.config import CacheSettings, Settings, resolve_model
        >>> from llmops_sdk.providers import Request, open_provider
        >>> folder = tempfile.TemporaryDirectory()
        >>> inner = open_provider(resolve_model(Settings(), "offline/echo"))
        >>> provider = CacheProvider(inner, CacheSettings(exact=True), path=pathlib.Path(folder.name))
        >>> request = Request(model="offline/echo", messages=[{"role": "user", "content": "Hi"}])
        >>> [provider.complete(request).cache for _ in range(2)]
        [None, 'exact']
        >>> provider.close(), folder.cleanup()
        (None, None)
    """

    def __init__(
        self,
        inner: Provider,
        settings: CacheSettings,
        *,
        path: Path,
        clock: Clock = SYSTEM_CLOCK,
        identity: str = "",
    ) -> None:
        super().__init__(inner)
        self.settings = settings
        self.identity = identity
        self._exact = ExactCache(path / "exact", ttl=settings.ttl, max_bytes=settings.max_bytes, clock=clock)

    def complete(self, request: Request) -> Response:
        """The whole answer.

        Raises:
            ProviderTimeoutError: An identical call that was under way did not end within the time of this one.
        """
        plan = self._plan(request)
        if plan is None:
            return self.inner.complete(request)
        try:
            return self._exact.fetch(plan, lambda left: self.inner.complete(_bounded(request, left)))
        except FlightTimeoutError as error:
            raise self._late(request) from error

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async.

        Raises:
            ProviderTimeoutError: An identical call that was under way did not end within the time of this one.
        """
        plan = self._plan(request)
        if plan is None:
            return await self.inner.acomplete(request)
        try:
            return await self._exact.afetch(plan, lambda left: self.inner.acomplete(_bounded(request, left)))
        except FlightTimeoutError as error:
            raise self._late(request) from error

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces; it is stored when it was taken to its end."""
        plan = self._plan(request)
        if plan is None:
            yield from self.inner.stream(request)
            return
        with Lookup() as lookup:
            turn = self._exact.turn(plan, lookup)
            if (served := turn.serve(self._exact.find(plan.key), "served")) is not None:
                yield from chunks_of(served)
                return
            whole = Accumulator()
            with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
                for chunk in chunks:
                    whole.add(chunk)
                    yield chunk
            if (entry := turn.entry_for(whole.response())) is not None:
                turn.note_kept(self._exact.keep(plan.key, entry))

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async; it is stored when it was taken to its end."""
        plan = self._plan(request)
        if plan is None:
            async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        with Lookup() as lookup:
            turn = self._exact.turn(plan, lookup)
            if (served := turn.serve(await self._exact.afind(plan.key), "served")) is not None:
                for chunk in chunks_of(served):
                    yield chunk
                return
            whole = Accumulator()
            async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
                async for chunk in chunks:
                    whole.add(chunk)
                    yield chunk
            if (entry := turn.entry_for(whole.response())) is not None:
                turn.note_kept(await self._exact.akeep(plan.key, entry))

    def clear(self) -> int:
        """Forget every answer; how many there were."""
        return self._exact.clear()

    def stats(self) -> CacheStats:
        """What the cache has done in this process, and what it holds."""
        return self._exact.stats()

    def close(self) -> None:
        """Close the database and the provider inside."""
        self._exact.close()
        self.inner.close()

    async def aclose(self) -> None:
        """Close the database and the provider inside, async."""
        self._exact.close()
        await self.inner.aclose()

    def _plan(self, request: Request) -> _ResponsePlan | None:
        """How the cache serves a request, or None, with the reason recorded where the cache is on."""
        on = self.settings.exact if request.cache is None else request.cache
        if not on:
            if self.settings.exact:
                record_bypass("asked")
            return None
        reason = refused_request(request, self.settings)
        key = request_key(request, namespace=self.settings.namespace, identity=self.identity)
        if reason is not None or key is None:
            record_bypass(reason or "not_json")
            return None
        return _ResponsePlan(key, (request.timeout or Timeout()).total)

    def _late(self, request: Request) -> ProviderTimeoutError:
        return ProviderTimeoutError(
            f"{request.model}: the total deadline passed while an identical call was under way",
            provider=self.name,
            model=request.model,
        )


def _bounded(request: Request, left: float | None) -> Request:
    """The request with the time that is left after a wait for another caller's call."""
    bounds = request.timeout or Timeout()
    if left is None or left == bounds.total:
        return request
    return replace(request, timeout=bounds.model_copy(update={"total": max(left, 0.001)}))
