"""Read OTLP in protobuf. Only a protobuf request imports this module, and with it protobuf."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from llmops_sdk.store.otlp._wire import MAX_DEPTH, Group, MalformedError, WireLog, WireSpan, checked_id, checked_time
from llmops_sdk.tracing.privacy._secrets import CUT

__all__ = ["ProtoReader"]


class ProtoReader:
    """Reads requests in protobuf, which ignores unknown fields."""

    def __init__(self) -> None:
        self.losses: Counter[tuple[str, str]] = Counter()

    def spans(self, body: bytes) -> Iterator[Group]:
        """Yield the groups of a traces request."""
        request = ExportTraceServiceRequest()
        _parse(request, body)
        for number, group in enumerate(request.resource_spans):
            resource = self._attributes(group.resource.attributes)
            for inner, scoped in enumerate(group.scope_spans):
                where = f"resource_spans[{number}].scope_spans[{inner}].spans"
                yield Group(where, resource, scoped.scope.name, scoped.spans)

    def logs(self, body: bytes) -> Iterator[Group]:
        """Yield the groups of a logs request."""
        request = ExportLogsServiceRequest()
        _parse(request, body)
        for number, group in enumerate(request.resource_logs):
            for inner, scoped in enumerate(group.scope_logs):
                where = f"resource_logs[{number}].scope_logs[{inner}].log_records"
                yield Group(where, {}, scoped.scope.name, scoped.log_records)

    def span(self, item: Span) -> WireSpan:
        """Read a span's message."""
        return WireSpan(
            trace_id=checked_id(_id(item.trace_id, 16, "trace_id"), "trace_id"),
            span_id=checked_id(_id(item.span_id, 8, "span_id"), "span_id"),
            parent_id=_id(item.parent_span_id, 8, "parent_span_id"),
            name=item.name,
            kind=item.kind,
            start_ns=checked_time(item.start_time_unix_nano, "start_time_unix_nano"),
            end_ns=checked_time(item.end_time_unix_nano, "end_time_unix_nano"),
            attributes=self._attributes(item.attributes),
            events=[
                (
                    event.name,
                    checked_time(event.time_unix_nano, "time_unix_nano of an event"),
                    self._attributes(event.attributes),
                )
                for event in item.events
            ],
            links=[
                (
                    _id(link.trace_id, 16, "trace_id of a link"),
                    _id(link.span_id, 8, "span_id of a link"),
                    self._attributes(link.attributes),
                )
                for link in item.links
            ],
            status=item.status.code,
            message=item.status.message or None,
        )

    def log(self, item: LogRecord) -> WireLog:
        """Read a log record's message."""
        return WireLog(
            trace_id=_id(item.trace_id, 16, "trace_id"),
            span_id=_id(item.span_id, 8, "span_id"),
            time_ns=checked_time(item.time_unix_nano or item.observed_time_unix_nano, "time_unix_nano"),
            event=item.event_name,
            attributes=self._attributes(item.attributes),
            body=self._value(item.body, 0),
        )

    def _attributes(self, pairs: Sequence[KeyValue], depth: int = 0) -> dict[str, Any]:
        return {pair.key: self._value(pair.value, depth) for pair in pairs}

    def _value(self, value: AnyValue, depth: int) -> Any:
        which = value.WhichOneof("value")
        if which is None:
            return None
        if which in {"array_value", "kvlist_value"}:
            if depth >= MAX_DEPTH:
                self.losses["attribute", "too_deep"] += 1
                return CUT
            if which == "array_value":
                return [self._value(item, depth + 1) for item in value.array_value.values]
            return self._attributes(value.kvlist_value.values, depth + 1)
        found = getattr(value, which)
        # Base64, as in the JSON mapping of protobuf.
        return base64.b64encode(found).decode() if which == "bytes_value" else found


def _parse(request: ExportTraceServiceRequest | ExportLogsServiceRequest, body: bytes) -> None:
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        name = request.DESCRIPTOR.full_name
        raise MalformedError(f"the body is not a valid {name} in protobuf ({error})") from error


def _id(raw: bytes, length: int, what: str) -> int:
    if len(raw) not in (length, 0):
        raise MalformedError(f"{what} has {len(raw)} bytes, not {length}")
    return int.from_bytes(raw, "big")
