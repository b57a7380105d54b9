"""Tracing: the decorator, spans, context, scores, and the pipeline that takes records to the sinks."""

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
