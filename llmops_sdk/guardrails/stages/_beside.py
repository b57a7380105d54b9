"""Guards that run beside a call: nothing of the answer leaves before their verdict, and a block cancels the call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, cast

from llmops_sdk._util._guard import Caught
from llmops_sdk.guardrails.running._pool import GROUPS
from llmops_sdk.providers import Chunk, Response

__all__ = ["Beside"]

_WAITING_CHUNKS = 64
"""How many chunks the task that reads a stream may be ahead of its consumer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A call and the guards beside it.

    Attributes:
        passed: Called after the verdict, if the guards let the call pass.
        blocked: Called with what the model had answered when they did not, as it must be paid for; or None.
    """

    passed: Callable[[], None]
    blocked: Callable[[Response | Chunk], None] | None

    def complete(self, check: Callable[[], None], call: Callable[[], Response]) -> Response:
        """Return the answer. A sync call cannot be cancelled: a blocked answer is thrown away at its end."""
        verdict = GROUPS.submit(check)
        response = call()
        self._take(verdict, response)
        return response

    async def acomplete(self, check: Coroutine[Any, Any, None], call: Coroutine[Any, Any, Response]) -> Response:
        """Return the answer, async; a block cancels the call."""
        verdict, answer = asyncio.create_task(check), asyncio.create_task(call)
        try:
            await asyncio.wait((verdict, answer), return_when=asyncio.FIRST_COMPLETED)
            if not verdict.done() and answer.exception() is None:
                await asyncio.wait((verdict,))
            if verdict.done():
                self._take(verdict, *_done(answer))
            return await answer
        finally:
            await _ended(verdict, answer)

    def stream(self, check: Callable[[], None], chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Yield the answer, once the guards let it pass."""
        verdict = GROUPS.submit(check)
        held: list[Chunk] = []
        with closing(cast("Generator[Chunk]", chunks)):
            for chunk in chunks:
                held.append(chunk)
                if verdict.done():
                    break
            self._take(verdict, *held)
            yield from held
            yield from chunks

    async def astream(self, check: Coroutine[Any, Any, None], chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        """Yield the answer, once the guards let it pass, async; a block cancels the call."""
        read: asyncio.Queue[Chunk | BaseException | None] = asyncio.Queue(_WAITING_CHUNKS)
        wait_for_verdict = asyncio.create_task(check)
        # One task reads the whole stream: its parts may not move from one context to another.
        reader = asyncio.create_task(_read(cast("AsyncGenerator[Chunk]", chunks), read))
        held: list[Chunk | BaseException | None] = []
        try:
            while not wait_for_verdict.done() and not _is_end(held):
                item = asyncio.create_task(read.get())
                await asyncio.wait((wait_for_verdict, item), return_when=asyncio.FIRST_COMPLETED)
                if item.done():
                    held.append(item.result())
                else:
                    item.cancel()
            await asyncio.wait((wait_for_verdict,))
            self._take(wait_for_verdict, *(one for one in held if isinstance(one, Chunk)))
            while True:
                item_now = held.pop(0) if held else await read.get()
                if item_now is None:
                    return
                if isinstance(item_now, BaseException):
                    raise item_now
                yield item_now
        finally:
            await _ended(wait_for_verdict, reader)

    def _take(self, verdict: Future[None] | asyncio.Task[None], *answers: Response | Chunk) -> None:
        """Wait for a verdict, and take it.

        Raises:
            GuardrailViolation: A guard blocked.
        """
        with Caught(BaseException) as caught:
            verdict.result()
        if caught.error is not None:
            blocked = self.blocked
            if blocked is not None:
                for answer in answers:
                    blocked(answer)
            raise caught.error
        self.passed()


def _done(answer: asyncio.Task[Response]) -> tuple[Response, ...]:
    return (answer.result(),) if answer.done() and not answer.cancelled() and answer.exception() is None else ()


def _is_end(items: list[Chunk | BaseException | None]) -> bool:
    return bool(items) and not isinstance(items[-1], Chunk)


async def _read(chunks: AsyncGenerator[Chunk], read: asyncio.Queue[Chunk | BaseException | None]) -> None:
    with Caught() as caught:
        async with aclosing(chunks):
            async for chunk in chunks:
                await read.put(chunk)
    await read.put(caught.error)


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
