"""OTLP requests from the OpenTelemetry SDK's encoder, in protobuf and in JSON."""

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
    """Return a request for traces in protobuf."""
    return encode_spans(spans).SerializeToString()


def as_json(spans: Sequence[ReadableSpan], *, hex_ids: bool = True, snake: bool = False) -> bytes:
    """Return the request in JSON: as the specification asks, or in protobuf's own mapping."""
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
    """Return a span in OTLP JSON from `fields` as on the wire and `attributes` as a mapping of texts."""
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
    """Return a request with these spans in one group."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"scope": {"name": "a.library"}, "spans": list(spans)}],
            }
        ]
    }
