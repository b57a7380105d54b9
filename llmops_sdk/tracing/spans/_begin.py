"""Beginning a span: its ids, its parent, whether it is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span as OtelSpan

from llmops_sdk._util._ids import new_trace_id
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._span import SILENT, Span, new_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_sdk.tracing.records._records import Stamp

__all__ = ["begin", "start_span"]

_now = time.time_ns
_SILENT_TRACE: int = SILENT._trace_number  # pyright: ignore[reportPrivateUsage]


def begin(
    runtime: _runtime.Runtime, context: _active.Context, name: str, kind: str, otel_kind: str = "internal"
) -> Span:
    """A new span below the current one of `context`; it is not made current."""
    if runtime.host is not None:
        made = runtime.host.begin(runtime, context, name, kind, otel_kind)
        if made is not None:
            return made
    parent: Any = context.get(_active.SPAN_KEY)
    stamp: Any = context.get(_active.STAMP_KEY)
    sampler = runtime.sampler
    start = _now()
    # None and our own first: asking an abstract class whether something is its instance takes as long as all the rest.
    if parent is None:
        trace, above = new_trace_id(start), 0
        kept = sampler is None or sampler.keeps(trace, None)
    elif type(parent) is Span:
        trace, above, kept = parent._trace_number, parent._span_number, parent.recording  # pyright: ignore[reportPrivateUsage] - a friend, on the hot path
        if sampler is not None and trace != _SILENT_TRACE:
            kept = sampler.keeps(trace, kept)
    else:
        return _below_other(runtime, parent, name, kind, stamp, start)
    return new_span(runtime, name, kind, trace, above, stamp, start, kept and runtime.enabled)


def _below_other(
    runtime: _runtime.Runtime, parent: object, name: str, kind: str, stamp: Stamp | None, start: int
) -> Span:
    """A new span below another library's."""
    sampler = runtime.sampler
    above = parent.get_span_context() if isinstance(parent, OtelSpan) else None
    if above is None or not above.is_valid:
        trace = new_trace_id(start)
        kept = sampler is None or sampler.keeps(trace, None)
        return new_span(runtime, name, kind, trace, 0, stamp, start, kept and runtime.enabled)
    sampled = bool(above.trace_flags.sampled)
    kept = sampled if sampler is None else sampler.keeps(above.trace_id, sampled)
    span = new_span(runtime, name, kind, above.trace_id, above.span_id, stamp, start, kept and runtime.enabled)
    span._trace_state = above.trace_state  # pyright: ignore[reportPrivateUsage]
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
        name: Its name.
        kind: What it is, as in `llmops.trace`.
        otel_kind: "internal", or "client" for a call that leaves the process.
        attributes: Attributes from its start on.
    """
    runtime = _runtime.current or _runtime.start()
    span = begin(runtime, _active.get(), name, kind, otel_kind)
    if span.recording:
        span.otel_kind = otel_kind
        if attributes:
            span.set_attributes(attributes)
    return span
