"""Let the code around calls see what they used, without a query: the tokens, the cost, and the model that served."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_sdk.providers import Embeddings, Response
    from llmops_sdk.tracing import Span

__all__ = ["WATCHED", "WatchedCall", "current", "of_embeddings", "of_response"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedCall:
    """What a call used.

    Attributes:
        requested: The model as the caller or the configuration wrote it.
        model: The model that served.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer.
        cost: USD, or None when unknown.
        first_try: Whether the model answered itself, at the first attempt: not the cache, and not a fallback.
        trace_id: The trace of the call, or None.
    """

    requested: str
    model: str
    input_tokens: int
    output_tokens: int
    cost: float | None
    first_try: bool
    trace_id: str | None


WATCHED: ContextVar[list[WatchedCall] | None] = ContextVar("llmops-watched-calls", default=None)
"""The list to which each call appends, also in tasks and threads that carry the context; None outside of a watch."""

current: Callable[[], list[WatchedCall] | None] = WATCHED.get


def of_response(requested: str, response: Response, span: Span) -> WatchedCall:
    """Return what a call for an answer used.

    Args:
        requested: The model as the caller or the configuration wrote it.
        response: The answer.
        span: The span of the call.
    """
    usage = response.usage
    return WatchedCall(
        requested=requested,
        model=response.model or requested,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost=response.cost,
        first_try=response.cache is None and len(response.attempts) == 1,
        trace_id=span.trace_id if span.recording else None,
    )


def of_embeddings(requested: str, made: Embeddings, span: Span) -> WatchedCall:
    """Return what a call for vectors used.

    Args:
        requested: The model as the caller or the configuration wrote it.
        made: The vectors.
        span: The span of the call.
    """
    return WatchedCall(
        requested=requested,
        model=made.model or requested,
        input_tokens=made.usage.input_tokens,
        output_tokens=0,
        cost=made.cost,
        first_try=True,
        trace_id=span.trace_id if span.recording else None,
    )
