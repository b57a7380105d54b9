"""A provider that follows a script, and a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.providers import Chunk, Embeddings, Request, Response
from llmops_sdk.testing import ManualClock

Step = Exception | BaseException | Response | list[object] | Callable[[Request], Response]


class Script:
    """Answers with the next step of a list: an answer, an error, a list of chunks and errors, or a function."""

    name = "script"

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[Request] = []
        self.closed = 0

    def _next(self, request: Request) -> object:
        self.requests.append(request)
        return self.steps.pop(0)

    def complete(self, request: Request) -> Response:
        step = self._next(request)
        if isinstance(step, BaseException):
            raise step
        return step(request) if callable(step) else step

    async def acomplete(self, request: Request) -> Response:
        return self.complete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        step = self._next(request)
        try:
            for item in step if isinstance(step, list) else [step]:
                if isinstance(item, BaseException):
                    raise item
                if callable(item):
                    item()
                else:
                    yield item
        finally:
            self.closed += 1

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        for chunk in self.stream(request):
            yield chunk

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        self.complete(request)
        return Embeddings(vectors=[[0.0] for _ in texts])

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        return self.embed(texts, request)

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def script() -> type[Script]:
    return Script


@pytest.fixture
def system_clock() -> Clock:
    return SYSTEM_CLOCK
