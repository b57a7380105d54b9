"""Turn exported rows (Parquet, JSON lines or CSV) back into records."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, cast

import orjson

from llmops_sdk.store.lines._promote import ATTRIBUTE_COLUMNS, attribute_value
from llmops_sdk.store.lines._restored import RestoredSpan, shadowed_name
from llmops_sdk.store.otlp._read_json import load_json
from llmops_sdk.store.otlp._wire import MalformedError, checked_id, checked_time
from llmops_sdk.store.schema._views import RECORD_STREAMS, RecordStream
from llmops_sdk.tracing.records._records import RecordedSpan

__all__ = ["Table", "row_of_cells", "row_of_json", "table_of"]

_COMPUTED = {"start_time": "TIMESTAMP", "duration_ms": "DOUBLE", "weight": "DOUBLE"}
_TEXTS = ("VARCHAR", "VARCHAR[]", "JSON")
_LONG_NUMBER = re.compile(rb"\d{19}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Table(NamedTuple):
    """The stream and the columns of a file's rows."""

    stream: RecordStream
    types: Mapping[str, str]
    """DuckDB types of the possible columns."""
    record: Callable[[Mapping[str, Any]], Any]
    """Makes a record of a row, or None if the row was not stored; raises MalformedError."""


def table_of(names: Iterable[str]) -> Table:
    """Return the table of rows with these columns.

    Raises:
        MalformedError: No stream has these columns, or one of them is unknown.
    """
    given = list(names)
    exported = [stream for stream in RECORD_STREAMS.values() if stream.exported]
    for stream in exported:
        if all(name in given for name in stream.identifying):
            break
    else:
        known = "; ".join(f"{stream.name} have {', '.join(stream.identifying)}" for stream in exported)
        raise MalformedError(f"the columns ({_some(given)}) are not those of an exported file: {known}")
    table = _table(stream)
    for name in given:
        if name not in table.types:
            near = difflib.get_close_matches(name, table.types, 1)
            raise MalformedError(
                f'{stream.name} of this version have no column "{name}"'
                + (f', did you mean "{near[0]}"?' if near else "")
                + ' Rename or remove it, move it into "attributes", or upgrade if a newer version wrote the file'
            )
    return table


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:50] for name in names[:8])
    return shown + (", …" if len(names) > 8 else "")


# --- from the forms to rows ---------------------------------------------------------------------------------------


def row_of_json(line: bytes, types: Mapping[str, str]) -> dict[str, Any]:
    """Return the row of a valid line of JSON."""
    # orjson would turn integers beyond 64 bits into floats.
    row = cast("dict[str, Any]", json.loads(line) if _LONG_NUMBER.search(line) else orjson.loads(line))
    for name, value in row.items():
        if types.get(name) == "JSON" and value is not None:
            row[name] = _dumped(value)
        elif types.get(name) == "TIMESTAMP" and value is not None:
            row[name] = _time(value)
    return row


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def row_of_cells(
    cells: Iterable[Any], names: Iterable[str], types: Mapping[str, str], *, signed: bool
) -> dict[str, Any]:
    """Return a row of Parquet or CSV.

    Args:
        cells: The values; in CSV, all are text.
        names: The columns.
        types: Their types.
        signed: Whether text may begin with the sign that `export` adds in CSV.

    Raises:
        MalformedError: A cell does not fit its column.
    """
    row: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=True):
        if cell is None:
            continue
        value_type = types[name]
        if signed and value_type in _TEXTS:
            cell = cell.removeprefix("'")  # noqa: PLW2901
        try:
            row[name] = _FROM_CELL[value_type](cell) if value_type in _FROM_CELL else cell
        except (ValueError, TypeError, KeyError) as error:
            raise MalformedError(f"{name} is not of type {value_type}: {str(cell)[:100]!r}") from error
    return row


def _flag(cell: Any) -> bool:
    if isinstance(cell, str):
        return {"true": True, "false": False}[cell]
    return bool(cell)


def _texts(cell: Any) -> list[str]:
    return orjson.loads(cell) if isinstance(cell, str) else list(cell)


