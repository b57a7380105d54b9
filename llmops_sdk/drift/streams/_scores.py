"""Read the scores of a window: from a sequence, or from the store by SQL."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from llmops_sdk.errors import ConfigError, QueryError
from llmops_sdk.store import query

__all__ = ["ScoreSource", "Window", "read_window"]

ScoreSource: TypeAlias = "str | Iterable[float | None]"

_MOST_ROWS = 2_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """Scores in the order of time, with the ids of their traces and their times where these are known."""

    scores: Sequence[Any]
    trace_ids: Sequence[str | None] = ()
    times: Sequence[Any] = ()

    def example(self, index: int) -> str | None:
        """Return the id of the trace of a score, or None."""
        return self.trace_ids[index] if index < len(self.trace_ids) else None

    def time(self, index: int) -> str | None:
        """Return the time of a score as ISO text, or None."""
        return str(self.times[index]) if index < len(self.times) else None


def read_window(source: ScoreSource, name: str, *, trace_ids: Iterable[str] | None, path: Any) -> Window:
    """Return the scores of a window.

    Args:
        source: The scores in the order of time, or SQL that returns the columns `time`, `value` and maybe `trace_id`.
        name: The argument, for errors.
        trace_ids: One id a score; None for SQL, and where there are none.
        path: The store's folder, or None for the configured one.

    Raises:
        ConfigError: The SQL lacks a column, gives too many rows, or the number of ids is another than that of scores.
        QueryError: The SQL is not valid.
        StoreError: The store cannot be read.
    """
    if isinstance(source, str):
        return _from_sql(source, name, path)
    scores, ids = list(source), list(trace_ids or ())
    if ids and len(ids) != len(scores):
        raise ConfigError(f"there are {len(scores)} scores and {len(ids)} trace_ids: give one a score", key="trace_ids")
    return Window(scores, ids)


def _from_sql(sql: str, name: str, path: str | os.PathLike[str] | None) -> Window:
    try:
        result = query(sql, path=path)
    except QueryError as error:
        raise QueryError(f"{name}: {error}", sql=error.sql) from error
    columns = [one.lower() for one in result.columns]
    if "time" not in columns or "value" not in columns:
        raise ConfigError(
            f"the SQL of {name} returns {', '.join(columns[:20])}: it must return the columns time and value, and may "
            "return trace_id",
            key=name,
        )
    rows: list[Sequence[Any]] = []
    for row in result:
        rows.append(row)
        if len(rows) > _MOST_ROWS:
            raise ConfigError(f"the SQL of {name} returns more than {_MOST_ROWS:,} rows: narrow its period", key=name)
    time, value = columns.index("time"), columns.index("value")
    # A score that came late has its own time. One without a time cannot be placed.
    known = sorted((row for row in rows if row[time] is not None), key=lambda row: row[time])
    at = columns.index("trace_id") if "trace_id" in columns else None
    ids = [] if at is None else [None if row[at] is None else str(row[at]) for row in known]
    return Window([row[value] for row in known], ids, [row[time] for row in known])
