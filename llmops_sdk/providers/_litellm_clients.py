"""HTTP clients of our own under litellm: closed when the provider is, and no request is sent twice.

litellm keeps its clients for the whole process and shares them with the application's own calls, so they are not ours
to close; and its async client sends a request again when a connection breaks.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llmops_sdk.providers._litellm_endpoint import Endpoint
from llmops_sdk.providers._litellm_library import Library

__all__ = ["Clients", "held_responses"]

# Which of litellm's code paths take which kind of client.
_OPENAI = frozenset({"openai"})
_HTTPX = frozenset({"anthropic", "gemini", "ollama"})

_held: ContextVar[list[Any] | None] = ContextVar("llmops_held_responses", default=None)


@contextmanager
def held_responses(into: list[Any]) -> Generator[None, None, None]:
    """Collect the HTTP responses that calls within this block open, so that a stream left early can be closed."""
    token = _held.set(into)
    try:
        yield
    finally:
        _held.reset(token)


def _hold(response: Any) -> None:
    held = _held.get()
    if held is not None:
        held.append(response)


async def _ahold(response: Any) -> None:
    _hold(response)


class Clients:
    """The clients of one provider: a sync one, and an async one for each event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sync: dict[Endpoint, tuple[Any, Any]] = {}
        self._async: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Endpoint, tuple[Any, Any]]] = (
            weakref.WeakKeyDictionary()
        )

    def sync(self, library: Library, endpoint: Endpoint) -> Any:
        """What litellm takes as `client` for a sync call, or None where it must use its own."""

        def make() -> tuple[Any, Any]:
            http = library.httpx.Client(
                follow_redirects=True, limits=_limits(library), event_hooks={"response": [_hold]}
            )
            if endpoint.vendor in _OPENAI:
                return http, _openai(library.openai.OpenAI, endpoint, http)
            return http, library.http_handler(client=http)

        return self._get(self._sync, endpoint, make)

    def asynchronous(self, library: Library, endpoint: Endpoint) -> Any:
        """What litellm takes as `client` for an async call in this event loop, or None where it must use its own."""

        def make() -> tuple[Any, Any]:
            http = library.httpx.AsyncClient(
                follow_redirects=True, limits=_limits(library), event_hooks={"response": [_ahold]}
            )
            if endpoint.vendor in _OPENAI:
                return http, _openai(library.openai.AsyncOpenAI, endpoint, http)
            handler = library.async_http_handler()
            handler.client = http
            return http, handler

        with self._lock:
            of_loop = self._async.setdefault(asyncio.get_running_loop(), {})
        return self._get(of_loop, endpoint, make)

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
            of_loop = self._async.pop(asyncio.get_running_loop(), {})
        for http, _ in of_loop.values():
            await http.aclose()


def _openai(client: Any, endpoint: Endpoint, http: Any) -> Any:
    return client(api_key=endpoint.api_key, base_url=endpoint.base_url, http_client=http, max_retries=0)


def _limits(library: Library) -> Any:
    # How many calls run at once is for the limits of the configuration to say, not for the pool.
    return library.httpx.Limits(max_connections=None, max_keepalive_connections=100)
