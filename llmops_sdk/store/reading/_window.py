"""The latest spans in memory: the store's views over lines that have just arrived."""
# ruff: noqa: S608 - statements are put together from the schema and from conditions whose values are parameters

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmops_sdk.store.duck._sql import duckdb, open_database
from llmops_sdk.store.reading._filters import Where
from llmops_sdk.store.schema._views import RECORD_STREAMS, VIEWS, RecordStream

__all__ = ["Window"]

_CONTENT = frozenset(["input", "output", "input_messages", "output_messages", "attributes"])
_UNUSED = frozenset(["events", "links", "resource"])
_VIEWS = frozenset(["spans", "traces", "llm_calls", "scores"])
_STREAMS: dict[str, RecordStream] = {name: RECORD_STREAMS[name] for name in ("spans", "scores")}
_SHOWN = 100_000

_INSERT = """
INSERT INTO store.{stream} BY NAME
SELECT *, {computed} $now AS arrived, nextval('store.numbers') AS number FROM (
    SELECT {fields}, length(line) AS size FROM (
        SELECT line, TRY(from_json(line, $shape)) AS read
        FROM (SELECT unnest($lines::VARCHAR[]) AS line)
    ) WHERE read.{required} IS NOT NULL
)
"""
_NEXT = """
SELECT {columns} FROM ({rows}) AS found
WHERE {key} NOT IN (SELECT id FROM store.shown)
ORDER BY start_time + to_microseconds((duration_ms * 1e3)::BIGINT), {key}
"""
_ROOTLESS = """
SELECT trace_id FROM store.spans GROUP BY trace_id
HAVING NOT bool_or(parent_span_id IS NULL) AND max(arrived) <= $before AND trace_id NOT IN (SELECT id FROM store.shown)
   AND trace_id || '?' NOT IN (SELECT id FROM store.shown)
"""
_OLD = """
SELECT trace_id FROM store.spans GROUP BY trace_id
HAVING bool_or(parent_span_id IS NULL)
   AND (min(start_ns) <= $whole_since OR trace_id IN (SELECT trace_id FROM store.evicted))
   AND trace_id NOT IN (SELECT id FROM store.shown)
"""
# The others are shown, and are not shown again.
_EVICTED = """
INSERT INTO store.evicted SELECT trace_id, max(start_ns) FROM store.before
WHERE number NOT IN (SELECT number FROM store.spans) AND trace_id NOT IN (SELECT id FROM store.shown)
   AND trace_id NOT IN (SELECT trace_id FROM store.evicted) GROUP BY trace_id
"""
# Replaced, not deleted from: deleted rows of an in-memory table still take memory.
_KEEP = """
CREATE OR REPLACE TABLE store.{table} AS SELECT * FROM store.{table}
WINDOW newest AS (ORDER BY number DESC ROWS UNBOUNDED PRECEDING)
QUALIFY row_number() OVER newest <= {rows} AND sum(size) OVER newest <= {bytes}
"""


