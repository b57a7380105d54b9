"""The result of a query."""
# ruff: noqa: S608 - the one name put into a statement is a constant

from __future__ import annotations

import html
import operator
import sys
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public

if TYPE_CHECKING:
    import pandas as pd  # noqa: TID251 - for the type checker alone
    import polars as pl

    from llmops_sdk.store.duck._sql import duckdb

__all__ = ["TABLE", "Result", "held_bytes"]

TABLE = "store.result"
"""The table with the rows, in the result's connection."""

_CELL = 80
_BATCH = 10_000


@public("llmops_sdk")
class Result:
    """The rows of a query, held in memory; iterating gives tuples.

    Times are naive and in UTC. The rows do not change when the store does.

    Example:
        >>> import llmops_sdk as llmops
        >>> result = llmops.query("SELECT 1 AS a, 'x' AS b")
        >>> result.columns, result.rows(), len(result)
        (('a', 'b'), [(1, 'x')], 1)
        >>> for a, b in result:
        ...     print(a, b)
        1 x
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        # DESCRIBE, not the catalog: for the catalog DuckDB opens the files of every view.
        described = connection.execute(f"DESCRIBE {TABLE}").fetchall()
        self._columns = tuple(str(name) for name, *_ in described)
        self._types = tuple(str(type_name) for _, type_name, *_ in described)
        counted = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()
        self._length = int(counted[0]) if counted else 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns' names; repeated names get a number."""
        return self._columns

    @property
    def types(self) -> tuple[str, ...]:
        """Return the columns' DuckDB types, as in "BIGINT"."""
        return self._types

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows as tuples."""
        cursor = self._connection.cursor().execute(f"FROM {TABLE}")
        while rows := cursor.fetchmany(_BATCH):
            yield from rows

    def rows(self) -> list[tuple[Any, ...]]:
        """Return every row as a tuple."""
        return self._connection.cursor().execute(f"FROM {TABLE}").fetchall()

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return one row, counted from 0, or from the end if the index is negative.

        Raises:
            IndexError: There is no such row.

        Example:
            >>> import llmops_sdk as llmops
            >>> result = llmops.query("SELECT * FROM range(3)")
            >>> result[0], result[-1]
            ((0,), (2,))
        """
        place = operator.index(index)
        place += self._length if place < 0 else 0
        if not 0 <= place < self._length:
            raise IndexError(f"the result has {self._length} rows, and no row {index}")
        row = self._connection.cursor().execute(f"FROM {TABLE} LIMIT 1 OFFSET {place}").fetchone()
        assert row is not None
        return row

    def head(self, count: int = 5) -> list[tuple[Any, ...]]:
        """Return the first rows.

        Args:
            count: The largest number of rows.

        Example:
            >>> import llmops_sdk as llmops
            >>> llmops.query("SELECT * FROM range(3)").head(2)
            [(0,), (1,)]
        """
        return self._first(max(count, 0))

    def dicts(self) -> list[dict[str, Any]]:
        """Return every row as a dict by column.

        Example:
            >>> import llmops_sdk as llmops
            >>> llmops.query("SELECT 1 AS a, 'x' AS b").dicts()
            [{'a': 1, 'b': 'x'}]
        """
        return [dict(zip(self._columns, row, strict=True)) for row in self.rows()]

    def scalar(self) -> Any:
        """Return the first column of the first row, or None without rows.

        Example:
            >>> import llmops_sdk as llmops
            >>> llmops.query("SELECT 6 * 7").scalar()
            42
        """
        row = self._connection.cursor().execute(f"FROM {TABLE} LIMIT 1").fetchone()
        return row[0] if row else None

    def df(self) -> pd.DataFrame:
        """Return the rows as a pandas DataFrame.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        require("pandas", extra="pandas", purpose="Result.df()")
        return self._connection.cursor().sql(f"FROM {TABLE}").df()

    def pl(self) -> pl.DataFrame:
        """Return the rows as a polars DataFrame.

        Raises:
            MissingDependencyError: polars or pyarrow is not installed.
        """
        require("polars", extra="polars", purpose="Result.pl()")
        require("pyarrow", extra="polars", purpose="Result.pl()")
        return self._connection.cursor().sql(f"FROM {TABLE}").pl()

    def arrow(self) -> Any:
        """Return the rows as a pyarrow Table.

        Raises:
            MissingDependencyError: pyarrow is not installed.
        """
        require("pyarrow", extra="arrow", purpose="Result.arrow()")
        return self._connection.cursor().sql(f"FROM {TABLE}").to_arrow_table()

    def show(self, max_rows: int = 40) -> None:
        """Print the first rows as a table, with control characters made visible.

        Args:
            max_rows: The largest number of rows to print.

        Example:
            >>> import llmops_sdk as llmops
            >>> llmops.query("SELECT 1 AS a, 'x' AS b").show()
            a  b
            -  -
            1  x
            (1 row)
        """
        cells = [[_shown(cell) for cell in row] for row in self._first(max_rows)]
        head = [_shown(name) for name in self._columns]
        widths = [max(map(_width, column)) for column in zip(head, *cells, strict=True)]
        lines = [
            "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in (head, ["-" * width for width in widths], *cells)
        ]
        sys.stdout.write("\n".join([*lines, self._footer(max_rows)]) + "\n")

    def _first(self, count: int) -> list[tuple[Any, ...]]:
        return self._connection.cursor().execute(f"FROM {TABLE} LIMIT {int(count)}").fetchall()

    def _footer(self, shown: int) -> str:
        rows = f"{self._length} row" + ("" if self._length == 1 else "s")
        return f"({rows})" if self._length <= shown else f"({rows}, the first {shown} shown)"

    def __repr__(self) -> str:
        """Return the columns and the number of rows."""
        return f"Result({', '.join(map(_shown, self._columns))}: {self._length} rows)"

    def _repr_html_(self) -> str:
        """Return the first rows as an HTML table, for notebooks."""
        head = "".join(f"<th>{html.escape(_shown(name))}</th>" for name in self._columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_shown(cell))}</td>" for cell in row) + "</tr>"
            for row in self._first(40)
        )
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{html.escape(self._footer(40))}</p>"
        )


def held_bytes(connection: duckdb.DuckDBPyConnection) -> int:
    """Return about how many bytes of memory the tables of a connection take in DuckDB."""
    found = connection.execute(
        "SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory() "
        "WHERE tag IN ('IN_MEMORY_TABLE', 'OVERFLOW_STRINGS')"
    ).fetchone()
    return int(found[0] or 0) if found else 0


def _shown(value: object) -> str:
    """Return a cell as one printable line: stored text must not control the terminal."""
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    if len(text) > _CELL:
        text = text[: _CELL - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)
