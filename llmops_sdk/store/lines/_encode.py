"""Encode records as lines: strict JSON, valid UTF-8, at most 8 MiB. Content is spliced in as bytes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeGuard, cast

import orjson

from llmops_sdk.store.lines._price import PRICED_KINDS, add_cost
from llmops_sdk.store.lines._promote import one_line, plain_value, promote
from llmops_sdk.store.lines._restored import RestoredSpan, promote_restored
from llmops_sdk.store.lines._sanitize import JsonSanitizer
from llmops_sdk.store.lines._translate import translate
from llmops_sdk.store.schema._views import RECORD_STREAMS, RecordStream
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import SCOPE, Event, Link, Record, SpanDetails, SpanRecord, Stamp

__all__ = ["MAX_LINE", "Encoder", "is_span"]

MAX_LINE = 8 * 1024 * 1024
"""Bytes. DuckDB refuses the whole file if a line has about twice as many."""

_EVENT_COUNTS = {
    sc.EVENT_ATTEMPT: "attempt_events",
    sc.EVENT_CACHE_LOOKUP: "lookup_events",
    sc.EVENT_GUARD_VERDICT: "verdict_events",
    sc.EVENT_TRAFFIC: "traffic_events",
    sc.EVENT_ROUTE: "route_events",
}
_OTHER_RECORDS = frozenset(stream.record_type for stream in RECORD_STREAMS.values())
_NEWLINE = orjson.OPT_APPEND_NEWLINE
_SHORT_LINE = b'{"trace_id":"%032x","span_id":"%016x",%b%b,"start_ns":%d,"duration_ns":%d,"status":"%b"%b%b%b'
_STATUSES = {status: status.encode() for status in ("ok", "error", "cancelled", "closed", "unset")}
_CHECKED_AT_ONCE = 64  # spans: their joined lines stay in the processor's cache
_MAX_TEXT = 1_000_000  # characters in a column of a record that is not a span
_CACHED_NAMES = 1_024
_NAME_LENGTH = 256  # characters


def is_span(record: Record) -> TypeGuard[SpanRecord]:
    """Return whether the record is a span, not a score or a loss."""
    return type(record) not in _OTHER_RECORDS


class Encoder:
    """Encodes spans and other records, and counts in `losses` what it cuts or replaces."""

    def __init__(self) -> None:
        self.losses: Counter[tuple[str, str]] = Counter()
        """Losses by what and reason."""
        self.lost_bytes: Counter[tuple[str, str]] = Counter()
        self._resource: Mapping[str, Any] | None = None
        self._service: str | None = None
        self._resource_json = orjson.Fragment(b"{}")
        self._heads: dict[tuple[str, str], bytes] = {}
        self._tails: dict[str, bytes] = {}
        self._layouts: dict[str, tuple[list[str], Callable[[Any], tuple[Any, ...]], list[str], list[str]]] = {}

    def span_lines(self, records: Sequence[SpanRecord]) -> list[bytes]:
        """Return the lines of spans, with line breaks."""
        lines: list[bytes] = []
        for at in range(0, len(records), _CHECKED_AT_ONCE):
            lines += self._encode_group(records[at : at + _CHECKED_AT_ONCE])
        return lines

    def _encode_group(self, records: Sequence[SpanRecord]) -> list[bytes]:
        lines: list[bytes] = []
        short: list[bytes] = []
        for record in records:
            line = self._short_line(record)
            if line is None:
                line = self._long_line(record)
            else:
                short.append(line)
            lines.append(line)
        # One check of all lines is usually enough. Otherwise the slow path encodes the torn ones again.
        if not _are_intact(short):
            torn = {line for line in short if not _are_intact([line])}
            lines = [
                self._long_line(record) if line in torn else line for line, record in zip(lines, records, strict=True)
            ]
        return lines

    def span_line(self, record: SpanRecord) -> bytes:
        """Return the line of one span, with its line break."""
        return self.span_lines((record,))[0]

    def _short_line(self, record: SpanRecord) -> bytes | None:
        """Return the line of one of our spans without attributes, events and the like, as most are; None for others.

        The bytes equal those of `_long_line`, in a quarter of its time, if the content is intact.
        """
        if (
            type(record.name) is not str
            or record.attributes
            or record.events
            or record.links
            or record.stamp is not None
            or record.status_message is not None
            or record.error_type is not None
            or record.scope != SCOPE
        ):
            return None
        if record.resource is not self._resource:
            self._set_resource(record.resource)
        head = self._heads.get((record.name, record.kind)) or self._cache_head(record)
        rest = self._tails.get(record.otel_kind) or self._cache_tail(record.otel_kind)
        status = _STATUSES.get(record.status)
        if head is None or status is None:
            return None
        # %-formatting of bytes takes half the time of an encoded f-string.
        parent = record.parent_id
        return _SHORT_LINE % (
            record.trace_id,
            record.span_id,
            b'"parent_span_id":"%016x",' % parent if parent else b"",
            head,
            record.start_ns,
            record.duration_ns,
            status,
            b"" if (content := record.input) is None else b',"input":' + content,
            b"" if (output := record.output) is None else b',"output":' + output,
            rest,
        )

    def _cache_head(self, record: SpanRecord) -> bytes | None:
        name = record.name
        if not name.isascii():
            return None
        head = b'"name":%b,"kind":%b' % (orjson.dumps(name), orjson.dumps(record.kind))
        if len(self._heads) >= _CACHED_NAMES:
            self._heads.clear()
        if len(name) <= _NAME_LENGTH:
            self._heads[name, record.kind] = head
        return head

    def _cache_tail(self, otel_kind: str) -> bytes:
        row = {"otel_kind": otel_kind, "scope": SCOPE, "resource": self._resource_json}
        whole = row if self._service is None else {"service": self._service, **row}
        tail = self._tails[otel_kind] = b"," + orjson.dumps(whole, option=_NEWLINE)[1:]
        return tail

    def _long_line(self, record: SpanRecord) -> bytes:
        if record.resource is not self._resource:
            self._set_resource(record.resource)
        row: dict[str, Any] = {"trace_id": f"{record.trace_id:032x}", "span_id": f"{record.span_id:016x}"}
        if record.parent_id:
            row["parent_span_id"] = f"{record.parent_id:016x}"
        row["name"] = record.name
        row["kind"] = record.kind
        row["start_ns"] = record.start_ns
        row["duration_ns"] = record.duration_ns
        row["status"] = record.status
        if record.status_message is not None:
            row["status_message"] = record.status_message
        if record.error_type is not None:
            row["error_type"] = record.error_type
        if record.input is not None:
            row["input"] = orjson.Fragment(one_line(record.input))
        if record.output is not None:
            row["output"] = orjson.Fragment(one_line(record.output))
        attributes = record.attributes
        if attributes and type(record) is RestoredSpan:
            rest = promote_restored(row, attributes)
        else:
            if attributes and record.scope != SCOPE:
                attributes = translate(record)
            rest = promote(row, attributes) if attributes else {}
            if record.kind in PRICED_KINDS:
                add_cost(row, rest)
        if record.stamp is not None:
            _put_stamp(row, rest, record.stamp)
        if self._service is not None:
            row["service"] = self._service
        if rest:
            row["attributes"] = rest
        if record.events:
            _put_events(row, record.events)
        if record.links:
            row["links"] = [_link(link) for link in record.links]
        row["otel_kind"] = record.otel_kind
        row["scope"] = record.scope
        row["resource"] = self._resource_json
        return self._dump(row)

    def _details_line(self, record: SpanDetails) -> bytes:
        row: dict[str, Any] = {
            "trace_id": f"{record.trace_id:032x}",
            "span_id": f"{record.span_id:016x}",
            "event": record.name,
            "time_ns": record.start_ns,
        }
        attributes = translate(record)
        if sc.OPERATION not in (record.attributes or {}):
            attributes.pop(sc.OPERATION, None)  # derived: the span may be of another operation
        rest = promote(row, attributes)
        if record.name == sc.EVENT_DETAILS:
            add_cost(row, rest)  # views count it only if the span is a call
        if rest:
            row["attributes"] = rest
        return self._dump(row)

    def record_line(self, stream: RecordStream, record: object) -> bytes:
        """Return the line of a score, a loss or another record with its stream's columns as attributes."""
        if type(record) is SpanDetails:
            return self._details_line(record)
        layout = self._layouts.get(stream.name)
        if layout is None:
            names = [column.name for column in stream.columns]
            floats = [column.name for column in stream.columns if column.type == "DOUBLE"]
            payloads = [column.name for column in stream.columns if column.type == "JSON"]
            layout = self._layouts[stream.name] = (names, attrgetter(*names), floats, payloads)
        names, values, floats, payloads = layout
        row: dict[str, Any] = dict(zip(names, values(record)))  # noqa: B905 - `strict` takes as long as all the rest
        for name in floats:
            if row[name] is not None and not math.isfinite(row[name]):
                self.losses[name, "not_finite"] += 1
                row[name] = None
        for name in payloads:
            row[name] = orjson.Fragment(one_line(row[name] or b"null"))
        line = self._dump(row) if payloads else self._dump_text(row)
        if len(line) > _MAX_TEXT:
            for name, value in row.items():
                if isinstance(value, str) and len(value) > _MAX_TEXT:
                    self.losses[name, "too_large"] += 1
                    row[name] = value[:_MAX_TEXT]
            line = self._dump(row)
        return line

    def _dump_text(self, row: dict[str, Any]) -> bytes:
        try:
            return orjson.dumps(row, option=_NEWLINE)
        except orjson.JSONEncodeError:
            return self._dump(row)

    def _dump(self, row: dict[str, Any]) -> bytes:
        try:
            line = orjson.dumps(row, option=_NEWLINE)
            # orjson leaves no surrogates in text, so this one is in spliced JSON. A lone one makes the line unreadable.
            suspect = b"\\ud" in line or b"\\uD" in line
        except orjson.JSONEncodeError:
            # A lone surrogate, an integer beyond 64 bits, or an object that is not an attribute value.
            suspect = True
            line = b""
        if suspect:
            sanitizer = JsonSanitizer()
            row = sanitizer.mapping(row)
            self.losses.update(sanitizer.losses)
            line = orjson.dumps(row, option=_NEWLINE)
        return line if len(line) <= MAX_LINE else self._cut(row)

    def _cut(self, row: dict[str, Any]) -> bytes:
        sizes = sorted(((len(orjson.dumps(value)), key) for key, value in row.items()), reverse=True)
        for size, key in sizes:
            text = row[key]
            row[key] = text[:1000] if isinstance(text, str) else {"llmops.truncated": True, "bytes": size}
            self.losses[key, "too_large"] += 1
            self.lost_bytes[key, "too_large"] += size
            line = orjson.dumps(row, option=_NEWLINE)
            if len(line) <= MAX_LINE:
                break
        return line  # pyright: ignore[reportPossiblyUnboundVariable] - a row has ids at least

    def _set_resource(self, resource: Mapping[str, Any]) -> None:
        # The spans of a process share one resource, so encode it once.
        sanitizer = JsonSanitizer()
        plain = sanitizer.mapping(resource)
        service = plain.get("service.name")
        self._service = None if service is None else str(service)
        self._resource_json = orjson.Fragment(orjson.dumps(plain))
        self._resource = resource
        self._tails.clear()


