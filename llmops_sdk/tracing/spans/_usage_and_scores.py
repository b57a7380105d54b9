"""`set`, `usage` and `score`: the methods that our spans and proxies of other libraries' spans share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span as OtelSpan

from llmops_sdk._util._public import public
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.spans._score import put_score

__all__ = ["UsageAndScores"]

_NO_TRACE = "0" * 32


@public("llmops_sdk")
class UsageAndScores(OtelSpan):
    """An OpenTelemetry span with a short form for attributes, and with token usage, cost and scores."""

    __slots__ = ()

    trace_id: Any
    span_id: Any

    def set(self, attributes: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set attributes; dotted names go in the mapping.

        Args:
            attributes: Names and values, which are captured like arguments. `bytes` under the name of messages, such
                as `gen_ai.input.messages`, are their JSON.
            more: Further attributes whose names are identifiers.
        """
        self.set_attributes({**(attributes or {}), **more})

    def usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost: float | None = None,
        model: str | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Record what a call to a model used. Values that are None are left out.

        The store computes the cost of a span of kind llm or embedding if you leave it out and know the model's price:
        see [prices] in docs/configuration.md.

        Args:
            input_tokens: Tokens of the prompt, cached ones included.
            output_tokens: Tokens of the answer, reasoning included.
            cost: USD.
            model: The model that served.
            cache_read_tokens: Input tokens from the provider's cache.
            cache_write_tokens: Input tokens written to the provider's cache.
            reasoning_tokens: Output tokens spent on reasoning.
        """
        named = {
            _semconv.INPUT_TOKENS: input_tokens,
            _semconv.OUTPUT_TOKENS: output_tokens,
            _semconv.COST: cost,
            _semconv.RESPONSE_MODEL: model,
            _semconv.CACHE_READ_TOKENS: cache_read_tokens,
            _semconv.CACHE_WRITE_TOKENS: cache_write_tokens,
            _semconv.REASONING_TOKENS: reasoning_tokens,
        }
        return self.set({name: value for name, value in named.items() if value is not None})

    def score(
        self,
        name: str,
        value: float | bool | str,
        *,
        label: str | None = None,
        comment: str | None = None,
        source: str = "user",
    ) -> None:
        """Attach a score to this span; see `llmops.score`. Without a span, do nothing."""
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
