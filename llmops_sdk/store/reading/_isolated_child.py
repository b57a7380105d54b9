"""The process of an isolated query: it limits itself, runs the query, and hands the rows over in a file."""
# ruff: noqa: S608 - names of columns and files are quoted

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmops_sdk.errors import QueryError, StoreError
from llmops_sdk.store.duck._errors import damaged_file
from llmops_sdk.store.duck._sql import duckdb, open_connection, quoted, without_zones
from llmops_sdk.store.reading._isolated import GRACE, LATE, MemoryBounds, quoted_name
from llmops_sdk.store.reading._query import leased, retried
from llmops_sdk.store.reading._result import TABLE, held_bytes
from llmops_sdk.store.reading._statement import check_statement, query_error

__all__ = ["main"]

_MAX_FILE = 4 * 1024 * 1024 * 1024
_NOT_IN_PARQUET = re.compile(r"\b(U?HUGEINT|UNION|INTERVAL|ENUM|BIT|BIGNUM|VARIANT|TIME|NULL)\b")


_TOO_MUCH = (
    "the query needed too much memory: read less (a WHERE on start_time, fewer columns, a LIMIT inside), or run it "
    "with llmops sql, which may use more"
)


def main() -> int:
    """Run the query on stdin, write its rows to a file, and describe them or the error on stdout."""
    sql, params, folder, rows, timeout, views, bounds = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - our parent
    _limit_resources(timeout, bounds)
    if timeout is not None:
        # DuckDB may not notice an interrupt for long, and holds what it has allocated meanwhile.
        deadline = threading.Timer(timeout, os._exit, (LATE,))
        deadline.daemon = True
        deadline.start()
    try:
        columns = _run(sql, params, Path(folder), Path(rows), views, bounds)
        sys.stdout.write(json.dumps({"columns": columns}))
    except QueryError as error:
        sys.stdout.write(json.dumps({"error": "query", "message": str(error)}))
    except StoreError as error:
        sys.stdout.write(json.dumps({"error": "store", "message": str(error)}))
    except MemoryError:
        sys.stdout.write(json.dumps({"error": "query", "message": _TOO_MUCH}))
    return 0


def _limit_resources(timeout: float | None, bounds: MemoryBounds) -> None:
    with suppress(ImportError):
        import resource

        limits = [(resource.RLIMIT_AS, bounds.space), (resource.RLIMIT_FSIZE, _MAX_FILE), (resource.RLIMIT_CORE, 0)]
        if timeout is not None:
            # The parent kills the process; this holds if the parent has died.
            limits.append((resource.RLIMIT_CPU, int(timeout + GRACE) * 64))
        for kind, size in limits:
            with suppress(OSError, ValueError):
                resource.setrlimit(kind, (size, size))


def _run(
    sql: str, params: Any, folder: Path, rows: Path, views: list[Any], bounds: MemoryBounds
) -> list[tuple[str, str]]:
    statement = check_statement(sql, params)

    def attempt() -> list[tuple[str, str]]:
        with leased(folder) as sources:
            connection = open_connection(
                sources, views=views, trusted=False, frames=False, output=rows, bounded=True, memory=bounds.memory
            )
            statement.run(connection, TABLE)
            _check_size(held_bytes(connection), bounds, sql)
            without_zones(connection, TABLE)
            columns = [(str(name), str(kind)) for name, kind, *_ in connection.execute(f"DESCRIBE {TABLE}").fetchall()]
            listed = ", ".join(
                f"CAST({quoted_name(name)} AS VARCHAR) AS {quoted_name(name)}"
                if _NOT_IN_PARQUET.search(kind)
                else quoted_name(name)
                for name, kind in columns
            )
            connection.execute(f"COPY (SELECT {listed} FROM {TABLE}) TO {quoted(str(rows))} (FORMAT parquet)")
            return columns

    try:
        return retried(attempt, folder)
    except duckdb.OutOfMemoryException as error:
        raise QueryError(f"{_TOO_MUCH}:\n\n{sql}", sql=sql) from error
    except duckdb.Error as error:
        raise damaged_file(error, folder) or query_error(error, sql) from error


def _check_size(size: int, bounds: MemoryBounds, sql: str) -> None:
    if bounds.rows is not None and size > bounds.rows:
        raise QueryError(
            f"the rows hold {size // 2**20:,} MiB, and at most {bounds.rows // 2**20:,} MiB are given: select fewer "
            f"columns or rows, or the beginning of a text with left(input, 1000)",
            sql=sql,
        )


if __name__ == "__main__":
    sys.exit(main())
