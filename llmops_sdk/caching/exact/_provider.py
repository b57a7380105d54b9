"""The stage that serves stored answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, aclosing, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.caching.backends._open import open_store
from llmops_sdk.caching.exact._admission import admission, refused_request
from llmops_sdk.caching.exact._astreams import SharedAsyncStreams
from llmops_sdk.caching.exact._codec import read_response, write_response
from llmops_sdk.caching.exact._exact import ExactCache
from llmops_sdk.caching.exact._flight import FlightTimeoutError
from llmops_sdk.caching.exact._key import RequestKeys
from llmops_sdk.caching.exact._lookup import CachePolicy, Lookup, ValueRules, record_bypass
from llmops_sdk.caching.exact._refresh import NO_SCOPE, RefreshScope
from llmops_sdk.caching.exact._stats import CacheStats
from llmops_sdk.caching.exact._streams import SharedStreams
from llmops_sdk.config import CacheSettings, SharedSettings, Timeout
from llmops_sdk.errors import ProviderTimeoutError
from llmops_sdk.providers import Chunk, Provider, Request, Response, WrapperProvider

__all__ = ["CacheProvider"]


@public("llmops_sdk.caching")
class CacheProvider(WrapperProvider):
    """A stage that serves the stored answer of an identical request, and stores new answers.

    Identical calls at the same time make one call to the provider, in the threads, tasks and processes of one machine
    or of all that share a server.
    Identical streams in one process read one stream along. A stream is stored when it reaches its end.

    Args:
        inner: The provider to call on a miss.
        settings: Whether the cache is on, how long answers are valid, and who shares them.
        path: The folder of the cache; the answers are in `exact` inside it.
        clock: The time.
        identity: What distinguishes the model from others of its name, such as its server's URL.
        refresh_scope: Makes what surrounds the call that replaces a stale answer, such as a span; what it gives is
            called with the answer.
        admit: Returns whether a new answer is stored, in place of the rules for tool calls, finish reasons, empty texts
            and fallbacks; or None.
        shared: The server where the answers are instead, shared by processes and machines.

    Raises:
        MissingDependencyError: The library for this server is not installed.
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
        refresh_scope: Callable[[Request], AbstractContextManager[Callable[[Response], object]]] | None = None,
        admit: Callable[[Response], bool] | None = None,
        shared: SharedSettings | None = None,
    ) -> None:
        super().__init__(inner)
        self.settings = settings
        self.identity = identity
        self._exact = ExactCache(
            open_store("exact", path, shared, max_bytes=settings.max_bytes, clock=clock),
            ttl=settings.ttl,
            stale_ttl=settings.stale_while_revalidate or 0.0,
            negative_ttl=settings.negative_ttl,
            clock=clock,
        )
        self._streams, self._async_streams = SharedStreams(self._exact), SharedAsyncStreams(self._exact)
        self._keys = RequestKeys(settings.namespace, identity)
        self._rules: ValueRules[Response] = ValueRules(
            admission(settings, admit), write_response, read_response, _saved_cost, _took_ms
        )
        self._refresh_scope = refresh_scope

    def complete(self, request: Request) -> Response:
        policy = self._policy(request)
        if policy is None:
            return self.inner.complete(request)
        try:
            return self._exact.fetch(policy, partial(self._complete, request), self._scope(request))
        except FlightTimeoutError as error:
            raise self._timeout_error(request) from error

    def _complete(self, request: Request, left: float | None) -> Response:
        return self.inner.complete(_bounded(request, left))

    async def acomplete(self, request: Request) -> Response:
        policy = self._policy(request)
        if policy is None:
            return await self.inner.acomplete(request)
        try:
            return await self._exact.afetch(policy, partial(self._acomplete, request), self._scope(request))
        except FlightTimeoutError as error:
            raise self._timeout_error(request) from error

    async def _acomplete(self, request: Request, left: float | None) -> Response:
        return await self.inner.acomplete(_bounded(request, left))

    def stream(self, request: Request) -> Iterator[Chunk]:
        policy = self._policy(request)
        if policy is None:
            yield from self.inner.stream(request)
            return
        first_token = request.timeout.first_token if request.timeout else None

        def refresh(lookup: Lookup[Response]) -> None:
            self._exact.refresh_if_stale(lookup, partial(self._complete, request), self._scope(request))

        made = self._streams.stream(
            policy, lambda left: self.inner.stream(_bounded(request, left)), first_token, refresh
        )
        try:
            with closing(cast("Generator[Chunk]", made)) as chunks:
                yield from chunks
        except FlightTimeoutError as error:
            raise self._timeout_error(request) from error

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        policy = self._policy(request)
        if policy is None:
            async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        first_token = request.timeout.first_token if request.timeout else None

        def refresh(lookup: Lookup[Response]) -> None:
            self._exact.arefresh_if_stale(lookup, partial(self._acomplete, request), self._scope(request))

        made = self._async_streams.stream(
            policy, lambda left: self.inner.astream(_bounded(request, left)), first_token, refresh
        )
        try:
            async with aclosing(cast("AsyncGenerator[Chunk]", made)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except FlightTimeoutError as error:
            raise self._timeout_error(request) from error

    def clear(self) -> int:
        """Remove every answer, and return how many there were.

        Raises:
            StoreError: The store fails or takes too long.
        """
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
        key = self._keys.key(request)
        if reason is not None or key is None:
            record_bypass(reason or "not_json")
            return None
        total = _TOTAL if request.timeout is None else request.timeout.total
        return CachePolicy(key, total, self._rules, self.settings.tags)

    def _scope(self, request: Request) -> RefreshScope:
        return NO_SCOPE if self._refresh_scope is None else partial(self._refresh_scope, request)

    def _timeout_error(self, request: Request) -> ProviderTimeoutError:
        return ProviderTimeoutError(
            f"{request.model}: the total deadline passed while an identical call was under way; set a longer `timeout`",
            provider=self.name,
            model=request.model,
        )


_TOTAL = Timeout().total


def _saved_cost(served: Response) -> float | None:
    return served.saved_cost


def _took_ms(response: Response) -> float | None:
    """Return the time of all attempts, without the waits between them."""
    return sum(float(attempt.duration_ms) for attempt in response.attempts) if response.attempts else None


def _bounded(request: Request, left: float | None) -> Request:
    """Return the request with the time that is left after a wait for another caller's call."""
    bounds = request.timeout or Timeout()
    if left is None or left == bounds.total:
        return request
    return replace(request, timeout=bounds.model_copy(update={"total": max(left, 0.001)}))
