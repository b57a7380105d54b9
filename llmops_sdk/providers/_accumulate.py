"""Join chunks into a response, split a response into chunks, and sum the answers of one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.errors import ProviderError, ProviderTimeoutError
from llmops_sdk.providers._tokens import text_pieces
from llmops_sdk.providers._tool_calls import ToolCallJoiner
from llmops_sdk.providers._types import (
    REASONING_BLOCKS,
    Attempt,
    Chunk,
    Message,
    RateLimits,
    Request,
    Response,
    ToolCall,
    ToolCallDelta,
    Usage,
)

__all__ = ["BLOCK_TEXTS", "Accumulator", "Rounds", "chunks_of"]

BLOCK_TEXTS = ("thinking", "text", "summary")
"""The texts of a block of reasoning, which a stream sends in pieces."""


def _no_parts() -> list[str]:
    return []


@dataclass(slots=True)
class _PartialCall:
    id: str | None = None
    name: str = ""
    arguments: list[str] = field(default_factory=_no_parts)


@public("llmops_sdk.providers")
class Accumulator:
    """Joins the chunks of a stream into a `Response`, at any point of the stream.

    Example:
        >>> from llmops_sdk.providers import Accumulator, Chunk
        >>> whole = Accumulator()
        >>> for chunk in (Chunk(text="Good "), Chunk(text="day", finish_reason="stop")):
        ...     whole.add(chunk)
        >>> whole.response().text, whole.response().finish_reason
        ('Good day', 'stop')
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._blocks: dict[str, list[dict[str, Any]]] = {name: [] for name in REASONING_BLOCKS}
        self._refusal: list[str] = []
        self._calls: list[_PartialCall] = []
        self._joiner = ToolCallJoiner()
        self._attempts: tuple[Attempt, ...] = ()
        self._usage: Usage | None = None
        self._cost: float | None = None
        self._saved_cost: float | None = None
        self._model: str | None = None
        self._provider: str | None = None
        self._deployment: str | None = None
        self._rate_limits: RateLimits | None = None
        self._finish_reason: str | None = None
        self._cache: str | None = None
        self._response_id: str | None = None
        self._simulated = False
        self._unchecked = False

    def add(self, chunk: Chunk) -> None:
        """Add the next chunk. If several chunks set a field, the last value counts."""
        if chunk.restarted:
            self._reset()
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        for name, blocks in self._blocks.items():
            for block in getattr(chunk, name):
                _add_block(blocks, block)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        for delta in chunk.tool_calls:
            self._add_call(delta)
        self._attempts = chunk.attempts or self._attempts
        self._usage = self._usage if chunk.usage is None else chunk.usage
        self._cost = self._cost if chunk.cost is None else chunk.cost
        self._saved_cost = self._saved_cost if chunk.saved_cost is None else chunk.saved_cost
        self._model = chunk.model or self._model
        self._provider = chunk.provider or self._provider
        self._deployment = chunk.deployment or self._deployment
        self._rate_limits = chunk.rate_limits or self._rate_limits
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._cache = chunk.cache or self._cache
        self._response_id = chunk.response_id or self._response_id
        self._simulated = self._simulated or chunk.simulated
        self._unchecked = self._unchecked or chunk.unchecked

    def _add_call(self, delta: ToolCallDelta) -> None:
        piece = self._joiner.number(delta)
        if piece.index == len(self._calls):
            self._calls.append(_PartialCall())
        call = self._calls[piece.index]
        call.id = call.id or piece.id
        call.name = call.name or piece.name or ""
        if piece.arguments:
            call.arguments.append(piece.arguments)

    def response(self) -> Response:
        """Return the response made of the chunks so far."""
        blocks: dict[str, Any] = {name: tuple(blocks) for name, blocks in self._blocks.items()}
        return Response(
            text="".join(self._text),
            tool_calls=tuple(
                ToolCall(id=call.id or f"call_{number}", name=call.name, arguments="".join(call.arguments))
                for number, call in enumerate(self._calls)
            ),
            usage=self._usage or Usage(),
            cost=self._cost,
            saved_cost=self._saved_cost,
            model=self._model or "",
            provider=self._provider or "",
            deployment=self._deployment,
            rate_limits=self._rate_limits,
            finish_reason=self._finish_reason,
            cache=self._cache,
            attempts=self._attempts,
            response_id=self._response_id,
            reasoning="".join(self._reasoning),
            **blocks,
            simulated=self._simulated,
            refusal="".join(self._refusal),
            unchecked=self._unchecked,
        )


