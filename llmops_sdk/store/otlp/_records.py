"""Turn spans from the wire into records: other libraries' like in the process, and ours unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson

from llmops_sdk.store.lines._restored import RestoredSpan
from llmops_sdk.store.otlp._wire import WireSpan
from llmops_sdk.store.otlp._write import ADDED, TEXT
from llmops_sdk.tracing.interop._foreign_span import error_type_of
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._guardrail_events import verdicts_of
from llmops_sdk.tracing.records._records import SCOPE, Json, RecordedSpan
from llmops_sdk.tracing.records._span_kinds import kind_of

__all__ = ["span_record", "with_json_messages"]

_OTEL_KINDS = {2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUSES = {1: "ok", 2: "error"}
_OUR_STATUSES = ("cancelled", "closed")
_MESSAGES = (sc.INPUT_MESSAGES, sc.OUTPUT_MESSAGES)
_PAYLOADS = ("input", "output")
# Attributes that our exporter repeats for backends that know only the other name.
_SAME_AS = {"operation.cost": sc.COST, sc.CONVERSATION_ID: sc.SESSION_ID, "tag.tags": sc.TAGS}


def span_record(span: WireSpan, scope: str, resource: Mapping[str, Any]) -> RecordedSpan:
    """Return the span as the pipeline's sinks read it. The record takes over `span.attributes`.

    Args:
        span: A span from the wire.
        scope: The name of the library that made it.
        resource: The attributes of its process.
    """
    attributes = span.attributes
    status = _STATUSES.get(span.status, "unset")
    message = span.message or None
    kind = attributes.get(sc.KIND)
    payloads: dict[str, bytes] = {}
    with_json_messages(attributes)
    exported = isinstance(kind, str) and isinstance(attributes.get(ADDED), list)
    if exported:
        message = span.message
        payloads = _take_export_additions(attributes)
    elif isinstance(kind, str) and scope == SCOPE:
        payloads = _take_sent_duplicates(attributes, kind)
    if isinstance(kind, str):
        del attributes[sc.KIND]
        if status == "unset" and attributes.get(sc.STATUS) in _OUR_STATUSES:
            status = attributes.pop(sc.STATUS)
    else:
        kind = kind_of(attributes)
    return (RestoredSpan if exported else RecordedSpan)(
        name=span.name,
        kind=kind,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        start_ns=span.start_ns,
        duration_ns=max(span.end_ns - span.start_ns, 0),
        status=status,
        status_message=message,
        error_type=error_type_of(attributes, span.events) if status == "error" and not exported else None,
        input=payloads.get("input"),
        output=payloads.get("output"),
        attributes=attributes,
        events=verdicts_of(span.events),
        links=span.links,
        otel_kind=_OTEL_KINDS.get(span.kind, "internal"),
        scope=scope,
        resource=resource,
    )


def with_json_messages(attributes: dict[str, Any]) -> None:
    """Turn the messages among the attributes into JSON, whether they came as text or as a list."""
    for name in _MESSAGES:
        messages = _json_of(attributes.get(name))
        if messages is not None:
            attributes[name] = Json(messages)


def _take_export_additions(attributes: dict[str, Any]) -> dict[str, bytes]:
    """Remove what `export` added, and return the payloads: the span is again as stored."""
    added = cast("list[object]", attributes.pop(ADDED))
    texts = attributes.pop(TEXT, None)
    texts = cast("list[object]", texts) if isinstance(texts, list) else []
    payloads: dict[str, bytes] = {}
    for name in _PAYLOADS:
        payload = _payload(attributes.get(f"{name}.value"), text=name in texts)
        if payload is not None:
            payloads[name] = payload
            del attributes[f"{name}.value"]
    for name in added:
        if isinstance(name, str):
            attributes.pop(name, None)
    return payloads


def _take_sent_duplicates(attributes: dict[str, Any], kind: str) -> dict[str, bytes]:
    """Remove what this SDK's exporter repeats on its own spans, and return the payloads."""
    payloads: dict[str, bytes] = {}
    for name in _PAYLOADS:
        mime = attributes.pop(f"{name}.mime_type", None)
        payload = _payload(attributes.get(f"{name}.value"), text=mime != "application/json")
        if payload is not None:
            payloads[name] = payload
            del attributes[f"{name}.value"]
    if attributes.get("openinference.span.kind") == kind.upper():
        del attributes["openinference.span.kind"]
    for again, name in _SAME_AS.items():
        if again in attributes and attributes[again] == attributes.get(name):
            del attributes[again]
    if any(name.startswith(sc.METADATA_PREFIX) for name in attributes):
        attributes.pop("metadata", None)
    return payloads


def _payload(value: Any, *, text: bool) -> bytes | None:
    if not isinstance(value, str):
        return None
    if text:
        try:
            return orjson.dumps(value)
        except orjson.JSONEncodeError:  # a lone surrogate, which the store's encoder replaces
            return None
    return _json_of(value)


def _json_of(value: object) -> bytes | None:
    """Return JSON text, a list or a mapping as the bytes of a JSON column; None for anything else."""
    try:
        if isinstance(value, str):
            orjson.loads(value)
            return value.encode()
        return orjson.dumps(value) if isinstance(value, (list, dict)) else None
    except (ValueError, TypeError):
        return None
