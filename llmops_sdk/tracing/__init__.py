"""Tracing: the decorator, spans, context, scores, and the pipeline that brings them to the sinks."""

from llmops_sdk.tracing._begin import start_span
from llmops_sdk.tracing._capture import encode
from llmops_sdk.tracing._context import context, current_span, extract, inject, score, span
from llmops_sdk.tracing._decorator import trace
from llmops_sdk.tracing._encoders import register_encoder
from llmops_sdk.tracing._flush import aflush, flush, shutdown
from llmops_sdk.tracing._records import FlushReport
from llmops_sdk.tracing._redactors import add_redactor
from llmops_sdk.tracing._runtime import record_loss
from llmops_sdk.tracing._span import Span
from llmops_sdk.tracing._tracer_provider import tracer_provider

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
