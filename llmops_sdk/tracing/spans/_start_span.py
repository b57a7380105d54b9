"""Start a span: choose its ids and its parent, and decide whether it is recorded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span as OtelSpan

from llmops_sdk.tracing.records._ids import new_trace_id
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._remote import note_remote, samples_below
from llmops_sdk.tracing.spans._span import SILENT, Span, new_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_sdk.tracing.records._records import Stamp

__all__ = ["start_child", "start_span", "use_stamps"]

_now = time.time_ns
_SILENT_TRACE: int = SILENT.trace_number
_held_stamp = _active.held.get
_stamps_used = False


def use_stamps() -> None:
    """Look for stamps from now on; without `llmops.context` there are none, and starting a span is faster."""
    global _stamps_used
    _stamps_used = True


def start_child(
    runtime: _runtime.Runtime, context: _active.Context, name: str, kind: str, otel_kind: str = "internal"
) -> Span:
    """Start a span below the current one of `context`, without making it current."""
    if runtime.span_starter is not None:
        span = runtime.span_starter.start_child(runtime, context, name, kind, otel_kind)
        if span is not None:
            return span
    parent: Any = context.get(_active.SPAN_KEY)
    stamp: Any = None
    if _stamps_used:
        stamp = context.get(_active.STAMP_KEY)
        held = _held_stamp()
        if held is not None and held.stamp is not stamp:
            stamp = _active.stamp_of(context)
    sampler = runtime.sampler
    start = _now()
    # None and our own class first: an isinstance check against an abstract class takes as long as all the rest.
    if parent is None:
        trace_number, parent_number = new_trace_id(start), 0
        sampled = sampler is None or sampler.samples(trace_number, None)
    elif type(parent) is Span:
        trace_number, parent_number, sampled = parent.trace_number, parent.span_number, parent.recording
        if sampler is not None and trace_number != _SILENT_TRACE:
            sampled = sampler.samples(trace_number, sampled)
    else:
        return _start_below_foreign(runtime, parent, name, kind, stamp, start)
    return new_span(runtime, name, kind, trace_number, parent_number, stamp, start, sampled and runtime.enabled)


def _start_below_foreign(
    runtime: _runtime.Runtime, parent: object, name: str, kind: str, stamp: Stamp | None, start: int
) -> Span:
    sampler = runtime.sampler
    above = parent.get_span_context() if isinstance(parent, OtelSpan) else None
    if above is None or not above.is_valid:
        trace_number = new_trace_id(start)
        sampled = sampler is None or sampler.samples(trace_number, None)
        return new_span(runtime, name, kind, trace_number, 0, stamp, start, sampled and runtime.enabled)
    note_remote(above)
    if sampler is not None:
        sampled = sampler.samples(above.trace_id, bool(above.trace_flags.sampled))
    else:
        sampled = samples_below(runtime, above)
    span = new_span(runtime, name, kind, above.trace_id, above.span_id, stamp, start, sampled and runtime.enabled)
    span.trace_state = above.trace_state
    return span


def start_span(
    name: str,
    *,
    kind: str = "chain",
    otel_kind: str = "internal",
    attributes: Mapping[str, Any] | None = None,
) -> Span:
    """Start a span below the current one without making it current; the caller ends it.

    Args:
        name: The span's name.
        kind: The kind of span, as in `llmops.trace`.
        otel_kind: "internal", or "client" for a call that leaves the process.
        attributes: Attributes to set at the start.
    """
    runtime = _runtime.current or _runtime.start()
    span = start_child(runtime, _active.get(), name, kind, otel_kind)
    if span.recording:
        span.otel_kind = otel_kind
        if attributes:
            span.set_attributes(attributes)
    return span
