"""Streamed answers, as the caller sees them."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeAlias

from llmops_sdk._util._guard import Caught, guarded, report
from llmops_sdk._util._public import public
from llmops_sdk.client._call import Call
from llmops_sdk.client._record import CallRecorder
from llmops_sdk.client._stages import StagesLease
from llmops_sdk.errors import LLMOpsError, StreamInterruptedError, ValidationFailedError
from llmops_sdk.guardrails.masking._restore import StreamRestorer
from llmops_sdk.providers import Accumulator, Chunk, Response

__all__ = ["AsyncStream", "Stream", "StreamEnd", "StreamState"]

StreamEnd: TypeAlias = Callable[[str, Response | None, BaseException | None], None]
"""Called once at the end of a stream with its status ("ok", "closed" or "error"), its response, and its error."""

OpenStream: TypeAlias = "Callable[[], Awaitable[StreamState]]"


class StreamState:
    """The state that sync and async streams share: the recorder, the answer so far, and the one end.

    The span starts with the first chunk asked for, as a child of the span that was current when the stream was made.
    It is current only while a chunk is being made: the caller's own context never changes.
    """

    def __init__(self, call: Call, lease: StagesLease, on_end: StreamEnd | None) -> None:
        self.call = call
        self.ended = False
        self._response: Response | None = None
        self._recorder: CallRecorder | None = None
        self._lease = lease
        self._on_end = on_end
        self._context = contextvars.copy_context()
        self._whole = Accumulator()
        self._has_content = False
        self.ready: deque[Chunk] = deque()
        """The chunks that the consumer can have."""
        self._restorer: StreamRestorer | None = None

    @property
    def response(self) -> Response:
        """Return the whole answer.

        Raises:
            LLMOpsError: The stream is still open.
        """
        if self._response is None:
            raise LLMOpsError("the stream is not at its end: exhaust it or close it before reading .response")
        return self._response

    def recorder(self) -> CallRecorder:
        """Return the recorder, whose span starts at the first call."""
        if self._recorder is None:
            self._recorder = self._context.run(CallRecorder, self.call.info)
        return self._recorder

    def add(self, chunk: Chunk) -> None:
        """Add a chunk to the answer so far, and to those that the consumer can have."""
        self._whole.add(chunk)
        # The guards on the prompt have masked its values before the first chunk.
        if self._restorer is None and self.call.masks:
            self._restorer = StreamRestorer(self.call.masks, self.call.settings.restore_tools)
        self.ready.append(chunk if self._restorer is None else self._restorer.add(chunk))
        if self._recorder is not None:
            self._recorder.record_chunk_time()
            if not self._has_content:
                self._has_content = self._recorder.record_first_chunk(chunk)

    def finish(self) -> None:
        """End an exhausted stream.

        Raises:
            ValidationFailedError: The whole answer does not fit the type asked for.
        """
        response = self._whole.response()
        if self._restorer is not None:
            self.ready.extend(self._restorer.finish())
        try:
            response = self.call.validated(response)
        except ValidationFailedError as error:
            self.fail(error)
            raise
        self._end("ok", response, None)

    def fail(self, error: BaseException) -> None:
        """End a broken stream; the part of the answer that the guards let through is its response.

        A task that is cancelled leaves its stream: servers do that when a client goes away.
        """
        if isinstance(error, asyncio.CancelledError):
            self.close()
            return
        response = self._whole.response()
        # Guards on the output hold a stream back and check the partial answer: the consumer saw less than that.
        if isinstance(error, StreamInterruptedError) and isinstance(error.partial, Response):
            response = error.partial
            if not response.attempts:
                response = replace(response, attempts=error.attempts)
        self._end("error", response, error)

    def other_loop_error(self) -> StreamInterruptedError:
        """Return the error for a stream that is read in another event loop than the one it began in."""
        info = self.call.info
        return StreamInterruptedError(
            f"{info.model}: the stream began in another event loop, and its connection belongs to that loop. Read a "
            "stream in the loop, and in the `asyncio.run`, where it began",
            partial=self._whole.response(),
            provider=info.provider,
            model=info.model,
        )

    def close(self) -> None:
        """End a stream that its consumer leaves."""
        self.ready.clear()
        self._end("closed", self._whole.response(), None)

    def _end(self, status: str, response: Response, error: BaseException | None) -> None:
        if self.ended:
            return
        self.ended = True
        recorder = self._recorder
        if recorder is not None:
            response = recorder.record_answer(response)
            if error is not None:
                recorder.fail(error)
            else:
                recorder.end(status)
        # The application gets the values, the record has the placeholders.
        self._response = self.call.restored(response)
        if isinstance(error, StreamInterruptedError):
            error.partial = self._response
        self._lease.release()
        if self._on_end is not None:
            self._on_end(status, response, error)


class _ChunkScope:
    """Makes the span current while one chunk is made, and ends the stream with an error that leaves the block."""

    __slots__ = ("_active", "_state", "recorder")

    def __init__(self, state: StreamState) -> None:
        self._state = state
        self.recorder = state.recorder()
        self._active = self.recorder.span.activate()

    def __enter__(self) -> CallRecorder:
        self._active.__enter__()
        return self.recorder

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._active.__exit__(None, None, None)
        if error is not None:
            self._state.fail(error)


@public("llmops_sdk")
class Stream:
    """The chunks of an answer, as they come. Made by `stream`, not directly.

    Closing it early releases its resources; use it as a context manager where you may leave it early.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.stream("Good day", model="offline/echo") as chunks:
        ...     text = "".join(chunk.text for chunk in chunks)
        >>> text, chunks.response.finish_reason
        ('Good day', 'stop')
    """

    def __init__(self, state: StreamState) -> None:
        self._state = state
        self._chunks: Iterator[Chunk] | None = None

    @property
    def response(self) -> Response:
        """Return the whole answer, or after an early close what had arrived (its `finish_reason` is then None).

        Raises:
            LLMOpsError: The stream is still open.
        """
        return self._state.response

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        state = self._state
        while not state.ready:
            if state.ended:
                raise StopIteration
            with _ChunkScope(state) as recorder:
                if self._chunks is None:
                    self._chunks = iter(state.call.provider(recorder).stream(state.call.request))
                chunk = next(self._chunks, None)
                if chunk is not None:
                    state.add(chunk)
            if chunk is None:
                state.finish()
        return state.ready.popleft()

    def close(self) -> None:
        """Close the stream early; a second time does nothing."""
        if self._state.ended:
            return
        close = getattr(self._chunks, "close", None)
        if close is not None:
            with self._state.recorder().span.activate():
                guarded("closing a stream", None, close)
        self._state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        """Close an abandoned stream."""
        state = getattr(self, "_state", None)
        if state is not None and not state.ended:
            guarded("closing an abandoned stream", None, self.close)


@public("llmops_sdk")
class AsyncStream:
    """The chunks of an answer, as they come. Made by `astream`, not directly.

    Awaiting it returns the stream itself, so that `async for chunk in astream(...)` and
    `async for chunk in await astream(...)` both work.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> async def main() -> str:
        ...     async with llmops.astream("Good day", model="offline/echo") as chunks:
        ...         return "".join([chunk.text async for chunk in chunks])
        >>> asyncio.run(main())
        'Good day'
    """

    def __init__(self, state: StreamState | None = None, open_stream: OpenStream | None = None) -> None:
        self._state = state
        self._open_stream = open_stream
        self._chunks: AsyncIterator[Chunk] | None = None
        self._loop: object = None

    @property
    def response(self) -> Response:
        """Return the whole answer, or after an early close what had arrived (its `finish_reason` is then None).

        Raises:
            LLMOpsError: The stream is still open.
        """
        if self._state is None:
            raise LLMOpsError("the stream is not open yet: iterate over it before reading .response")
        return self._state.response

    async def _opened(self) -> StreamState:
        # An async prompt function runs when the first chunk of its stream is asked for.
        if self._state is None:
            open_stream, self._open_stream = self._open_stream, None
            if open_stream is None:
                raise LLMOpsError("the prompt function of this stream has failed: call it again for a new stream")
            self._state = await open_stream()
        return self._state

    async def _ready(self) -> Self:
        await self._opened()
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._ready().__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        state = await self._opened()
        while not state.ready:
            if state.ended:
                raise StopAsyncIteration
            with _ChunkScope(state) as recorder:
                if self._chunks is None:
                    self._loop = asyncio.get_running_loop()
                    self._chunks = aiter(state.call.provider(recorder).astream(state.call.request))
                elif asyncio.get_running_loop() is not self._loop:
                    # The first loop closed the generators when it ended: they would end here as if the answer were
                    # whole.
                    raise state.other_loop_error()
                chunk = await anext(self._chunks, None)
                if chunk is not None:
                    state.add(chunk)
            if chunk is None:
                state.finish()
        return state.ready.popleft()

    async def aclose(self) -> None:
        """Close the stream early; a second time does nothing."""
        state = self._state
        if state is None or state.ended:
            return
        aclose = getattr(self._chunks, "aclose", None)
        try:
            if aclose is not None:
                with Caught() as caught, state.recorder().span.activate():
                    await aclose()
                if isinstance(caught.error, Exception):
                    report("closing a stream", caught.error)
        finally:
            state.close()

    async def __aenter__(self) -> Self:
        return await self._ready()

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        """Close an abandoned stream; the event loop closes the generators inside."""
        state = getattr(self, "_state", None)
        if state is not None and not state.ended:
            guarded("closing an abandoned stream", None, state.close)
