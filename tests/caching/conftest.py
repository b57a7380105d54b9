"""A provider that counts its calls, a clock, and the lookups that a call records on its span."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmops_sdk._util._guard import raise_in_tests
from llmops_sdk.caching import CacheProvider
from llmops_sdk.config import CacheSettings
from llmops_sdk.providers import Chunk, Request, Response, Usage, WrapperProvider, chunks_of
from llmops_sdk.testing import ManualClock
from llmops_sdk.tracing import span

GOOD = Response(
    text="Paris, of course.",
    usage=Usage(input_tokens=7, output_tokens=4, cache_read_tokens=2, reasoning_tokens=1),
    cost=0.002,
    model="script/one",
    provider="script",
    finish_reason="stop",
    response_id="r-1",
    reasoning="Capitals.",
    raw=object(),
)


class Counting(WrapperProvider):
    """Gives one answer, or what a function makes of the request, and counts the calls."""

    name = "script"

    def __init__(self, answer: Response | Callable[[Request], Response] = GOOD) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        return len(self.requests)

    def complete(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
        return self.answer(request) if callable(self.answer) else self.answer

    async def acomplete(self, request: Request) -> Response:
        return self.complete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        yield from chunks_of(self.complete(request))

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        for chunk in chunks_of(self.complete(request)):
            yield chunk

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


@pytest.fixture
def counting() -> type[Counting]:
    return Counting


@pytest.fixture
def good() -> Response:
    return GOOD


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[..., CacheProvider]]:
    made: list[CacheProvider] = []

    def make(
        inner: Any, *, path: Path = tmp_path, identity: str = "", admit: Any = None, **settings: Any
    ) -> CacheProvider:
        chosen = CacheSettings(**{"exact": True, **settings})
        made.append(CacheProvider(inner, chosen, path=path, clock=clock, identity=identity, admit=admit))
        return made[-1]

    yield make
    for provider in made:
        provider.close()


@pytest.fixture
def request_() -> Request:
    return Request(model="script/one", messages=[{"role": "user", "content": "The capital of France?"}])


@pytest.fixture
def all_lookups() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    with span("test") as one:
        yield lambda: [dict(event[2]) for event in one._events or () if event[0] == "llmops.cache.lookup"]


@pytest.fixture
def lookups(all_lookups) -> Callable[[], list[dict[str, Any]]]:
    """The lookups without their keys."""
    return lambda: [{name: value for name, value in one.items() if name != "key"} for one in all_lookups()]


@pytest.fixture
def application() -> None:
    """Failures of the SDK's own book-keeping are logged, as in an application, instead of raised."""
    raise_in_tests(False)
