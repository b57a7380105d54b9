"""The latest spans of the programs that run, in memory: the store's own views, over the lines that have just come."""
# ruff: noqa: S608 - statements are put together from the schema and from conditions whose values are parameters

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmops_sdk.cli._filters import Where
from llmops_sdk.store.duck._sql import duckdb
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
        SELECT line, CASE WHEN json_valid(line) THEN from_json(line, $shape) END AS read
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
HAVING bool_or(parent_span_id IS NULL) AND min(start_ns) <= $whole_since
   AND trace_id NOT IN (SELECT id FROM store.shown)
"""
# Made anew: what is deleted of a table in memory still takes its room.
_KEEP = """
CREATE OR REPLACE TABLE store.{table} AS SELECT * FROM store.{table}
WINDOW newest AS (ORDER BY number DESC ROWS UNBOUNDED PRECEDING)
QUALIFY row_number() OVER newest <= {rows} AND sum(size) OVER newest <= {bytes}
"""


class Window:
    """Holds at most so many spans, and what has been shown of them.

    Args:
        since_ns: Nanoseconds since the epoch; of a trace that began before, the window may lack spans.
        content: Whether inputs and outputs are wanted too: for a search.
        max_spans: How many spans to hold.
        max_bytes: How many bytes of lines to hold.
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
        # One thread and little memory: what is watched needs the machine more.
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": "1",
                "memory_limit": "512MB",
                "temp_directory": "",
            },
        )
        self._run(
            "SET TimeZone = 'UTC'; SET enable_external_access = false; CREATE SCHEMA store; "
            "CREATE SEQUENCE store.numbers; CREATE TABLE store.shown (id VARCHAR, size BIGINT, number BIGINT)"
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
        """Let go of the memory."""
        self._connection.close()

    def add(self, stream: str, lines: Iterable[bytes], now: float) -> None:
        """Take lines of a stream; those that cannot be read are left out, as the store leaves them out.

        Args:
            stream: The stream's name.
            lines: Whole lines.
            now: Seconds on the clock that `rootless` is asked by.
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

    def take(self, rows: str, columns: str, key: str, where: Where) -> list[tuple[Any, ...]]:
        """Rows that have not been taken yet, in the order in which they ended.

        Args:
            rows: A SELECT, with the condition of `where`.
            columns: What is wanted of its rows; the first is the trace's id.
            key: What tells one row from another, in SQL.
            where: The condition in `rows`.
        """
        found = self._run(_NEXT.format(columns=f"{key}, {columns}", rows=rows, key=key), where.params)
        once = {row[0]: row[1:] for row in found}
        self.mark(list(once))
        return list(once.values())

    def mark(self, ids: Sequence[str]) -> None:
        """Note that these have been shown, or need not be."""
        if ids:
            self._run(
                "INSERT INTO store.shown SELECT id, 32, nextval('store.numbers') "
                "FROM (SELECT unnest($ids::VARCHAR[]) AS id)",
                {"ids": list(ids)},
            )

    def incomplete(self) -> list[str]:
        """Traces that have ended and of which the window may lack spans."""
        found = self._run(_OLD, {"whole_since": self._whole_since})
        return [row[0] for row in found]

    def rootless(self, before: float) -> list[str]:
        """Traces whose root has not come, and nothing else either after `before`."""
        return [row[0] for row in self._run(_ROOTLESS, {"before": before})]

    def forget(self) -> None:
        """Drop the oldest, where there is half as much again as there may be."""
        for table, rows in (("spans", self._max_spans), ("scores", self._max_spans), ("shown", _SHOWN)):
            [(count, size)] = self._run(f"SELECT count(*), coalesce(sum(size), 0) FROM store.{table}")
            if count <= rows * 1.5 and size <= self._max_bytes * 1.5:
                continue
            if table == "spans":
                self._run("CREATE TABLE store.before AS SELECT start_ns, number FROM store.spans")
            self._run(_KEEP.format(table=table, rows=rows, bytes=self._max_bytes))
            if table == "spans":
                [(gone,)] = self._run(
                    "SELECT max(start_ns) FROM store.before WHERE number NOT IN (SELECT number FROM store.spans)"
                )
                self._run("DROP TABLE store.before")
                self._whole_since = max(self._whole_since, gone or 0)

    def _run(self, statement: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, params).fetchall()
        except (RuntimeError, duckdb.InterruptException) as error:
            # What DuckDB makes of a Ctrl-C that comes while it works; nothing else interrupts it.
            raise KeyboardInterrupt from error


def _shape(kind: str) -> str | list[str]:
    return [kind.removesuffix("[]")] if kind.endswith("[]") else kind


def _text(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None
