"""Remember what a caller in another process said about its trace: its state, and whether it is sampled.

By the ids of traces and spans, so that a span below costs nothing more. Both tables are bounded: a process that serves
callers forgets the oldest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, TraceState

    from llmops_sdk.tracing.spans._runtime import Runtime

__all__ = ["forget_callers", "is_local_only", "is_remote_parent", "note_remote", "samples_below", "state_of"]

_MAX_TRACES = 16_384

# Single C operations change all three, without a lock: a fork could leave a lock taken.
_states: dict[int, TraceState] = {}
_local_only: dict[int, None] = {}
_parents: dict[int, None] = {}


def note_remote(above: SpanContext) -> None:
    """Remember a remote parent, and the state of its trace."""
    if above.is_remote:
        _put(_parents, above.span_id, None)
    if above.trace_state and above.trace_id not in _states:
        _put(_states, above.trace_id, above.trace_state)


def samples_below(runtime: Runtime, above: SpanContext) -> bool:
    """Return whether the local store keeps a span below a span that is not ours.

    An unsampled caller decides what is exported, not what this store keeps, unless `[tracing] local_sampling` is
    "parent".
    """
    if above.trace_flags.sampled:
        return True
    if above.trace_id in _local_only:
        return True
    if not above.is_remote:
        return False
    if runtime.settings.tracing.local_sampling == "parent":
        runtime.record_loss("trace", "caller_unsampled")
        return False
    _put(_local_only, above.trace_id, None)
    return True


def forget_callers() -> None:
    """Forget all callers and traces, so that a new start decides about each anew."""
    for table in (_states, _local_only, _parents):
        table.clear()


def is_local_only(trace_number: int) -> bool:
    """Return whether the spans of this trace stay in the local store."""
    return bool(_local_only) and trace_number in _local_only


def state_of(trace_number: int) -> TraceState | None:
    """Return the state that the caller gave this trace, or None."""
    return _states.get(trace_number) if _states else None


def is_remote_parent(span_number: int) -> bool:
    """Return whether the span with this id is a caller in another process."""
    return bool(_parents) and span_number in _parents


def _put(table: dict[int, Any], key: int, value: Any) -> None:
    table[key] = value
    while len(table) > _MAX_TRACES:
        table.pop(next(iter(table)), None)
