"""The answers of `/api/v1/`: JSON that every browser reads exactly, with long texts cut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, cast

import orjson

__all__ = ["MAX_TEXT", "SAFE_INTEGER", "Answer", "JsonRows", "as_json", "cut", "plain", "seconds", "text_preview"]

MAX_TEXT = 20_000
"""Characters of a text in an answer. A longer line would freeze the layout of the page."""
SAFE_INTEGER = 2**53 - 1
_PREVIEW = 300
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page shows.

    Attributes:
        data: The page's data.
        sql: The SQL that gives the same rows.
        command: The command line that gives the same.
        next: Where the next page begins, or None.
        notes: What a reader must know to read the data rightly.
    """

    data: Mapping[str, Any]
    sql: str = ""
    command: str = ""
    next: str | None = None
    notes: Sequence[str] = field(default_factory=tuple[str, ...])

    def as_json(self) -> bytes:
        """Return the answer as JSON."""
        return as_json(
            {"data": self.data, "sql": self.sql, "command": self.command, "next": self.next, "notes": list(self.notes)}
        )


def as_json(value: Any) -> bytes:
    """Return a value as JSON: times in UTC with a "Z", large integers as text, no NaN."""
    return orjson.dumps(plain(value))


class JsonRows(list[dict[str, Any]]):
    """Rows of values that JSON and JavaScript hold exactly: a trace of 20,000 spans is not walked again.

    In JSON what is empty is left out: a column that is null, false or an empty list.
    """

    def filled(self) -> list[dict[str, Any]]:
        """Return the rows without what is empty."""
        return [
            {key: one for key, one in row.items() if one is not None and one is not False and one != []} for row in self
        ]


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value that JSON and JavaScript hold exactly."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, JsonRows):
        return value.filled()
    if isinstance(value, int):
        return value if abs(value) <= SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return f"{naive.isoformat()}Z"
    if isinstance(value, date):
        return value.isoformat()
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {str(key): plain(one, depth + 1) for key, one in pairs}
    if isinstance(value, (list, tuple)):
        return [plain(one, depth + 1) for one in cast("Sequence[Any]", value)]
    if isinstance(value, bytes):
        return value[:MAX_TEXT].hex()
    return str(value)


def cut(text: str | None) -> str | dict[str, Any] | None:
    """Return a text, or its beginning and its length where it is long."""
    if text is None or len(text) <= MAX_TEXT:
        return text
    return {"text": text[:MAX_TEXT], "chars": len(text), "cut": True}


def seconds(milliseconds: float | None) -> float | None:
    """Return milliseconds as seconds."""
    return None if milliseconds is None else milliseconds / 1e3


def text_preview(stored: str | None) -> str | None:
    """Return the beginning of a stored input or output, for a line of a list.

    Args:
        stored: JSON text, which may be cut.
    """
    if stored is None:
        return None
    try:
        said = _said(orjson.loads(stored))
    except orjson.JSONDecodeError:
        said = None  # cut, or of another program
    text = stored if said is None else said
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"


def _said(value: Any) -> str | None:
    """Return the text in a value: itself, the one field of an object, or the last message of a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return _said(cast("list[Any]", value)[-1])
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        for name in ("parts", "content", "text"):
            if name in fields:
                return _said(fields[name])
        if len(fields) == 1:
            return _said(next(iter(fields.values())))
    return None
