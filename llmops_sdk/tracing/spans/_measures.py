"""What can be said of a span besides its attributes, whoever made it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from llmops_sdk.tracing.spans._attributes import usage_attributes

__all__ = ["Measures"]

_NO_TRACE = "0" * 32


class Measures:
    """`usage` and `score` of our spans and of the wrapper around another library's."""

    __slots__ = ()

    trace_id: Any
    span_id: Any

    @abstractmethod
    def set(self, attributes: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set attributes."""

    def usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost: float | None = None,
        model: str | None = None,
        cache_read_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Say what a call to a model used.

        Args:
            input_tokens: Tokens of the prompt, cached ones included.
            output_tokens: Tokens of the answer, reasoning included.
            cost: USD.
            model: The model that served.
            cache_read_tokens: Of the input, those from the provider's cache.
            reasoning_tokens: Of the output, those spent on reasoning.
        """
        return self.set(usage_attributes(input_tokens, output_tokens, cost, model, cache_read_tokens, reasoning_tokens))

    def score(
        self,
        name: str,
        value: float | bool | str,
        *,
        label: str | None = None,
        comment: str | None = None,
        source: str = "user",
    ) -> None:
        """Judge this span; see `llmops.score`. Nothing happens where there is no span."""
        from llmops_sdk.tracing.spans._score import put_score

        if self.trace_id != _NO_TRACE:
            put_score(
                name,
                value,
                span_id=self.span_id,
                trace_id=self.trace_id,
                label=label,
                comment=comment,
                source=source,
            )