def _are_intact(lines: Sequence[bytes]) -> bool:
    """Return whether no line contains a line break or a lone surrogate, and none is too long."""
    text = b"".join(lines)
    if text.count(b"\n") != len(lines) or b"\r" in text:
        return False
    # A search for one byte is many times faster than one for three.
    if b"\\" in text and (b"\\ud" in text or b"\\uD" in text):
        return False
    return len(text) <= MAX_LINE or all(len(line) <= MAX_LINE for line in lines)


def _put_stamp(row: dict[str, Any], rest: dict[str, Any], stamp: Stamp) -> None:
    # Values of the span itself win over those of its contexts.
    if stamp.session_id is not None:
        row.setdefault("session_id", stamp.session_id)
    if stamp.user_id is not None:
        row.setdefault("user_id", stamp.user_id)
    if stamp.prompt_name is not None:
        row.setdefault("prompt_name", stamp.prompt_name)
    if stamp.prompt_version is not None:
        row.setdefault("prompt_version", stamp.prompt_version)
    if stamp.tags:
        row["tags"] = list(dict.fromkeys([*stamp.tags, *row.get("tags", ())]))
    for key, value in (stamp.metadata or {}).items():
        rest.setdefault(sc.METADATA_PREFIX + key, plain_value(value))


def _put_events(row: dict[str, Any], events: Sequence[Event]) -> None:
    written: list[dict[str, Any]] = []
    for name, time_ns, attributes in events:
        written.append({"name": name, "time_ns": time_ns, "attributes": _attributes(attributes)})
        flag = _EVENT_COUNTS.get(name)
        if flag is not None:
            row[flag] = row.get(flag, 0) + 1
    row["events"] = written
    row["event_count"] = len(written)


def _attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in attributes.items():
        value_type = cast("type[object]", type(value))
        simple = value_type is str or value_type is int or value_type is bool
        plain[key] = value if simple else plain_value(value)
    return plain


def _link(link: Link) -> dict[str, Any]:
    trace_id, span_id, attributes = link
    return {"trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}", "attributes": _attributes(attributes)}