def _add_block(blocks: list[dict[str, Any]], block: Mapping[str, Any]) -> None:
    """Join a piece of reasoning to the block that is open; a signature ends a block."""
    last = blocks[-1] if blocks else {}
    is_same = (block.get("type"), block.get("index")) == (last.get("type"), last.get("index"))
    if not is_same or last.get("signature") or not any(name in last for name in BLOCK_TEXTS):
        blocks.append(dict(block))
        return
    for name, value in block.items():
        if name in BLOCK_TEXTS:
            last[name] = f"{last.get(name) or ''}{value or ''}"
        elif value is not None:
            last[name] = value


def chunks_of(response: Response) -> Iterator[Chunk]:
    """Split a whole answer into chunks of about a token, and a last chunk with everything else.

    Example:
        >>> from llmops_sdk.providers import Response, chunks_of
        >>> [chunk.text for chunk in chunks_of(Response(text="Good day", finish_reason="stop"))]
        ['Good', ' day', '']
    """
    base = Chunk(
        model=response.model or None,
        provider=response.provider or None,
        response_id=response.response_id,
        cache=response.cache,
        deployment=response.deployment,
        simulated=response.simulated,
    )
    for piece in text_pieces(response.reasoning):
        yield replace(base, reasoning=piece)
    blocks = {name: getattr(response, name) for name in REASONING_BLOCKS}
    if any(blocks.values()):
        yield replace(base, **blocks)
    for piece in text_pieces(response.text):
        yield replace(base, text=piece)
    for piece in text_pieces(response.refusal):
        yield replace(base, refusal=piece)
    for index, call in enumerate(response.tool_calls):
        yield replace(base, tool_calls=(ToolCallDelta(index=index, id=call.id, name=call.name),))
        for piece in text_pieces(call.arguments):
            yield replace(base, tool_calls=(ToolCallDelta(index=index, arguments=piece),))
    yield replace(
        base,
        finish_reason=response.finish_reason,
        usage=response.usage,
        cost=response.cost,
        saved_cost=response.saved_cost,
        attempts=response.attempts,
        unchecked=response.unchecked,
    )


class Rounds:
    """The answers of one call that asks more than once: their attempts, tokens and cost, and the time that is left.

    As a context manager around one round, it adds the attempts of earlier rounds to an error.

    Args:
        request: The first request.
        clock: The time.

    Attributes:
        count: How many answers there were.
    """

    def __init__(self, request: Request, clock: Clock = SYSTEM_CLOCK) -> None:
        self.count = 0
        self._attempts: tuple[Attempt, ...] = ()
        self._usage = Usage()
        self._cost: float | None = 0.0
        self._clock = clock
        total = request.timeout.total if request.timeout else None
        self._deadline = clock.monotonic() + total if total else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ProviderError):
            error.attempts = (*self._attempts, *error.attempts)

    def add(self, response: Response) -> Response:
        """Add an answer, and return it with the attempts, tokens and cost of all answers so far."""
        self.count += 1
        self._attempts = (*self._attempts, *response.attempts)
        self._usage = _sum(self._usage, response.usage)
        self._cost = None if self._cost is None or response.cost is None else self._cost + response.cost
        if self.count == 1:
            return response
        return replace(response, attempts=self._attempts, usage=self._usage, cost=self._cost)

    def chunk(self, chunk: Chunk) -> Chunk:
        """Return a chunk of the next answer with what the answers so far took."""
        if not self.count or (chunk.usage is None and not chunk.attempts):
            return chunk
        cost = None if self._cost is None or chunk.cost is None else self._cost + chunk.cost
        usage = _sum(self._usage, chunk.usage or Usage())
        return replace(chunk, usage=usage, cost=cost, attempts=(*self._attempts, *chunk.attempts))

    def next(self, request: Request, *messages: Message, reason: str, until: str) -> Request:
        """Return the request for the next answer, in the time that is left.

        Args:
            request: The request before.
            messages: More messages.
            reason: Why it is made, as in `Request.reason`.
            until: What the call waits for, for the error.

        Raises:
            ProviderTimeoutError: No time is left.
        """
        timeout = request.timeout
        if self._deadline is not None and timeout is not None:
            left = self._deadline - self._clock.monotonic()
            if left <= 0:
                raise ProviderTimeoutError(
                    f"the call's total time passed before {until}: set a longer `timeout`", model=request.model
                )
            timeout = timeout.model_copy(update={"total": left})
        return replace(
            request,
            messages=(*request.messages, *messages),
            timeout=timeout,
            first_attempt=len(self._attempts) + 1,
            reason=reason,
        )


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cache_read_tokens=one.cache_read_tokens + other.cache_read_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        cache_creation_tokens=one.cache_creation_tokens + other.cache_creation_tokens,
    )
