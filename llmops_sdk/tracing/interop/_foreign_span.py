"""An ended SDK span of another library, on its way to a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.trace import StatusCode

from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._embedded import MIN_MEDIA_TEXT, without_media
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.privacy._content import ContentRule
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.records._records import Json, RecordedSpan
from llmops_sdk.tracing.records._span_kinds import kind_of
from llmops_sdk.tracing.spans._attributes import text_of
from llmops_sdk.tracing.spans._remote import is_local_only, note_remote

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from llmops_sdk.tracing.records._records import Event, Stamp

__all__ = ["PendingForeignSpan", "error_type_of"]

_SCALARS = frozenset({str, bool, int, float, type(None)})
# Wider than for arguments: the library has bounded its values, and messages must stay whole.
_BOUNDS = Bounds(max_bytes=4 * 1024 * 1024, max_depth=32, max_items=100_000)


class PendingForeignSpan:
    """An ended SDK span in the queue.

    Args:
        span: The span.
        stamp: The stamp of `llmops.context` from its start.
        inner: Whether another span describes the same call; see `kind_of`.
        rule: Selects what is captured if content is not: `[capture] content`. None captures everything.
    """

    __slots__ = ("inner", "rule", "size", "span", "stamp")

    def __init__(
        self, span: ReadableSpan, stamp: Stamp | None = None, inner: bool = False, *, rule: ContentRule | None = None
    ) -> None:
        self.span = span
        self.stamp = stamp
        self.inner = inner
        self.rule = rule
        self.size = 512 + 64 * len(span.attributes or ())

    def to_record(self) -> RecordedSpan:
        """Return the span as the sinks read it."""
        span = self.span
        own = span.get_span_context()
        attributes: Mapping[str, Any] = span.attributes or {}
        error = span.status.status_code is StatusCode.ERROR
        start = span.start_time or 0
        # OpenTelemetry checks attributes, but neither the name that `update_name` sets nor an event's.
        events: list[Event] = [
            (text_of(event.name), event.timestamp, dict(event.attributes or {})) for event in span.events
        ]
        error_type = error_type_of(attributes, events) if error else None
        message = None if span.status.description is None else text_of(span.status.description)
        links = [(link.context.trace_id, link.context.span_id, _snapshot(link.attributes or {})) for link in span.links]
        scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
        kind = kind_of(attributes, inner=self.inner)
        if self.rule is not None:
            attributes = self.rule.attributes(attributes, scope)
            events = [(name, time_ns, self.rule.event(name, kept, scope)) for name, time_ns, kept in events]
            links = [(trace_id, span_id, self.rule.attributes(kept, scope)) for trace_id, span_id, kept in links]
            message = None
        if span.parent is not None:
            note_remote(span.parent)
        if own is not None and is_local_only(own.trace_id):
            attributes = {**attributes, _semconv.UNSAMPLED: True}
        return RecordedSpan(
            name=text_of(span.name),
            kind=kind,
            trace_id=own.trace_id if own else 0,
            span_id=own.span_id if own else 0,
            parent_id=span.parent.span_id if span.parent else 0,
            start_ns=start,
            duration_ns=max((span.end_time or start) - start, 0),
            status="error" if error else ("ok" if span.status.status_code is StatusCode.OK else "unset"),
            status_message=message,
            error_type=error_type,
            attributes=_snapshot(attributes),
            events=[(name, time_ns, _snapshot(kept)) for name, time_ns, kept in events],
            links=links,
            stamp=self.stamp,
            otel_kind=span.kind.name.lower(),
            scope=scope,
            resource=span.resource.attributes,
        )


def _snapshot(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes with structured values and bytes as JSON; scalars and lists of texts stay as they are."""
    return {key: _kept(value) for key, value in attributes.items()}


def _kept(value: Any) -> Any:
    cls = cast("type[object]", type(value))
    if cls is str:
        return without_media(value)
    if cls in _SCALARS or _is_flat(value):
        return value
    encoded = encode(value, _BOUNDS)
    if len(encoded) >= MIN_MEDIA_TEXT:
        encoded = without_media(encoded.decode()).encode()
    return Json(encoded)


def _is_flat(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(type(item) in _SCALARS for item in cast("Sequence[object]", value))


def error_type_of(attributes: Mapping[str, Any], events: Sequence[Event]) -> str | None:
    """Return the class of the error without its module, as on our own spans."""
    found = attributes.get(_semconv.ERROR_TYPE)
    for name, _, described in reversed(events):
        if found is None and name == _semconv.EVENT_EXCEPTION:
            found = described.get("exception.type")
    return None if found is None else str(found).rpartition(".")[2]
