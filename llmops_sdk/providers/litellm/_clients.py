"""HTTP clients for litellm that close with the provider and never send a request twice.

litellm keeps its own clients for the whole process and shares them with the application's calls, so this package must
not close them. litellm's async client also sends a request again when a connection breaks.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from llmops_sdk.errors import ConfigError
from llmops_sdk.providers.litellm._endpoint import Endpoint
from llmops_sdk.providers.litellm._hooks import guard_client
from llmops_sdk.providers.litellm._library import Library

__all__ = ["Clients"]

# The vendors for which litellm takes an openai client, and those for which it takes an httpx client, for embeddings
# and for chats. For the others litellm makes the client, with the same hooks (see `_hooks`).
_OPENAI = frozenset({"openai"})
_HTTPX = frozenset({"anthropic", "gemini", "ollama"})
_HTTPX_CHAT = _HTTPX | {"deepseek", "groq", "mistral", "openrouter", "xai"}

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_CREDENTIALS = re.compile(r"//[^/@\s]+@")

_Clients: TypeAlias = dict[Endpoint, tuple[Any, Any]]
"""For each endpoint, the httpx client and the object around it that litellm takes."""


class _LoopClients:
    """The clients of one event loop, and the generator that the loop closes when it ends."""

    def __init__(self) -> None:
        self.clients: _Clients = {}
        self.closer: AsyncGenerator[None] | None = None

    def take_closer(self) -> AsyncGenerator[None] | None:
        """Return the closer once: a generator cannot be closed twice at the same time."""
        closer, self.closer = self.closer, None
        return closer


_open_closers: dict[AsyncGenerator[None], asyncio.AbstractEventLoop] = {}
"""The closers of loops that have not ended. A loop holds its generators weakly, and the provider may be gone."""
_closing: set[asyncio.Task[None]] = set()
"""The tasks that close clients early. A loop holds its tasks weakly."""


class Clients:
    """The clients of one provider: sync ones, and async ones for each event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sync: _Clients = {}
        # Weak references would not help: open connections refer to their loop and keep it alive.
        self._async: dict[asyncio.AbstractEventLoop, _LoopClients] = {}

    def sync(self, library: Library, endpoint: Endpoint, *, chat: bool = True) -> Any:
        """Return litellm's `client` for a sync call, or None if litellm must use its own."""
        return self._get(self._sync, endpoint, lambda: _sync_client(library, endpoint), chat=chat)

    def asynchronous(self, library: Library, endpoint: Endpoint, *, chat: bool = True) -> Any:
        """Return litellm's `client` for an async call in this event loop, or None if litellm must use its own."""
        of_loop = self._of_loop(asyncio.get_running_loop())
        return self._get(of_loop.clients, endpoint, lambda: _async_client(library, endpoint), chat=chat)

    def _of_loop(self, loop: asyncio.AbstractEventLoop) -> _LoopClients:
        with self._lock:
            if (known := self._async.get(loop)) is not None:
                return known
            # A loop that closed without ending its async generators did not call the closer.
            self._async = {other: clients for other, clients in self._async.items() if not other.is_closed()}
            made = self._async[loop] = _LoopClients()
            made.closer = closer = self._close_with_loop(loop, made)
        for other in [one for one, of in list(_open_closers.items()) if of.is_closed()]:
            _open_closers.pop(other, None)
        _open_closers[closer] = loop
        # The first step registers the generator with the loop. The loop closes it, and so the clients, when it shuts
        # down: the only hook for that which `asyncio.run` and every server offer.
        with suppress(StopIteration):
            closer.__anext__().send(None)
        return made

    async def _close_with_loop(self, loop: asyncio.AbstractEventLoop, made: _LoopClients) -> AsyncGenerator[None]:
        closer = made.closer
        try:
            yield
        finally:
            with self._lock:
                if self._async.get(loop) is made:
                    del self._async[loop]
            for http, _ in made.clients.values():
                await http.aclose()
            if closer is not None:
                _open_closers.pop(closer, None)

    def _get(self, clients: _Clients, endpoint: Endpoint, make: Callable[[], tuple[Any, Any]], *, chat: bool) -> Any:
        if endpoint.vendor not in _OPENAI | (_HTTPX_CHAT if chat else _HTTPX):
            return None
        with self._lock:
            if endpoint not in clients:
                clients[endpoint] = make()
            return clients[endpoint][1]

    def close(self) -> None:
        """Close the sync clients, and soon the async clients of loops that run; others close with their loop."""
        self._close_sync()
        with self._lock:
            running = [(loop, of_loop.take_closer()) for loop, of_loop in self._async.items() if loop.is_running()]
        for loop, closer in running:
            if closer is not None:
                with suppress(RuntimeError):  # the loop has just closed, and its clients with it
                    loop.call_soon_threadsafe(_start_closing, loop, closer)

    def _close_sync(self) -> None:
        with self._lock:
            closing, self._sync = [http for http, _ in self._sync.values()], {}
        for http in closing:
            http.close()

    async def aclose(self) -> None:
        """Close the sync clients, and the async clients of this event loop."""
        self._close_sync()
        with self._lock:
            of_loop = self._async.get(asyncio.get_running_loop())
            closer = None if of_loop is None else of_loop.take_closer()
        if closer is not None:
            await closer.aclose()


def _start_closing(loop: asyncio.AbstractEventLoop, closer: AsyncGenerator[None]) -> None:
    # If the loop ends before this task begins, the loop closes the generator itself.
    task = loop.create_task(_aclose(closer))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _aclose(closer: AsyncGenerator[None]) -> None:
    await closer.aclose()


def _sync_client(library: Library, endpoint: Endpoint) -> tuple[Any, Any]:
    http = guard_client(_open(library, library.httpx.Client), asynchronous=False)
    if endpoint.vendor in _OPENAI:
        return _openai_client(library.openai.OpenAI, endpoint, http)
    return http, library.http_handler(client=http)


def _async_client(library: Library, endpoint: Endpoint) -> tuple[Any, Any]:
    http = guard_client(_open(library, library.httpx.AsyncClient), asynchronous=True)
    if endpoint.vendor in _OPENAI:
        return _openai_client(library.openai.AsyncOpenAI, endpoint, http)
    handler = library.async_http_handler()
    handler.client = http
    return http, handler


def _open(library: Library, client: Any) -> Any:
    """Return a new httpx client, which reads the proxies of the environment.

    Raises:
        ConfigError: A proxy's address is not valid, or is a SOCKS proxy without the library for it.
    """
    try:
        return client(**_http_options(library))
    except (ImportError, ValueError, library.httpx.InvalidURL) as error:
        names = sorted(name for name in os.environ if name.lower() in _PROXIES)
        reason = _CREDENTIALS.sub("//***@", str(error))
        raise ConfigError(
            f"the proxy in the environment ({', '.join(names)}) cannot be used: {reason}. Set a valid http:// or "
            'https:// address, remove the variable, or run pip install "httpx[socks]" for a SOCKS proxy',
            source="environment",
        ) from error


def _http_options(library: Library) -> dict[str, Any]:
    # The configuration limits concurrent calls, not the connection pool.
    return {
        "follow_redirects": True,
        "limits": library.httpx.Limits(max_connections=None, max_keepalive_connections=100),
    }


def _openai_client(client: Any, endpoint: Endpoint, http: Any) -> tuple[Any, Any]:
    return http, client(api_key=endpoint.api_key, base_url=endpoint.base_url, http_client=http, max_retries=0)
