"""Run a person's SQL: confined as `llmops.query`, one at a time, in a process of its own that has little memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmops_sdk._util._usage import UsageError
from llmops_sdk.errors import QueryError
from llmops_sdk.store.reading._isolated import MemoryBounds, isolated_query
from llmops_sdk.store.reading._query import flush_first
from llmops_sdk.store.reading._result import Result
from llmops_sdk.ui._answers import Answer, cut
from llmops_sdk.ui._asked import sql_command

__all__ = ["SQL_SECONDS", "run_sql"]

SQL_SECONDS = 10.0
_MAX_ROWS = 1_000
_MAX_SQL = 50_000
_MEBIBYTE = 1024 * 1024
# DuckDB counts only a part of what it allocates, and reserves more than it uses: the system bounds the rest.
_BOUNDS = MemoryBounds(space=3_584 * _MEBIBYTE, memory=1_024 * _MEBIBYTE, rows=64 * _MEBIBYTE)
_SELECT = re.compile(r"\s*(SELECT|WITH|FROM|VALUES)\b", re.IGNORECASE)


def run_sql(folder: Path, body: Mapping[str, Any]) -> Answer:
    """Return the first rows of a query.

    Args:
        folder: The store's folder.
        body: `sql`.

    Raises:
        QueryError: The SQL is not valid, not allowed, took too long or too much memory; or its rows are too large.
        UsageError: There is no SQL, or it is too long.
    """
    sql = body.get("sql")
    if not isinstance(sql, str) or not sql.strip() or len(sql) > _MAX_SQL:
        raise UsageError(f"sql must be a query of at most {_MAX_SQL:,} characters")
    result = _first_rows(folder, sql)
    rows = [[cut(cell) if isinstance(cell, str) else cell for cell in row] for row in result.head(_MAX_ROWS)]
    data = {
        "columns": [{"name": name, "type": kind} for name, kind in zip(result.columns, result.types, strict=True)],
        "rows": rows,
        "total": len(rows),
    }
    notes = [f"only the first {_MAX_ROWS:,} rows are shown"] if len(result) > _MAX_ROWS else []
    return Answer(data, sql, sql_command(sql), notes=notes)


def _first_rows(folder: Path, sql: str) -> Result:
    """Return the rows to show and one more. All rows of a large store would need much memory, for nothing."""
    bounded = f"FROM ({sql.strip().removesuffix(';')}\n) LIMIT {_MAX_ROWS + 1}" if _SELECT.match(sql) else sql
    flush_first()
    try:
        return isolated_query(bounded, None, folder, SQL_SECONDS, _BOUNDS)
    except QueryError as error:
        raise QueryError(str(error).replace(bounded, sql), sql=sql) from error
