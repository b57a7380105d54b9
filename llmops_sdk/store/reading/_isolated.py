"""Run one query in a process of its own, with limits of the system, and kill it at the deadline.

DuckDB cannot be interrupted everywhere, and not everything that it allocates counts against its memory limit. The rows
come back as a Parquet file in a private folder.
"""
# ruff: noqa: S608 - names of columns and files are quoted

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llmops_sdk.errors import QueryError, StoreError
from llmops_sdk.store.files._spill import sweep_spills
from llmops_sdk.store.reading._result import TABLE, Result
from llmops_sdk.store.reading._scope import current_scope

if TYPE_CHECKING:
    from llmops_sdk.store.reading._statement import Parameters

__all__ = ["GRACE", "LATE", "MemoryBounds", "isolated_query", "quoted_name"]

_CHILD = "llmops_sdk.store.reading._isolated_child"

GRACE = 10.0
"""Seconds for starting the process and for handing over the rows, beyond the deadline of the query itself."""
LATE = 75
"""The status with which the process ends itself at the deadline."""


@dataclass(frozen=True, slots=True)
class MemoryBounds:
    """What one query may take.

    Attributes:
        space: Bytes of address space of the process. DuckDB and Python reserve more of it than they use.
        memory: Bytes that DuckDB may hold, and twice as many on the disk; None for the usual bounds of a query.
        rows: Bytes of the rows that come back; None for any number.
    """

    space: int = 8 * 1024 * 1024 * 1024
    memory: int | None = None
    rows: int | None = None


def isolated_query(
    sql: str,
    params: Parameters | None,
    folder: Path,
    timeout: float | None,
    bounds: MemoryBounds = MemoryBounds(),
) -> Result:
    """Run one SELECT in a process of its own. Cancelling its `QueryScope` kills the process.

    Args:
        sql: The statement.
        params: Its values.
        folder: The store's folder.
        timeout: Seconds after which the process is killed, or None.
        bounds: What it may take.

    Raises:
        QueryError: The SQL is invalid, not allowed, took too long, or needed too much memory.
        StoreError: The store cannot be read.
    """
    from llmops_sdk.store.schema._user_columns import current_views

    with tempfile.TemporaryDirectory(prefix="llmops-query-") as place:
        rows = Path(place) / "rows.parquet"
        request = pickle.dumps((sql, params, str(folder), str(rows), timeout, list(current_views()), bounds))
        status, written = _run(request, sql, timeout)
        answer = _answer(written)
        if answer is None:
            sweep_spills(folder)  # what it had put on the disk
        if answer is None and status == LATE:
            raise QueryError(f"the query took longer than {timeout:g} s and was killed:\n\n{sql}", sql=sql)
        if answer is None:
            raise QueryError(
                f"the query's process ended with {status}, perhaps for want of memory (limit "
                f"{bounds.space // 2**20:,} MiB); read less:\n\n{sql}",
                sql=sql,
            )
        if "error" in answer:
            raise (StoreError if answer["error"] == "store" else QueryError)(answer["message"])
        return _loaded(rows, answer["columns"])


def _run(request: bytes, sql: str, timeout: float | None) -> tuple[int, bytes]:
    """Return the process's status and what it wrote."""
    scope = current_scope()
    if getattr(sys, "frozen", False) or not sys.executable:
        raise QueryError(f"a query in a process of its own needs Python, which this program hides:\n\n{sql}", sql=sql)
    # -P: never import modules from the working folder.
    command = [sys.executable, "-P", "-m", _CHILD]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            if scope is not None:
                scope.begin(sql, timeout, process.kill)
            written, _ = process.communicate(request, None if timeout is None else timeout + GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            return LATE, b""
        except BaseException:
            process.kill()
            raise
        finally:
            if scope is not None:
                scope.end()
    return process.returncode, written


def _answer(written: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(written)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _loaded(rows: Path, columns: list[tuple[str, str]]) -> Result:
    from llmops_sdk.store.duck._sql import open_database, pattern, quoted

    connection = open_database(":memory:")
    connection.execute("CREATE SCHEMA store")
    listed = ", ".join(
        f"NULL AS {quoted_name(name)}"
        if kind == '"NULL"'
        else f"CAST({quoted_name(name)} AS {kind}) AS {quoted_name(name)}"
        for name, kind in columns
    )
    connection.execute(f"CREATE TABLE {TABLE} AS SELECT {listed} FROM read_parquet({quoted(pattern(rows))})")
    return Result(connection)


def quoted_name(name: str) -> str:
    """Return a name of a column as SQL."""
    return '"' + name.replace('"', '""') + '"'
