"""The stage that serves stored answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.caching.exact._admission import refused_request, refused_response
from llmops_sdk.caching.exact._codec import read_response, write_response
from llmops_sdk.caching.exact._exact import CachePolicy, CacheStats, ExactCache, record_bypass
from llmops_sdk.caching.exact._flight import FlightTimeoutError
from llmops_sdk.caching.exact._key import request_key
from llmops_sdk.config import CacheSettings, Timeout
from llmops_sdk.errors import ProviderTimeoutError
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, WrapperProvider, chunks_of

__all__ = ["CacheProvider"]


@public("llmops_sdk.caching")
class CacheProvider(WrapperProvider):
    """A stage that serves the stored answer of an identical request, and stores new answers.

    Identical calls at the same time in one process make one call to the provider. Streams are served and stored too,
    but neither wait nor are waited for: their consumer sets their pace. A stream is stored when it reaches its end.

    Args:
        inner: The provider to call on a miss.
        settings: Whether the cache is on, how long answers are valid, and who shares them.
        path: The folder of the cache; the answers are in `exact` inside it.
        clock: The time.
        identity: What distinguishes the model from others of its name, such as its server's URL.

    Raises:
        ProviderTimeoutError: At a call: an identical call under way did not end within the time of this one.

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
        policy = self._policy(request)
        if policy is None:
            return self.inner.complete(request)
        try:
            return self._exact.fetch(policy, lambda left: self.inner.complete(_bounded(request, left)))
        except FlightTimeoutError as error:
            raise self._timeout_error(request) from error

    async def acomplete(self, request: Request) -> Response:
        policy = self._policy(request)
        if policy is None:
            return await self.inner.acomplete(request)
        try:
            return await self._exact.afetch(policy, lambda left: self.inner.acomplete(_bounded(request, left)))
        except FlightTimeoutError as error:
            raise self._timeout_error(request) from error

    def stream(self, request: Request) -> Iterator[Chunk]:
        policy = self._policy(request)
        if policy is None:
            yield from self.inner.stream(request)
            return
        with self._exact.lookup(policy) as lookup:
            if (served := lookup.serve(self._exact.find(policy.key), "served")) is not None:
                yield from chunks_of(served)
                return
            whole = Accumulator()
            with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
                for chunk in chunks:
                    whole.add(chunk)
                    yield chunk
            self._exact.store(lookup, whole.response())

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        policy = self._policy(request)
        if policy is None:
            async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        with self._exact.lookup(policy) as lookup:
            if (served := lookup.serve(await self._exact.afind(policy.key), "served")) is not None:
                for chunk in chunks_of(served):
                    yield chunk
                return
            whole = Accumulator()
            async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
                async for chunk in chunks:
                    whole.add(chunk)
                    yield chunk
            await self._exact.astore(lookup, whole.response())

    def clear(self) -> int:
        """Remove every answer, and return how many there were."""
        return self._exact.clear()

    def stats(self) -> CacheStats:
        """Return what the cache has done in this process, and what it holds."""
        return self._exact.stats()

    def close(self) -> None:
        self._exact.close()
        self.inner.close()

    async def aclose(self) -> None:
        self._exact.close()
        await self.inner.aclose()

    def _policy(self, request: Request) -> CachePolicy[Response] | None:
        """Return how the cache serves a request, or None; where the cache is on, record why not."""
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
        total = (request.timeout or Timeout()).total
        return CachePolicy(key, total, refused_response, write_response, _read, lambda served: served.saved_cost)

    def _timeout_error(self, request: Request) -> ProviderTimeoutError:
        return ProviderTimeoutError(
            f"{request.model}: the total deadline passed while an identical call was under way; set a longer `timeout`",
            provider=self.name,
            model=request.model,
        )


def _read(payload: Any) -> Response | None:
    stored = read_response(payload)
    return None if stored is None else replace(stored, cache="exact", cost=0.0, saved_cost=stored.cost)


def _bounded(request: Request, left: float | None) -> Request:
    """Return the request with the time that is left after a wait for another caller's call."""
    bounds = request.timeout or Timeout()
    if left is None or left == bounds.total:
        return request
    return replace(request, timeout=bounds.model_copy(update={"total": max(left, 0.001)}))
