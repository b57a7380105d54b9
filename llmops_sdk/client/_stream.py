"""Streamed answers, as the caller sees them."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeAlias

from llmops_sdk._util._guard import Caught, guarded, report
from llmops_sdk._util._public import public
from llmops_sdk.client._call import Call
from llmops_sdk.client._record import Record
from llmops_sdk.client._stages import Lease
from llmops_sdk.client.structured._answer import InvalidAnswerError
from llmops_sdk.client.structured._ask import fitting, refused
from llmops_sdk.errors import LLMOpsError, StreamInterruptedError
from llmops_sdk.providers import Accumulator, Chunk, Response

__all__ = ["AsyncStream", "Course", "Stream", "StreamEnd"]

StreamEnd: TypeAlias = Callable[[str, Response | None, BaseException | None], None]
"""Told once how a stream ended: "ok", "closed" or "error", the response, and the error."""

Opening: TypeAlias = "Callable[[], Awaitable[Course]]"


class Course:
    """What sync and async streams share: the record, the whole until now, and the one end.

    The span starts at the first chunk asked for, as a child of what was current when the stream was made, and is
    current only while a chunk is being made: the caller's own context is never changed.
    """

    def __init__(self, call: Call, lease: Lease, on_end: StreamEnd | None) -> None:
        self.call = call
        self.record: Record | None = None
        self.ended = False
        self.response: Response | None = None
        self._lease = lease
        self._on_end = on_end
        self._context = contextvars.copy_context()
        self._whole = Accumulator()
        self._first = False

    def begin(self) -> Record:
        """Start the span, once."""
        if self.record is None:
            self.record = self._context.run(Record, self.call.subject)
        return self.record

    def take(self, chunk: Chunk) -> None:
        """Another chunk has come."""
        self._whole.add(chunk)
        if self.record is not None:
            self.record.chunk_came()
            if not self._first:
                self._first = self.record.first_chunk(chunk)

    def finish(self) -> None:
        """The stream is exhausted.

        Raises:
            ValidationFailedError: The whole does not fit the type asked for.
        """
        response = self._whole.response()
        answer = self.call.answer
        if answer is not None:
            try:
                response = fitting(answer, response)
            except InvalidAnswerError as error:
                errors = error.errors
            else:
                errors = None
            if errors is not None:
                failure = refused(answer, response, errors)
                self.fail(failure)
                raise failure
        self._end("ok", response, None)

    def fail(self, error: BaseException) -> None:
        """The stream broke; what the guards let through of it is its response, and its error's `partial`."""
        response = self._whole.response()
        # Guards on the output hold a stream back, and check what had come of a broken one: the consumer saw less.
        if isinstance(error, StreamInterruptedError) and isinstance(error.partial, Response):
            response = error.partial
            if not response.attempts:
                response = replace(response, attempts=error.attempts)
        self._end("error", response, error)

    def close(self) -> None:
        """The consumer has left."""
        self._end("closed", self._whole.response(), None)

    def _end(self, status: str, response: Response, error: BaseException | None) -> None:
        if self.ended:
            return
        self.ended = True
        record = self.record
        if record is not None:
            response = record.answered(response)
            if isinstance(error, StreamInterruptedError):
                error.partial = response
            if error is not None:
                record.fail(error)
            else:
                record.end(status)
        self.response = response
        self._lease.release()
        if self._on_end is not None:
            self._on_end(status, response, error)


class _Step:
    """The making of one chunk: the span is current inside, and an error that leaves ends the stream."""

    __slots__ = ("_active", "_course", "record")

    def __init__(self, course: Course) -> None:
        self._course = course
        self.record = course.begin()
        self._active = self.record.span.activate()

    def __enter__(self) -> Self:
        self._active.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active.__exit__(None, None, None)
        if error is not None:
            self._course.fail(error)


def _whole(course: Course | None) -> Response:
    if course is None or course.response is None:
        raise LLMOpsError("the stream is not at its end: exhaust it or close it before reading .response")
    return course.response


