"""What the action "fallback" does: a fixed answer, or another model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from llmops_sdk.errors import GuardrailViolation
from llmops_sdk.guardrails._protocol import Guard
from llmops_sdk.guardrails.running._options import options_of
from llmops_sdk.providers import Chunk, Provider, Request, Response, WrapperProvider, chunks_of

__all__ = ["OpenModel", "fallback_of"]

OpenModel: TypeAlias = Callable[[str], tuple[Provider, str]]
"""Returns the stages of a model with the guards on its answer, and the model's full name."""


class _FixedAnswer(WrapperProvider):
    """Gives one answer to everything."""

    def __init__(self, inner: Provider, text: str) -> None:
        super().__init__(inner)
        self._text = text

    def complete(self, request: Request) -> Response:
        # "content_filter" is the standard's word for an answer that a filter withheld; it is never cached.
        return Response(
            text=self._text,
            model=request.model_name,
            provider=request.provider,
            finish_reason="content_filter",
            cost=0.0,
        )

    async def acomplete(self, request: Request) -> Response:
        return self.complete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        yield from chunks_of(self.complete(request))

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        for chunk in chunks_of(self.complete(request)):
            yield chunk


def fallback_of(
    error: GuardrailViolation,
    guards: Sequence[Guard],
    request: Request,
    open_model: OpenModel | None,
    inner: Provider,
) -> tuple[Provider, Request, Guard] | None:
    """Return who answers instead of a refused text, the request for it, and the guard that asked for it.

    Args:
        error: The guard's violation.
        guards: The guards of the rail.
        request: The request.
        open_model: Opens another model, or None in a call that is a fallback already.
        inner: The provider that does not answer.

    Returns:
        None if the violation asks for no fallback, or for one that there is not.
    """
    if error.action != "fallback":
        return None
    for guard in guards:
        options = options_of(guard)
        if guard.name != error.guard:
            continue
        if options.fallback_answer is not None:
            return _FixedAnswer(inner, options.fallback_answer), request, guard
        if options.fallback_model is not None and open_model is not None:
            provider, model = open_model(options.fallback_model)
            return provider, replace(request, model=model), guard
    return None
