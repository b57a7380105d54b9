"""Follow one call through litellm: what its server has sent, how a stream ends, and what to close."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from llmops_sdk.config import Timeout
from llmops_sdk.errors import (
    IncompleteResponseError,
    LLMOpsError,
    ProviderError,
    ProviderTimeoutError,
    StreamInterruptedError,
)
from llmops_sdk.providers._accumulate import Accumulator
from llmops_sdk.providers._types import Chunk, Request
from llmops_sdk.providers.litellm._deadlines import deadline_in, seconds_until
from llmops_sdk.providers.litellm._hooks import RedirectRefusedError, watching
from llmops_sdk.providers.litellm._mapping import DEFAULT_TOTAL_SECONDS, ChunkMapper
from llmops_sdk.providers.litellm.wire._body import BodyReader
from llmops_sdk.providers.litellm.wire._finish import finish_of, finish_reason
from llmops_sdk.providers.litellm.wire._rate_limits import read_rate_limits
from llmops_sdk.providers.traffic import RateLimits

__all__ = ["CallWatch", "StreamReader"]


class CallWatch:
    """Watches one call for a whole answer.

    Args:
        bounds: The time limits of the call.
        lines_are_json: Whether a stream of this vendor has lines of JSON.

    Attributes:
        body: The reader of the answer's body.
        reads_whole: Whether the body is read at once, and not as it comes.
        answered: Whether the server has begun a good answer: later failures are failures of the answer.
        refused: The redirect that was not followed, or None.
        address: The URL of the last request without user and query, or None if none was sent.
        response: The last response, or None.
    """

    def __init__(self, bounds: Timeout, *, lines_are_json: bool = False) -> None:
        self.answered = False
        self.body = BodyReader(lines_are_json=lines_are_json)
        self.reads_whole = True
        self.refused: RedirectRefusedError | None = None
        self.address: str | None = None
        self.response: Any = None
        self._deadline = deadline_in(bounds.total or DEFAULT_TOTAL_SECONDS)

    def on_request(self, request: Any) -> None:
        """Note that a request is about to be sent."""
        url = request.url
        port = "" if url.port is None else f":{url.port}"
        self.address = f"{url.scheme}://{url.host}{port}{url.path}"

    def on_response(self, response: Any) -> None:
        """Note a response, of which only the headers are read."""
        self.answered = response.is_success
        self.response = response

    @property
    def rate_limits(self) -> RateLimits | None:
        """Return what the rate-limit headers of the last response say, or None."""
        return None if self.response is None else read_rate_limits(self.response.headers, time.time())

    def seconds_left(self) -> float:
        """Return the seconds until the call must end."""
        return seconds_until(self._deadline) or 0.0

    def read_seconds_left(self) -> float:
        """Return the seconds until the server must send something."""
        return self.seconds_left()


class StreamReader(CallWatch):
    """Reads one stream.

    Args:
        provider: The provider's name.
        request: The call.
        bounds: The time limits of the call.

    Attributes:
        source: litellm's stream, once it is open.
        refusals: The pieces of the model's refusal so far.
    """

    def __init__(self, provider: str, request: Request, bounds: Timeout, *, lines_are_json: bool = False) -> None:
        super().__init__(bounds, lines_are_json=lines_are_json)
        self.reads_whole = False
        self.source: Any = None
        self.refusals: list[str] = []
        self._mapper = ChunkMapper(provider)
        self._responses: list[Any] = []
        self._first_deadline: float | None = None
        self._first_timeout: asyncio.Timeout | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bounds = bounds
        self._provider = provider
        self._request = request
        self._partial = Accumulator()
        self._started = False

    def read(self, raw: Any) -> Chunk | None:
        """Return our chunk of one of litellm's, or None if it has nothing for a consumer."""
        chunk = self._mapper.read(raw)
        if chunk is not None:
            if not self._started and (limits := self.rate_limits) is not None:
                chunk = replace(chunk, rate_limits=limits)
            self._started = True
            chunk = self._with_details(chunk)
            self._partial.add(chunk)
        return chunk

    def _with_details(self, chunk: Chunk) -> Chunk:
        # litellm drops the chunks that have nothing else.
        details = self.body.take_reasoning_details()
        return replace(chunk, reasoning_details=details) if details else chunk

    def on_request(self, request: Any) -> None:
        """Start the limit of the first chunk: it does not count the time that litellm needs to prepare."""
        super().on_request(request)
        self.start_first_limit()

    def start_first_limit(self) -> None:
        """Start the limit of the first chunk, unless it runs already."""
        seconds = self._bounds.first_token
        if seconds is None or self._first_deadline is not None:
            return
        self._first_deadline = deadline_in(seconds)
        if self._first_timeout is not None and not self._first_timeout.expired():
            self._first_timeout.reschedule(asyncio.get_running_loop().time() + seconds)

    def on_response(self, response: Any) -> None:
        """Note a response, to close it with this reader."""
        super().on_response(response)
        self._responses.append(response)
        if self.answered:
            self.body.attach(response)

    def seconds_left(self) -> float:
        """Return the seconds until the call, or its first chunk, must end."""
        return seconds_until(self._deadline, None if self._started else self._first_deadline) or 0.0

    def read_seconds_left(self) -> float:
        """Return the seconds until the server must send something, if only a keep-alive."""
        gap = self._bounds.between_chunks if self._started or self._bounds.first_token is None else None
        return self.seconds_left() if gap is None else min(gap, self.seconds_left())

    async def first_chunk(self, open_source: Callable[[], Awaitable[None]]) -> Chunk | None:
        """Open the stream and return its first chunk within its time limit, or None at the end."""
        self._first_timeout = timeout = asyncio.timeout(None)
        try:
            async with timeout:
                await open_source()
                return await self.next_chunk()
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise self._first_chunk_timed_out() from error

    async def next_chunk(self) -> Chunk | None:
        """Return the next chunk, or None at the end."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        elif self._loop is not asyncio.get_running_loop():
            raise StreamInterruptedError(
                f"{self._request.model}: the stream began in another event loop, and its connection belongs to that "
                "loop. Read a stream in the loop where it began",
                partial=self._partial.response(),
                provider=self._provider,
                model=self._request.model,
            )
        # Watched here too: for some vendors litellm sends the request at the first chunk.
        with watching(self):
            async for raw in self.source:
                if (chunk := self.read(raw)) is not None:
                    return chunk
        return None

    def next_chunk_sync(self) -> Chunk | None:
        """Return the next chunk, or None at the end."""
        with watching(self):
            for raw in self.source:
                if (chunk := self.read(raw)) is not None:
                    return chunk
        return None

    def _first_chunk_timed_out(self) -> ProviderTimeoutError:
        model, seconds = self._request.model, self._bounds.first_token
        return ProviderTimeoutError(
            f"{model}: the first chunk did not come within {seconds:g} s", provider=self._provider, model=model
        )

    def _finish(self) -> str | None:
        # litellm reports "stop" for a stream that ends without a finish reason. These two hold what the server sent,
        # for some vendors already mapped; the body has the vendor's own word.
        source = self.source
        word = getattr(source, "received_finish_reason", None) or getattr(source, "intermittent_finish_reason", None)
        return (self.body.finish or word) if finish_of(word) is not None else None

    def raise_unless_finished(self, error: BaseException, mapped: LLMOpsError) -> None:
        """Raise the error that a break means, unless the answer was whole or the stream just ended."""
        if mapped is error:
            raise error
        if self._finish() is not None or isinstance(mapped, IncompleteResponseError):
            return  # `last_chunk` distinguishes the two
        first_left = None if self._started else seconds_until(self._first_deadline)
        if first_left is not None and first_left <= 0 and isinstance(mapped, ProviderTimeoutError):
            raise self._first_chunk_timed_out() from error
        if not self._started or not isinstance(mapped, ProviderError):
            raise mapped from error
        raise StreamInterruptedError(
            f"the stream broke after its first chunk: {mapped}",
            partial=self._partial.response(),
            provider=self._provider,
            model=self._request.model,
            status_code=mapped.status_code,
            retry_after=mapped.retry_after,
            request_id=mapped.request_id,
            rate_limits=mapped.rate_limits,
        ) from error

    def usage(self) -> Any:
        """Return litellm's usage object if the server sent token counts; litellm makes up counts otherwise."""
        chunks = getattr(self.source, "chunks", None)
        sent = chunks is None or any(getattr(chunk, "usage", None) is not None for chunk in chunks)
        return self._mapper.usage if sent else None

    def last_chunk(self, cost: float | None) -> Chunk:
        """Return the chunk that ends the stream.

        Raises:
            IncompleteResponseError: The server did not send a finish reason.
        """
        finish = self._finish()
        if finish is None:
            raise IncompleteResponseError(
                f"{self._request.model}: the stream ended without a finish reason; the answer may be cut short",
                partial=self._partial.response(),
                provider=self._provider,
                model=self._request.model,
            )
        has_calls, refusal = bool(self._partial.response().tool_calls), "".join(self.refusals)
        reason = finish_reason(finish, has_calls=has_calls, model=self._request.model, refused=bool(refusal))
        return self._with_details(self._mapper.last_chunk(reason, self.usage(), cost, refusal=refusal))

    def close(self) -> None:
        """Close the connections."""
        for response in self._responses:
            response.close()

    async def aclose(self) -> None:
        """Close the connections, async."""
        for response in self._responses:
            await response.aclose()
        if not self._responses and self.source is not None:  # litellm's own client
            await self.source.aclose()