@public("llmops_sdk")
class Stream:
    """The chunks of an answer, as they come. Made by `stream`, not directly.

    Leaving it early releases what it holds; use it as a context manager where that may happen.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.stream("Good day", model="offline/echo") as chunks:
        ...     text = "".join(chunk.text for chunk in chunks)
        >>> text, chunks.response.finish_reason
        ('Good day', 'stop')
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._chunks: Iterator[Chunk] | None = None

    @property
    def response(self) -> Response:
        """The whole answer, or after an early close what had arrived (its `finish_reason` is then None).

        Raises:
            LLMOpsError: The stream is still open.
        """
        return _whole(self._course)

    def __iter__(self) -> Self:
        """Itself."""
        return self

    def __next__(self) -> Chunk:
        """The next chunk."""
        course = self._course
        if course.ended:
            raise StopIteration
        with _Step(course) as step:
            if self._chunks is None:
                self._chunks = iter(course.call.guarded_by(step.record).stream(course.call.request))
            chunk = next(self._chunks, None)
            if chunk is not None:
                course.take(chunk)
                return chunk
        course.finish()
        raise StopIteration

    def close(self) -> None:
        """Leave the stream; a second time does nothing."""
        if self._course.ended:
            return
        close = getattr(self._chunks, "close", None)
        if close is not None:
            with self._course.begin().span.activate():
                guarded("closing a stream", None, close)
        self._course.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the stream."""
        self.close()

    def __del__(self) -> None:
        """An abandoned stream ends as one that was left."""
        course = getattr(self, "_course", None)
        if course is not None and not course.ended:
            guarded("closing an abandoned stream", None, self.close)


@public("llmops_sdk")
class AsyncStream:
    """The chunks of an answer, as they come. Made by `astream`, not directly.

    Awaiting it gives the stream itself, so that both `async for chunk in astream(...)` and
    `async for chunk in await astream(...)` are right.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> async def main() -> str:
        ...     async with llmops.astream("Good day", model="offline/echo") as chunks:
        ...         return "".join([chunk.text async for chunk in chunks])
        >>> asyncio.run(main())
        'Good day'
    """

    def __init__(self, course: Course | None = None, opening: Opening | None = None) -> None:
        self._course = course
        self._opening = opening
        self._chunks: AsyncIterator[Chunk] | None = None

    @property
    def response(self) -> Response:
        """The whole answer, or after an early close what had arrived (its `finish_reason` is then None).

        Raises:
            LLMOpsError: The stream is still open.
        """
        return _whole(self._course)

    async def _opened(self) -> Course:
        # The stream of an async prompt function: the function runs when the first chunk is asked for.
        if self._course is None:
            opening, self._opening = self._opening, None
            if opening is None:
                raise LLMOpsError("the stream could not be opened")
            self._course = await opening()
        return self._course

    async def _ready(self) -> Self:
        await self._opened()
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        """Itself."""
        return self._ready().__await__()

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk."""
        course = await self._opened()
        if course.ended:
            raise StopAsyncIteration
        with _Step(course) as step:
            if self._chunks is None:
                self._chunks = aiter(course.call.guarded_by(step.record).astream(course.call.request))
            chunk = await anext(self._chunks, None)
            if chunk is not None:
                course.take(chunk)
                return chunk
        course.finish()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave the stream; a second time does nothing."""
        course = self._course
        if course is None or course.ended:
            return
        aclose = getattr(self._chunks, "aclose", None)
        try:
            if aclose is not None:
                with Caught() as caught, course.begin().span.activate():
                    await aclose()
                if isinstance(caught.error, Exception):
                    report("closing a stream", caught.error)
        finally:
            course.close()

    async def __aenter__(self) -> Self:
        """Itself."""
        return await self._ready()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the stream."""
        await self.aclose()

    def __del__(self) -> None:
        """An abandoned stream ends as one that was left; the event loop closes the generators inside."""
        course = getattr(self, "_course", None)
        if course is not None and not course.ended:
            guarded("closing an abandoned stream", None, course.close)
