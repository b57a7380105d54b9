"""OTLP requests of the OpenTelemetry SDK's own encoder, in protobuf and in JSON as the specification writes it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["as_json", "as_protobuf", "simple_request", "simple_span"]

_IDS = ("traceId", "spanId", "parentSpanId")


def as_protobuf(spans: Sequence[ReadableSpan]) -> bytes:
    """A request for traces in protobuf."""
    return encode_spans(spans).SerializeToString()


def as_json(spans: Sequence[ReadableSpan], *, hex_ids: bool = True, snake: bool = False) -> bytes:
    """The same in JSON; by default as the specification asks, else as protobuf's own mapping writes it."""
    found = json_format.MessageToDict(encode_spans(spans), preserving_proto_field_name=snake)
    return json.dumps(_hex(found) if hex_ids else found).encode()


def _hex(value: Any) -> Any:
    if isinstance(value, list):
        return [_hex(item) for item in value]
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in _IDS and isinstance(item, str) else _hex(item)
            for key, item in value.items()
        }
    return value


def simple_span(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A span in OTLP JSON; `fields` as on the wire, and `attributes` as a mapping of texts."""
    attributes = fields.pop("attributes", {})
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "work",
        "kind": 1,
        "startTimeUnixNano": str(1_795_000_000_000_000_000 + number),
        "endTimeUnixNano": str(1_795_000_000_001_000_000 + number),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        **fields,
    }


def simple_request(spans: Sequence[Any], service: str = "tests") -> dict[str, Any]:
    """A request with these spans, in one group."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"scope": {"name": "a.library"}, "spans": list(spans)}],
            }
        ]
    }
