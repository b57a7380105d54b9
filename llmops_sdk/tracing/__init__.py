"""Tracing: the decorator, spans, context, scores, and the pipeline that takes records to the sinks."""

from __future__ import annotations

from llmops_sdk._lazy import lazy_names

TYPE_CHECKING = False  # as in `_lazy`
if TYPE_CHECKING:
    from typing import Any

    from llmops_sdk.tracing.capture._encode import encode
    from llmops_sdk.tracing.capture._encoders import register_encoder
    from llmops_sdk.tracing.decorators._trace import trace
    from llmops_sdk.tracing.interop._tracer_provider import tracer_provider
    from llmops_sdk.tracing.privacy._redactors import add_redactor
    from llmops_sdk.tracing.records._losses import record_loss
    from llmops_sdk.tracing.records._records import FlushReport
    from llmops_sdk.tracing.runtime._start import aflush, flush, shutdown
    from llmops_sdk.tracing.spans._blocks import context, current_span, score, span
    from llmops_sdk.tracing.spans._propagation import extract, inject
    from llmops_sdk.tracing.spans._span import Span
    from llmops_sdk.tracing.spans._start_span import start_span

_load, __dir__ = lazy_names(
    __name__,
    {
        "capture._encode": "encode",
        "capture._encoders": "register_encoder",
        "decorators._trace": "trace",
        "interop._tracer_provider": "tracer_provider",
        "privacy._redactors": "add_redactor",
        "records._losses": "record_loss",
        "records._records": "FlushReport",
        "runtime._start": "aflush flush shutdown",
        "spans._blocks": "context current_span score span",
        "spans._propagation": "extract inject",
        "spans._span": "Span",
        "spans._start_span": "start_span",
    },
)


def __getattr__(name: str) -> Any:
    # Every name may start tracing. Its module must be complete before another thread forks, so it is imported here and
    # not at the first span. The store and the command line read the records' modules alone, and pay for no more.
    from llmops_sdk.tracing.runtime import _start as _start

    return _load(name)


__all__ = [
    "FlushReport",
    "Span",
    "add_redactor",
    "aflush",
    "context",
    "current_span",
    "encode",
    "extract",
    "flush",
    "inject",
    "record_loss",
    "register_encoder",
    "score",
    "shutdown",
    "span",
    "start_span",
    "trace",
    "tracer_provider",
]
