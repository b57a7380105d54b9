"""Where texts come from: lists, or queries over the store."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmops_sdk.errors import NotComparableError
from llmops_sdk.store import query

__all__ = ["Window", "from_query", "from_texts"]

_KNOWN = ("text", "trace_id", "span_id", "user_id", "time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The texts of a window.

    Attributes:
        texts: The texts.
        users: Who sent each, or None.
        trace_ids: The trace of each text; empty where texts were given.
        columns: Further columns of a query: a value, or None, for each text.
        total: How many texts there were before the sample.
    """

    texts: Sequence[str]
    users: Sequence[Hashable] | None = None
    trace_ids: Sequence[str] = ()
    columns: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    total: int = 0


def from_texts(texts: Sequence[str], users: Sequence[Hashable] | None) -> Window:
    """Return the window of a list of texts."""
    return Window(texts=texts, users=users, total=len(texts))


def from_query(sql: str, max_texts: int, path: Path | None) -> Window:
    """Return the window that a query gives, at most `max_texts` rows of it, the same ones each time.

    Args:
        sql: A SELECT that returns `text`, and may return `trace_id`, `user_id` and further columns.
        max_texts: The most rows.
        path: The store's folder, or None for the configured one.

    Raises:
        QueryError: The SQL is not valid.
        NotComparableError: The query has no column `text`.
    """
    inner = sql.strip().rstrip(";")
    # By itself first: one with its own closing brackets must not get out of the brackets below.
    columns = tuple(str(row[0]) for row in query(f"DESCRIBE {inner}", path=path))
    if "text" not in columns:
        raise NotComparableError(
            f"the query returns {', '.join(columns)}: it must return a column named text, as in SELECT input AS text"
        )
    key = "trace_id" if "trace_id" in columns else "text"
    # The user's own SQL, over the views alone.
    drawn = f"SELECT *, count(*) OVER () AS llmops_total FROM (\n{inner}\n) WHERE text IS NOT NULL"  # noqa: S608
    rows = query(f"{drawn} ORDER BY md5({key}::VARCHAR), text LIMIT $most", {"most": max_texts}, path=path).dicts()
    users = [row["user_id"] for row in rows] if "user_id" in columns else None
    traces = [str(row["trace_id"]) for row in rows] if "trace_id" in columns else []
    if users is not None:
        # A text without a user is a user of its own.
        users = [("text", place) if user is None else user for place, user in enumerate(users)]
        users = None if all(isinstance(user, tuple) for user in users) else users
    return Window(
        texts=[str(row["text"]) for row in rows],
        users=users,
        trace_ids=traces,
        columns={name: [_value(row[name]) for row in rows] for name in columns if name not in _KNOWN},
        total=int(rows[0]["llmops_total"]) if rows else 0,
    )


def _value(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return float(value) if math.isfinite(value) else None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)
    return number if math.isfinite(number) else None
