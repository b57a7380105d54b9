"""A line of a segment as the record that it was made of: for whoever sends it on later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from llmops_sdk.store.schema._views import SPAN_COLUMNS
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import RecordedSpan, Stamp

__all__ = ["RecordReader"]

_NAMED = {
    key.name: key
    for key in SPAN_COLUMNS
    if key.attributes and key.attributes[0] and key.convert != "own" and key.name != "error_type"
}
_STAMPED = frozenset({"session_id", "user_id", "tags", "prompt_name", "prompt_version"})
_RESOURCES = 64
_raw = json.JSONDecoder().raw_decode


class RecordReader:
    """Makes records of lines. The spans of one process share their resource, as they did."""

    def __init__(self) -> None:
        self._resources: dict[str, Mapping[str, Any]] = {}

    def records(self, lines: Iterable[bytes]) -> list[RecordedSpan]:
        """The spans among some lines; a seal, a torn line and what was pruned are none.

        Args:
            lines: Each with or without its line break.
        """
        return [record for line in lines if (record := self.record(line)) is not None]

    def record(self, line: bytes) -> RecordedSpan | None:
        """The span of a line, or None where it has none.

        Args:
            line: With or without its line break.
        """
        try:
            fields = _fields(line.decode())
            return self._record(fields) if "trace_id" in fields else None
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None  # torn, or none of ours

    def of_row(self, row: Mapping[str, Any]) -> RecordedSpan | None:
        """The span of a row of `store.spans`, or None where it has none.

        Args:
            row: Its columns; JSON as text.
        """
        fields = {
            key.name: value if key.type == "JSON" else json.dumps(value)
            for key in SPAN_COLUMNS
            if (value := row.get(key.name)) is not None
        }
        try:
            return self._record(fields)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None  # a foreign hand's

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
    """The keys of a line, each with its JSON as it stands there: a number beyond 64 bits stays what it was."""
    found: dict[str, str] = {}
    at = text.index("{") + 1
    while text[at] != "}":
        key, at = _raw(text, at)
        begin = at + 1  # our lines have no space between their tokens
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
    """The attributes as they were, and the metadata that stood among them."""
    made: dict[str, Any] = {}
    for name, key in _NAMED.items():
        text = fields.get(name)
        if text is None or name in _STAMPED:
            continue
        value: Any = text.encode() if key.type == "JSON" else json.loads(text)
        if key.convert == "milliseconds":
            value = value / 1000
        elif key.convert == "first":
            value = [value]
        made[key.attributes[0]] = value
    metadata: dict[str, Any] = {}
    for name, text in _fields(fields.get("attributes", "{}")).items():
        value = json.loads(text)
        if name.startswith(sc.METADATA_PREFIX):
            metadata[name.removeprefix(sc.METADATA_PREFIX)] = value
        else:
            made[name] = text.encode() if _is_nested(value) else value
    return made, metadata


def _is_nested(value: Any) -> bool:
    """Whether it was JSON in bytes: an attribute is else a scalar or a list of them."""
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