class Window:
    """Holds the latest spans, up to a limit, and the ids already shown.

    Args:
        since_ns: Nanoseconds since the epoch; the window may lack spans of traces that began before.
        content: Whether to hold inputs and outputs, for a search.
        max_spans: Limit for the number of spans.
        max_bytes: Limit for the bytes of their lines.
    """

    def __init__(
        self, since_ns: int, *, content: bool, max_spans: int = 20_000, max_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._whole_since = since_ns
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        left_out = _UNUSED if content else _UNUSED | _CONTENT
        self._shapes = {
            name: {key.name: _shape(key.type) for key in stream.columns if key.name not in left_out}
            for name, stream in _STREAMS.items()
        }
        # One thread and little memory: leave the machine to the watched programs.
        self._connection = open_database(
            ":memory:",
            {
                "threads": "1",
                "memory_limit": "512MB",
                "temp_directory": "",
            },
        )
        self._run(
            "SET enable_external_access = false; CREATE SCHEMA store; "
            "CREATE SEQUENCE store.numbers; CREATE TABLE store.shown (id VARCHAR, size BIGINT, number BIGINT); "
            "CREATE TABLE store.evicted (trace_id VARCHAR, start_ns BIGINT)"
        )
        for stream in _STREAMS.values():
            keys = ", ".join(f"NULL::{key.type} AS {key.name}" for key in stream.columns)
            computed = "".join(f", {sql} AS {name}" for name, sql in stream.computed)
            self._run(
                f"CREATE TABLE store.{stream.name} AS SELECT *{computed}, 0.5::DOUBLE AS arrived, 0::BIGINT AS size, "
                f"0::BIGINT AS number FROM (SELECT {keys}) LIMIT 0"
            )
        for view in VIEWS:
            if view.name in _VIEWS:
                self._run(f"CREATE VIEW {view.name} AS {view.sql}")

    def close(self) -> None:
        """Free the memory."""
        self._connection.close()

    def add(self, stream: str, lines: Iterable[bytes], now: float) -> None:
        """Add lines of a stream; leave unreadable lines out, as the store does.

        Args:
            stream: The stream's name.
            lines: Whole lines.
            now: The time of arrival in seconds, on the clock of `rootless`.
        """
        shape = self._shapes[stream]
        statement = _INSERT.format(
            stream=stream,
            fields=", ".join(f"read.{name} AS {name}" for name in shape),
            computed="".join(f"{sql} AS {name}, " for name, sql in _STREAMS[stream].computed),
            required=_STREAMS[stream].required,
        )
        texts = [text for line in lines if (text := _text(line)) is not None]
        self._run(statement, {"lines": texts, "shape": json.dumps(shape), "now": now})

    def new_rows(self, rows: str, columns: str, key: str, where: Where) -> list[tuple[Any, ...]]:
        """Return rows not shown yet, in the order in which they ended, and mark them as shown.

        Args:
            rows: A SELECT with the condition of `where`.
            columns: The columns wanted; the first is the trace's id.
            key: An SQL expression that identifies a row.
            where: The condition in `rows`.
        """
        found = self._run(_NEXT.format(columns=f"{key}, {columns}", rows=rows, key=key), where.params)
        once = {row[0]: row[1:] for row in found}
        self.mark_shown(list(once))
        return list(once.values())

    def mark_shown(self, ids: Sequence[str]) -> None:
        """Mark ids as shown."""
        if ids:
            self._run(
                "INSERT INTO store.shown SELECT id, 32, nextval('store.numbers') "
                "FROM (SELECT unnest($ids::VARCHAR[]) AS id)",
                {"ids": list(ids)},
            )

    def incomplete(self) -> list[str]:
        """Return ended traces of which the window may lack spans."""
        found = self._run(_OLD, {"whole_since": self._whole_since})
        return [row[0] for row in found]

    def rootless(self, before: float) -> list[str]:
        """Return traces without a root and without new spans since `before`."""
        return [row[0] for row in self._run(_ROOTLESS, {"before": before})]

    def evict(self) -> None:
        """Drop the oldest spans when the window exceeds a limit by half."""
        for table, rows in (("spans", self._max_spans), ("scores", self._max_spans), ("shown", _SHOWN)):
            [(count, size)] = self._run(f"SELECT count(*), coalesce(sum(size), 0) FROM store.{table}")
            if count <= rows * 1.5 and size <= self._max_bytes * 1.5:
                continue
            if table == "spans":
                self._run("CREATE TABLE store.before AS SELECT trace_id, start_ns, number FROM store.spans")
            self._run(_KEEP.format(table=table, rows=rows, bytes=self._max_bytes))
            if table == "spans":
                self._run(_EVICTED)
                self._run("DROP TABLE store.before")
                self._forget_evicted()

    def _forget_evicted(self) -> None:
        """Forget which traces lost spans when they are too many; all that began before these count as incomplete."""
        [(count, latest)] = self._run("SELECT count(*), max(start_ns) FROM store.evicted")
        if count > _SHOWN:
            self._whole_since = max(self._whole_since, latest or 0)
            self._run("DELETE FROM store.evicted")

    def _run(self, statement: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, params).fetchall()
        except (RuntimeError, duckdb.InterruptException) as error:
            # DuckDB raises these on Ctrl-C; nothing else interrupts it.
            raise KeyboardInterrupt from error


def _shape(column_type: str) -> str | list[str]:
    return [column_type.removesuffix("[]")] if column_type.endswith("[]") else column_type


def _text(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None
