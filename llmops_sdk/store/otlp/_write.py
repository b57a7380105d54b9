"""Write stored spans as OTLP JSON: one `ExportTraceServiceRequest` a line, as OpenTelemetry's file exporters do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import orjson

from llmops_sdk.store.lines._promote import ATTRIBUTE_COLUMNS, attribute_value
from llmops_sdk.store.lines._restored import SHADOWED
from llmops_sdk.store.schema._views import Column
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._guardrail_events import conventional_verdict

__all__ = ["ADDED", "TEXT", "otlp_lines"]

ADDED = "llmops.export.added"
"""An attribute that lists those the export added; `import` removes them."""
TEXT = "llmops.export.text"
"""An attribute that says which of input and output were JSON strings; the file has only their text."""

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUS = {"ok": 1, "error": 2}
_INT64 = range(-(2**63), 2**63)


def otlp_lines(columns: Sequence[Column], batches: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[bytes]:
    """Yield a request for each batch of spans, grouped by process and by library."""
    names = [column.name for column in columns]
    for rows in batches:
        groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in rows:
            span = dict(zip(names, row, strict=True))
            scopes = groups.setdefault(span["resource"] or "{}", {})
            scopes.setdefault(span["scope"] or "", []).append(_span(span))
        resources = [
            {
                "resource": {"attributes": _attributes(orjson.loads(resource))},
                "scopeSpans": [{"scope": {"name": scope}, "spans": spans} for scope, spans in scopes.items()],
            }
            for resource, scopes in groups.items()
        ]
        yield orjson.dumps({"resourceSpans": resources}, option=orjson.OPT_APPEND_NEWLINE)


def _span(span: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"traceId": span["trace_id"], "spanId": span["span_id"]}
    if span["parent_span_id"]:
        made["parentSpanId"] = span["parent_span_id"]
    made["name"] = span["name"] or ""
    made["kind"] = _KINDS.get(span["otel_kind"], 1)
    made["startTimeUnixNano"] = str(span["start_ns"])
    made["endTimeUnixNano"] = str((span["start_ns"] or 0) + (span["duration_ns"] or 0))
    made["attributes"] = _attributes(_span_attributes(span))
    made["events"] = [_event(event) for event in orjson.loads(span["events"] or "[]")]
    links: list[dict[str, Any]] = orjson.loads(span["links"] or "[]")
    made["links"] = [
        {"traceId": link["trace_id"], "spanId": link["span_id"], "attributes": _attributes(link["attributes"])}
        for link in links
    ]
    made["status"] = {"code": _STATUS.get(span["status"], 0)}
    if span["status_message"] is not None:
        made["status"]["message"] = span["status_message"]
    return made


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    name, attributes = event["name"], event["attributes"]
    if name == sc.EVENT_GUARD_VERDICT:
        name, attributes = sc.EVENT_GUARDRAIL_RESULT, conventional_verdict(attributes)
    return {"timeUnixNano": str(event["time_ns"]), "name": name, "attributes": _attributes(attributes)}


def _span_attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns under their current attribute names, and the other attributes."""
    ours: dict[str, Any] = {sc.KIND: span["kind"]}
    if span["status"] not in _STATUS and span["status"] != "unset":
        ours[sc.STATUS] = span["status"]
    for name, column in ATTRIBUTE_COLUMNS.items():
        if span[name] is not None:
            ours[column.attributes[0]] = attribute_value(column, span[name])
    added: dict[str, Any] = {"openinference.span.kind": (span["kind"] or "").upper()}
    texts: list[str] = []
    for name in ("input", "output"):
        if span[name] is not None:
            plain = span[name].startswith('"')
            ours[f"{name}.value"] = orjson.loads(span[name]) if plain else span[name]
            added[f"{name}.mime_type"] = "text/plain" if plain else "application/json"
            if plain:
                texts.append(name)
    # An attribute with a column's name that did not fit the column (as a list for a text) is renamed.
    rest: dict[str, Any] = orjson.loads(span["attributes"] or "{}")
    made = {SHADOWED + name if name in ours else name: value for name, value in rest.items()} | ours
    added = {name: value for name, value in added.items() if name not in made}
    made |= added
    made[ADDED] = list(added)
    if texts:
        made[TEXT] = texts
    return made


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        # As text, since JSON readers parse numbers as doubles.
        return {"intValue": str(value)} if value in _INT64 else {"stringValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in cast("list[Any]", value)]}}
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value).items()
        return {"kvlistValue": {"values": [{"key": key, "value": _value(item)} for key, item in entries]}}
    return {}