def _time(value: Any) -> int:
    """Return nanoseconds since the epoch."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


_FROM_CELL: Mapping[str, Callable[[Any], Any]] = {
    "BIGINT": int,
    "INTEGER": int,
    "DOUBLE": float,
    "BOOLEAN": _flag,
    "JSON": lambda cell: cell.encode("utf-8", "surrogatepass"),
    "VARCHAR[]": _texts,
    "TIMESTAMP": _time,
}


# --- from rows to records -----------------------------------------------------------------------------------------


def _span(row: Mapping[str, Any]) -> RecordedSpan:
    start = checked_time(_int(row, "start_ns"), "start_ns")
    duration = _int(row, "duration_ns", 0)
    checked_time(start + duration, "start_ns + duration_ns")
    attributes = {shadowed_name(name): value for name, value in _object(row, "attributes").items()}
    for name, column in ATTRIBUTE_COLUMNS.items():
        if row.get(name) is not None:
            check = _payload if column.type == "JSON" else _number if column.convert == "milliseconds" else None
            value = row[name] if check is None else check(row, name)
            attributes[column.attributes[0]] = attribute_value(column, value)
    resource = _object(row, "resource")
    if row.get("service") is not None:
        resource.setdefault("service.name", row["service"])
    return RestoredSpan(
        name=_text(row, "name") or "",
        kind=_text(row, "kind") or "chain",
        trace_id=checked_id(_hex(row, "trace_id", 32), "trace_id"),
        span_id=checked_id(_hex(row, "span_id", 16), "span_id"),
        parent_id=_hex(row, "parent_span_id", 16),
        start_ns=start,
        duration_ns=max(duration, 0),
        status=_text(row, "status") or "unset",
        status_message=_text(row, "status_message"),
        error_type=_text(row, "error_type"),
        input=_payload(row, "input"),
        output=_payload(row, "output"),
        attributes=attributes,
        events=[
            (_text(one, "name") or "", checked_time(_int(one, "time_ns"), "time_ns"), one.get("attributes") or {})
            for one in _objects(row, "events")
        ],
        links=[
            (_hex(one, "trace_id", 32), _hex(one, "span_id", 16), one.get("attributes") or {})
            for one in _objects(row, "links")
        ],
        otel_kind=_text(row, "otel_kind") or "internal",
        scope=_text(row, "scope") or "",
        resource=resource,
    )


def _record(stream: RecordStream, row: Mapping[str, Any]) -> Any:
    """Return the record of a row of a stream other than spans, or None for a loss that only the view has."""
    if stream.name == "losses" and row.get("time") is None:
        return None
    values: dict[str, Any] = {}
    for column in stream.columns:
        if column.name == "time_ns":
            values["time_ns"] = checked_time(_int(row, "time"), "time")
        elif row.get(column.name) is None:
            values[column.name] = column.default
        else:
            values[column.name] = _CHECKS[column.type](row, column.name)
    return cast("type", stream.record_type)(**values)


def _int(row: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = row.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise MalformedError(f"{name} is not a 64-bit integer: {str(value)[:100]!r}")
    return value


def _text(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise MalformedError(f"{name} is not text: {str(value)[:100]!r}")
    return value


def _text_list(row: Mapping[str, Any], name: str) -> list[str]:
    value: Any = row[name]
    texts: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [None]
    if not all(isinstance(one, str) for one in texts):
        raise MalformedError(f"{name} is not a list of texts: {str(row[name])[:100]!r}")
    return texts


def _hex(row: Mapping[str, Any], name: str, digits: int) -> int:
    text = _text(row, name)
    if text is None:
        return 0
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) * 2 != digits:
        raise MalformedError(f"{name} is not {digits} hex digits: {text[:100]!r}")
    return int.from_bytes(raw, "big")


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise MalformedError(f"{name} is not a number: {str(value)[:100]!r}")


def _payload(row: Mapping[str, Any], name: str) -> bytes | None:
    _json(row, name)  # the line contains these bytes, so they must be valid
    return row.get(name)


def _json(row: Mapping[str, Any], name: str) -> Any:
    raw: bytes | None = row.get(name)
    if raw is None:
        return None
    try:
        return json.loads(raw) if _LONG_NUMBER.search(raw) else load_json(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{name} is not valid JSON: {raw[:100]!r}") from error


def _object(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = _json(row, name)
    if found is not None and not isinstance(found, dict):
        raise MalformedError(f"{name} is not a JSON object: {str(found)[:100]!r}")
    return cast("dict[str, Any]", found or {})


def _objects(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = _json(row, name)
    items = cast("list[Any]", found if isinstance(found, list) else [found] if found is not None else [])
    if not all(isinstance(item, dict) for item in items):
        raise MalformedError(f"{name} is not a list of JSON objects")
    return cast("list[dict[str, Any]]", items)


_CHECKS: Mapping[str, Callable[[Mapping[str, Any], str], Any]] = {
    "VARCHAR": _text,
    "BIGINT": _int,
    "DOUBLE": _number,
    "BOOLEAN": lambda row, name: bool(row[name]),
    "JSON": _payload,
    "VARCHAR[]": _text_list,
}


def _table(stream: RecordStream) -> Table:
    if stream.view is None:
        return Table(stream, {column.name: column.type for column in stream.columns} | _COMPUTED, _span)
    return Table(stream, {column.name: column.type for column in stream.view.columns}, partial(_record, stream))
