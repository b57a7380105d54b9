"""A provider whose requests wait for each other, so that a test of a race depends on no time."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from llmops_sdk.config import Timeout
from llmops_sdk.providers import Chunk, Embeddings, Request, Response

__all__ = ["REQUEST", "Requests", "after", "at_once", "in_thread", "never", "waits_for"]

REQUEST = Request(model="script/one", messages=[{"role": "user", "content": "Hi"}], timeout=Timeout(total=100))


class Requests:
    """Answers each request by its number with a function, which may wait for the events of the others.

    A function gets this object and the request. In the async ways it runs in a thread, so that it may block there, too.
    """

    name = "script"

    def __init__(self, *answers: Callable[[Requests, Request], Response]) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.began = [threading.Event() for _ in answers]
        self.ended = [threading.Event() for _ in answers]
        self.cancelled: list[int] = []
        self.threads: list[int] = []
        self.released = threading.Event()
        """Set it to let go whatever still waits."""

    def _begin(self, request: Request) -> int:
        if len(self._answers) > 1 and request.route is not None and request.route.leg.reason == "hedge":
            # Both requests have threads of their own: the hedge's may be the one that runs first.
            waits_for(self.began[0])
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            self.threads.append(threading.get_ident())
        self.began[number].set()
        return number

    def complete(self, request: Request) -> Response:
        number = self._begin(request)
        try:
            return self._answers[number](self, request)
        finally:
            self.ended[number].set()

    async def acomplete(self, request: Request) -> Response:
        number = self._begin(request)
        try:
            return await in_thread(self._answers[number], self, request)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        finally:
            self.ended[number].set()

    def stream(self, request: Request) -> Iterator[Chunk]:
        number = self._begin(request)
        try:
            response = self._answers[number](self, request)
            for letter in response.text:
                yield Chunk(text=letter)
            yield Chunk(finish_reason="stop")
            yield Chunk(cost=response.cost)
        finally:
            self.ended[number].set()

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        number = self._begin(request)
        try:
            response = await in_thread(self._answers[number], self, request)
            for letter in response.text:
                yield Chunk(text=letter)
            yield Chunk(finish_reason="stop")
            yield Chunk(cost=response.cost)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        finally:
            self.ended[number].set()

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        self.complete(request)
        return Embeddings(vectors=[[0.0] for _ in texts])

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        await self.acomplete(request)
        return Embeddings(vectors=[[0.0] for _ in texts])

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Await a function in a daemon thread: unlike `to_thread`, the end of the loop does not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_result(result) if error is None else future.set_exception(error)

    def run() -> None:
        result, raised = None, None
        try:
            result = context.run(function, *arguments)
        except BaseException as error:
            raised = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, raised)

    threading.Thread(target=run, daemon=True).start()
    return await future


def waits_for(event: threading.Event) -> None:
    assert event.wait(30), "the event never came"


def after(number: int, end: bool = True, text: str = "late", cost: float | None = 0.5, error: Exception | None = None):
    """Answer, or fail, after another request has ended, or begun."""

    def answer(requests: Requests, request: Request) -> Response:
        waits_for((requests.ended if end else requests.began)[number])
        if error is not None:
            raise error
        return Response(text=text, finish_reason="stop", cost=cost)

    return answer


def never(requests: Requests, request: Request) -> Response:
    waits_for(requests.released)
    return Response(text="never", finish_reason="stop", cost=9.0)


def at_once(text: str = "fast", cost: float | None = 0.25, error: Exception | None = None):
    def answer(requests: Requests, request: Request) -> Response:
        if error is not None:
            raise error
        return Response(text=text, finish_reason="stop", cost=cost)

    return answer
