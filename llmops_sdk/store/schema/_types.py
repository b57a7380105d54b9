"""The types that the tables of the schema are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Column", "RecordStream", "StoredColumn", "View", "with_tables"]

_TEXT_OR_TABLE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\bstore\.(\w+)""")


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column of a stored record: a key of its line, and a column of its Parquet files."""

    name: str
    type: str
    """DuckDB's type."""
    doc: str
    unit: str = ""
    attributes: tuple[str, ...] = ()
    """The span attribute that fills the column, followed by its names in older vocabularies."""
    convert: str = ""
    """The converter of the attribute's value, where the type does not tell: see `_promote.CONVERTERS`."""
    since: int = 1
    """The schema version that added the column. In older Parquet files it is NULL."""
    default: Any = None
    """The value that an import fills in for a missing one."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a view, as docs/schema.md describes it."""

    name: str
    type: str
    doc: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A view that `llmops.query` sees."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    sql: str
    example: str
    fixed: str = ""
    """The columns, separated by spaces, that stay in every version, as docs/stability.md promises."""
    exported: bool = True
    """Whether it reads record streams, which other databases get as exported files."""
    narrow: Callable[[Collection[str]], str] | None = field(default=None, compare=False)
    """Makes SQL with only some of its columns: DuckDB plans a small query faster. None where nobody needs it."""

    def narrow_sql(self, only: Collection[str]) -> str:
        """Return SQL with at least these of its columns.

        Args:
            only: Names; other words in it do not matter.
        """
        return self.sql if self.narrow is None else self.narrow(only)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStream:
    """Records with the same columns: their files, and what import and prune do with them."""

    name: str
    """The name of its table in `store`, of its view, and of `export(what=...)`."""
    columns: tuple[StoredColumn, ...]
    segment_folder: str
    parquet_folder: str
    required: str
    """A column that every record has. A line without it is a seal, or torn."""
    identifying: tuple[str, ...]
    """Columns by which import recognizes an exported file of this stream."""
    same_record: str
    """An SQL expression that is equal for equal records. Exported times have microseconds."""
    record_type: type | None = None
    """The record's class; None for spans, which have many classes."""
    time_column: str = "time_ns"
    """The column that `prune(older_than=...)` compares."""
    pruned_by: Literal["trace", "target", "nothing"] = "trace"
    """What prune removes records by: their trace, their trace or span or session, or nothing."""
    computed: tuple[tuple[str, str], ...] = ()
    """Names and SQL of further Parquet columns, whose statistics serve a filter on them."""
    view: View | None = None
    """The view with one row a record; None where views in other modules read the stream."""

    @property
    def exported(self) -> bool:
        """Return whether files of these records can be exported and imported; details are exported with their spans."""
        return self.view is not None or self.record_type is None


def with_tables(sql: str, table: Callable[[str], str]) -> str:
    """Return SQL that reads other tables in place of those of the schema `store`.

    Args:
        sql: The SQL. Texts and quoted names in it stay as they are: an attribute may be called "store.spans".
        table: Returns what stands for a table.

    Example:
        >>> with_tables("SELECT 'store.spans' FROM store.spans", lambda name: f"some_{name}")
        "SELECT 'store.spans' FROM some_spans"
    """
    return _TEXT_OR_TABLE.sub(lambda found: found[0] if found[1] is None else table(found[1]), sql)
