"""HTTP clients of our own under litellm: closed when the provider is, and no request is sent twice.

litellm keeps its clients for the whole process and shares them with the application's own calls, so they are not ours
to close; and its async client sends a request again when a connection breaks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Protocol

from llmops_sdk.providers.litellm._deadlines import keep_deadlines, limit
from llmops_sdk.providers.litellm._endpoint import Endpoint
from llmops_sdk.providers.litellm._library import Library

__all__ = ["Clients", "Watcher", "watched"]

# Which of litellm's code paths take which kind of client.
_OPENAI = frozenset({"openai"})
_HTTPX = frozenset({"anthropic", "gemini", "ollama"})

_watching: ContextVar[Watcher | None] = ContextVar("llmops_watcher", default=None)


class Watcher(Protocol):
    """Follows the requests of one call."""

    def sent(self) -> None:
        """A request is about to be sent."""

    def left(self) -> float:
        """Seconds until the call must end."""
        ...

    def pause(self) -> float:
        """Seconds until the server must have said something."""
        ...

    def take(self, response: Any) -> None:
        """A response, its headers read and nothing else."""


@contextmanager
def watched(watcher: Watcher) -> Generator[None, None, None]:
    """Tell `watcher` of the HTTP requests that calls within this block send, and of the responses to them."""
    token = _watching.set(watcher)
    try:
        yield
    finally:
        _watching.reset(token)


def _sent(request: Any) -> None:
    watcher = _watching.get()
    if watcher is not None:
        watcher.sent()
        limit(request, watcher.pause, watcher.left)


async def _asent(request: Any) -> None:
    _sent(request)


def _hold(response: Any) -> None:
    watcher = _watching.get()
    if watcher is not None:
        watcher.take(response)


async def _ahold(response: Any) -> None:
    _hold(response)


class _OfLoop:
    """The clients of one event loop, and the generator by which the loop tells its end."""

    def __init__(self) -> None:
        self.clients: dict[Endpoint, tuple[Any, Any]] = {}
        self.ending: AsyncGenerator[None] | None = None


class Clients:
    """The clients of one provider: a sync one, and an async one for each event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sync: dict[Endpoint, tuple[Any, Any]] = {}
        # Not by weak references: open connections refer to their loop, so it would live on in any case.
        self._async: dict[asyncio.AbstractEventLoop, _OfLoop] = {}

    def sync(self, library: Library, endpoint: Endpoint) -> Any:
        """What litellm takes as `client` for a sync call, or None where it must use its own."""

        def make() -> tuple[Any, Any]:
            http = keep_deadlines(
                library.httpx.Client(
                    follow_redirects=True,
                    limits=_limits(library),
                    event_hooks={"request": [_sent], "response": [_hold]},
                )
            )
            if endpoint.vendor in _OPENAI:
                return http, _openai(library.openai.OpenAI, endpoint, http)
            return http, library.http_handler(client=http)

        return self._get(self._sync, endpoint, make)

    def asynchronous(self, library: Library, endpoint: Endpoint) -> Any:
        """What litellm takes as `client` for an async call in this event loop, or None where it must use its own."""

        def make() -> tuple[Any, Any]:
            http = keep_deadlines(
                library.httpx.AsyncClient(
                    follow_redirects=True,
                    limits=_limits(library),
                    event_hooks={"request": [_asent], "response": [_ahold]},
                )
            )
            if endpoint.vendor in _OPENAI:
                return http, _openai(library.openai.AsyncOpenAI, endpoint, http)
            handler = library.async_http_handler()
            handler.client = http
            return http, handler

        return self._get(self._of_loop(asyncio.get_running_loop()).clients, endpoint, make)

    def _of_loop(self, loop: asyncio.AbstractEventLoop) -> _OfLoop:
        with self._lock:
            if (known := self._async.get(loop)) is not None:
                return known
            # A loop that was closed without an end of its async generators has told us nothing.
            self._async = {other: of for other, of in self._async.items() if not other.is_closed()}
            made = self._async[loop] = _OfLoop()
            made.ending = self._until_the_end(loop)
        # Its first step registers the generator with the loop, which closes it, and so the clients, when it shuts down:
        # the one hook that `asyncio.run` and every server offer for that.
        with suppress(StopIteration):
            made.ending.__anext__().send(None)
        return made

    async def _until_the_end(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            with self._lock:
                of_loop = self._async.pop(loop, None)
            for http, _ in of_loop.clients.values() if of_loop is not None else ():
                await http.aclose()

    def _get(
        self, clients: dict[Endpoint, tuple[Any, Any]], endpoint: Endpoint, make: Callable[[], tuple[Any, Any]]
    ) -> Any:
        if endpoint.vendor not in _OPENAI | _HTTPX:
            return None
        with self._lock:
            if endpoint not in clients:
                clients[endpoint] = make()
            return clients[endpoint][1]

    def close(self) -> None:
        """Close the sync clients."""
        with self._lock:
            closing, self._sync = [http for http, _ in self._sync.values()], {}
        for http in closing:
            http.close()

    async def aclose(self) -> None:
        """Close the sync clients and the async ones of this event loop."""
        self.close()
        with self._lock:
            of_loop = self._async.get(asyncio.get_running_loop())
        if of_loop is not None and of_loop.ending is not None:
            await of_loop.ending.aclose()


def _openai(client: Any, endpoint: Endpoint, http: Any) -> Any:
    return client(api_key=endpoint.api_key, base_url=endpoint.base_url, http_client=http, max_retries=0)


def _limits(library: Library) -> Any:
    # How many calls run at once is for the limits of the configuration to say, not for the pool.
    return library.httpx.Limits(max_connections=None, max_keepalive_connections=100)
