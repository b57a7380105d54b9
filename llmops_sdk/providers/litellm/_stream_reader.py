"""One call through litellm under way: what its server has said, how a stream ended, and what is to be closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
from llmops_sdk.providers.litellm._deadlines import moment, seconds_left
from llmops_sdk.providers.litellm._mapping import StreamReader, finish_of

__all__ = ["LONGEST", "Asking", "Reading"]

LONGEST = 600.0
"""Seconds of a call whose total has no bound."""


class Asking:
    """One call for a whole answer.

    Args:
        bounds: Those of the call.

    Attributes:
        answered: Whether the server has begun a good answer: what fails from then on is the answer.
    """

    def __init__(self, bounds: Timeout) -> None:
        self.answered = False
        # Where nothing is set, a wait still has a bound.
        self._due = moment(bounds.total or LONGEST)

    def sent(self) -> None:
        """A request is about to be sent."""

    def left(self) -> float:
        """Seconds until this call must end."""
        return seconds_left(self._due) or 0.0

    def pause(self) -> float:
        """Seconds until the server must have said something."""
        return self.left()

    def take(self, response: Any) -> None:
        """An HTTP response of this call, its headers read."""
        self.answered = response.is_success


class Reading(Asking):
    """One stream being read.

    Args:
        provider: The provider's name.
        request: The call.
        bounds: Those of the call.
    """

    def __init__(self, provider: str, request: Request, bounds: Timeout) -> None:
        super().__init__(bounds)
        self.source: Any = None
        self._reader = StreamReader(provider)
        self._held: list[Any] = []
        self._first_due: float | None = None
        self._bound: asyncio.Timeout | None = None
        self._bounds = bounds
        self._provider = provider
        self._request = request
        self._seen = Accumulator()
        self._began = False

    def read(self, raw: Any) -> Chunk | None:
        """Our chunk of one of litellm's, or None when there is nothing in it for a consumer."""
        chunk = self._reader.read(raw)
        if chunk is not None:
            self._began = True
            self._seen.add(chunk)
        return chunk

    def sent(self) -> None:
        """A request is about to be sent: from now on the first chunk is waited for, not while litellm gets ready."""
        seconds = self._bounds.first_token
        if seconds is None or self._first_due is not None:
            return
        self._first_due = moment(seconds)
        if self._bound is not None and not self._bound.expired():
            self._bound.reschedule(asyncio.get_running_loop().time() + seconds)

    def left(self) -> float:
        """Seconds until this call, or its first chunk, must end."""
        return seconds_left(self._due, None if self._began else self._first_due) or 0.0

    def pause(self) -> float:
        """Seconds until the server must have said something, if only that it is still there."""
        gap = self._bounds.between_chunks if self._began or self._bounds.first_token is None else None
        return self.left() if gap is None else min(gap, self.left())

    def take(self, response: Any) -> None:
        """An HTTP response of this stream, its headers read."""
        super().take(response)
        self._held.append(response)

    async def begun(self, open_: Callable[[], Awaitable[None]]) -> Chunk | None:
        """The first chunk, or None when there is none, within its bound."""
        self._bound = bound = asyncio.timeout(None)
        try:
            async with bound:
                await open_()
                return await self.following()
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise self._late() from error

    async def following(self) -> Chunk | None:
        """The next chunk, or None at the end."""
        async for raw in self.source:
            if (chunk := self.read(raw)) is not None:
                return chunk
        return None

    @property
    def _is_late(self) -> bool:
        left = None if self._began else seconds_left(self._first_due)
        return left is not None and left <= 0

    def _late(self) -> ProviderTimeoutError:
        model, seconds = self._request.model, self._bounds.first_token
        return ProviderTimeoutError(
            f"{model}: the first chunk did not come within {seconds:g} s", provider=self._provider, model=model
        )

    def _finish(self) -> str | None:
        # litellm reports a clean end without a finish reason as "stop"; what the server sent stands in these two.
        source = self.source
        return finish_of(
            getattr(source, "received_finish_reason", None) or getattr(source, "intermittent_finish_reason", None)
        )

    def broke(self, error: BaseException, mapped: LLMOpsError) -> None:
        """Raise what a break means; nothing, when the answer was whole before it, or the stream just ended."""
        if self._finish() is not None or isinstance(mapped, IncompleteResponseError):
            return  # `last` tells the two apart
        if self._is_late and isinstance(mapped, ProviderTimeoutError):
            raise self._late() from error
        if not self._began or not isinstance(mapped, ProviderError):
            raise mapped from error
        raise StreamInterruptedError(
            f"the stream broke after its first chunk: {mapped}",
            partial=self._seen.response(),
            provider=self._provider,
            model=self._request.model,
            status_code=mapped.status_code,
            retry_after=mapped.retry_after,
            request_id=mapped.request_id,
        ) from error

    def usage(self) -> Any:
        """Litellm's usage object, where the server sent the counts: without them litellm makes up some of its own."""
        chunks = getattr(self.source, "chunks", None)
        told = chunks is None or any(getattr(chunk, "usage", None) is not None for chunk in chunks)
        return self._reader.usage if told else None

    def last(self, cost: float | None) -> Chunk:
        """The chunk that ends the stream, when the server said how it ends."""
        finish = self._finish()
        if finish is None:
            raise IncompleteResponseError(
                f"{self._request.model}: the stream ended without a finish reason; its answer may be cut short",
                partial=self._seen.response(),
                provider=self._provider,
                model=self._request.model,
            )
        return self._reader.last(finish, self.usage(), cost)

    def close(self) -> None:
        """Close the connections."""
        for response in self._held:
            response.close()

    async def aclose(self) -> None:
        """Close the connections, async."""
        for response in self._held:
            await response.aclose()
        if not self._held and self.source is not None:  # litellm's own client
            await self.source.aclose()
