"""Tables of the schema `store` with few columns: most of a small query's time goes to columns that nobody reads."""

from __future__ import annotations

import re

from llmops_sdk.store.duck._sql import duckdb, lines_sql, rows_sql
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.schema._details import DETAILS, merged_spans
from llmops_sdk.store.schema._types import with_tables
from llmops_sdk.store.schema._views import RECORD_STREAMS, RecordStream

__all__ = ["NarrowTables"]

_WORD = re.compile(r"\w+")
_JOINED = ("trace_id", "span_id")
_OF_DETAILS = (*_JOINED, "event", "time_ns")


class NarrowTables:
    """Makes views of tables with only the columns that a statement names, once for each set of columns.

    Args:
        connection: A connection that may read the files.
        sources: The files.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, sources: Sources) -> None:
        self._connection = connection
        self._sources = sources
        self._made: dict[tuple[str, frozenset[str]], str] = {}

    def put_in(self, sql: str) -> str:
        """Return SQL that reads narrow tables in place of `store.spans` and the others.

        Args:
            sql: SQL that names each column that it reads, and no other tables of `store` than those of records.
        """
        words = frozenset(_WORD.findall(sql))
        return with_tables(sql, lambda name: self._table(RECORD_STREAMS[name], words))

    def has(self, stream: str) -> bool:
        """Return whether there are files of a stream."""
        segments = any(segment.stream.name == stream for segment in self._sources.segments)
        return segments or any(file.stream == stream for file in self._sources.files)

    def _table(self, stream: RecordStream, words: frozenset[str]) -> str:
        names = frozenset(column.name for column in stream.columns) | {name for name, _ in stream.computed}
        only = (names & words) | {stream.required}
        details = stream.name == "spans" and self.has(DETAILS.name)
        if details:
            only |= {*_JOINED}
        key = (stream.name, only)
        if key not in self._made:
            sql = self._rows(stream, only)
            if details:
                added = self._rows(DETAILS, {column.name for column in DETAILS.columns} & only | {*_OF_DETAILS})
                sql = merged_spans(f"({sql})", f"({added})", only)
            made = f"store.{stream.name}_{len(self._made)}"
            self._connection.execute(f"CREATE VIEW {made} AS {sql}")
            self._made[key] = made
        return self._made[key]

    def _rows(self, stream: RecordStream, only: frozenset[str] | set[str]) -> str:
        paths = [segment.path for segment in self._sources.segments if segment.stream is stream]
        files = [file for file in self._sources.files if file.stream == stream.name]
        needed = only | {word for name, sql in stream.computed if name in only for word in _WORD.findall(sql)}
        lines = lines_sql(stream, paths, needed | {stream.required})
        return rows_sql(stream, self._sources.folder, files, lines=f"({lines})", only=only)
