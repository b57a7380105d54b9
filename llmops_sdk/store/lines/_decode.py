"""Turn lines of segments back into span records, for the outbox and replay."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from llmops_sdk.store.lines._promote import ATTRIBUTE_COLUMNS, attribute_value
from llmops_sdk.store.schema._views import SPAN_COLUMNS
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import Json, RecordedSpan, Stamp

__all__ = ["RecordReader"]

# Fields of the record or of its stamp.
_FIELDS = frozenset({"error_type", "session_id", "user_id", "tags", "prompt_name", "prompt_version"})
_RESOURCES = 64
_raw = json.JSONDecoder().raw_decode


class RecordReader:
    """Decodes lines. The spans of one process share one resource mapping."""

    def __init__(self) -> None:
        self._resources: dict[str, Mapping[str, Any]] = {}

    def records(self, lines: Iterable[bytes]) -> list[RecordedSpan]:
        """Return the spans of some lines, without seals, torn lines and pruned lines.

        Args:
            lines: Lines, with or without line breaks.
        """
        return [record for line in lines if (record := self.record(line)) is not None]

    def record(self, line: bytes) -> RecordedSpan | None:
        """Return the span of a line, or None if it has none.

        Args:
            line: A line, with or without its line break.
        """
        try:
            fields = _fields(line.decode())
            return self._record(fields) if "trace_id" in fields else None
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None  # torn, or not ours

    def record_of_row(self, row: Mapping[str, Any]) -> RecordedSpan | None:
        """Return the span of a row of `store.spans`, or None if it cannot be read.

        Args:
            row: The columns by name, with JSON as text.
        """
        fields = {
            column.name: value if column.type == "JSON" else json.dumps(value)
            for column in SPAN_COLUMNS
            if (value := row.get(column.name)) is not None
        }
        try:
            return self._record(fields)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None  # not written by this SDK

    def _record(self, fields: dict[str, str]) -> RecordedSpan:
        attributes, metadata = _attributes(fields)
        parent = _loaded(fields, "parent_span_id")
        return RecordedSpan(
            name=_loaded(fields, "name") or "",
            kind=_loaded(fields, "kind") or "chain",
            trace_id=int(_loaded(fields, "trace_id"), 16),
            span_id=int(_loaded(fields, "span_id"), 16),
            parent_id=int(parent, 16) if parent else 0,
            start_ns=_loaded(fields, "start_ns") or 0,
            duration_ns=_loaded(fields, "duration_ns") or 0,
            status=_loaded(fields, "status") or "unset",
            status_message=_loaded(fields, "status_message"),
            error_type=_loaded(fields, "error_type"),
            input=_payload(fields, "input"),
            output=_payload(fields, "output"),
            attributes=attributes or None,
            events=[(e["name"], e["time_ns"], e["attributes"]) for e in _loaded(fields, "events") or ()] or None,
            links=[
                (int(link["trace_id"], 16), int(link["span_id"], 16), link["attributes"])
                for link in _loaded(fields, "links") or ()
            ]
            or None,
            stamp=_stamp(fields, metadata),
            otel_kind=_loaded(fields, "otel_kind") or "internal",
            scope=_loaded(fields, "scope") or "",
            resource=self._resource(fields.get("resource", "{}")),
        )

    def _resource(self, text: str) -> Mapping[str, Any]:
        known = self._resources.get(text)
        if known is None:
            if len(self._resources) >= _RESOURCES:
                self._resources.clear()
            known = self._resources[text] = json.loads(text)
        return known


def _fields(text: str) -> dict[str, str]:
    """Return the keys of a line with their JSON text, so that numbers beyond 64 bits stay unchanged."""
    found: dict[str, str] = {}
    at = text.index("{") + 1
    while text[at] != "}":
        key, at = _raw(text, at)
        begin = at + 1  # our lines have no spaces between tokens
        _, at = _raw(text, begin)
        found[key] = text[begin:at]
        at += text[at] == ","
    return found


def _loaded(fields: Mapping[str, str], name: str) -> Any:
    text = fields.get(name)
    return None if text is None else json.loads(text)


def _payload(fields: Mapping[str, str], name: str) -> bytes | None:
    text = fields.get(name)
    return None if text is None else text.encode()


def _attributes(fields: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the span's attributes, and the metadata stored among them."""
    made: dict[str, Any] = {}
    for name, column in ATTRIBUTE_COLUMNS.items():
        text = fields.get(name)
        if text is not None and name not in _FIELDS:
            value = Json(text.encode()) if column.type == "JSON" else json.loads(text)
            made[column.attributes[0]] = attribute_value(column, value)
    metadata: dict[str, Any] = {}
    for name, text in _fields(fields.get("attributes", "{}")).items():
        value = json.loads(text)
        if name.startswith(sc.METADATA_PREFIX):
            metadata[name.removeprefix(sc.METADATA_PREFIX)] = value
        else:
            made[name] = Json(text.encode()) if _is_nested(value) else value
    return made, metadata


def _is_nested(value: Any) -> bool:
    """Return whether the attribute was JSON in bytes: any other is a scalar or a list of scalars."""
    if isinstance(value, list):
        return any(isinstance(item, (list, dict)) for item in cast("list[Any]", value))
    return isinstance(value, dict)


def _stamp(fields: Mapping[str, str], metadata: Mapping[str, Any]) -> Stamp | None:
    stamp = Stamp(
        session_id=_loaded(fields, "session_id"),
        user_id=_loaded(fields, "user_id"),
        tags=tuple(_loaded(fields, "tags") or ()),
        metadata=metadata or None,
        prompt_name=_loaded(fields, "prompt_name"),
        prompt_version=_loaded(fields, "prompt_version"),
    )
    return stamp if stamp != Stamp() else None
