"""Export the spans, scores or losses of a store to one file, for other tools and machines."""
# ruff: noqa: S608 - statements are put together from the schema; the user's condition runs confined to the store

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.store.exchange._export_rows import csv_lines, json_lines
from llmops_sdk.store.exchange._target_file import check_target, temporary_file
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.otlp._write import otlp_lines
from llmops_sdk.store.reading._query import StorePath, flush_first, leased, retried, store_folder
from llmops_sdk.store.reading._rows import naive_utc, rows_sql
from llmops_sdk.store.schema._views import RECORD_STREAMS, Column

if TYPE_CHECKING:
    from concurrent.futures import Future

    from llmops_sdk.store.reading._statement import Statement

__all__ = ["ExportForm", "ExportWhat", "Exported", "export"]

ExportForm: TypeAlias = Literal["parquet", "jsonl", "csv", "otlp"]
ExportWhat: TypeAlias = Literal[
    "spans",
    "scores",
    "losses",
    "experiments",
    "experiment_items",
    "experiment_scores",
    "alerts",
    "drift_checks",
    "canary_runs",
]

_SUFFIXES: dict[str, ExportForm] = {".parquet": "parquet", ".jsonl": "jsonl", ".csv": "csv", ".json": "otlp"}
_BATCH = 512  # rows: usually 2 MB, and at most 4 GB if each is as large as a line may be
_GROUP = 8_192
_TICK = 0.1  # seconds


@public("llmops_sdk.store")
@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export.

    Attributes:
        file: The file.
        form: Its form, such as "parquet".
        rows: How many rows it has.
        bytes: Its size.
    """

    file: Path
    form: ExportForm
    rows: int
    bytes: int


def export(
    file: StorePath,
    *,
    what: ExportWhat = "spans",
    form: ExportForm | None = None,
    where: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    force: bool = False,
    path: StorePath | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write the spans, scores or losses of a store to one file, completely or not at all.

    Spans have every stored column; scores and losses have the columns of their views, in no order.

    Args:
        file: The new file.
        what: "spans", "scores", "losses", "experiments", "experiment_items", "experiment_scores", "alerts",
            "drift_checks" or "canary_runs". Only spans can be
            "otlp".
        form: "parquet", "jsonl", "csv" or "otlp"; by default as the file name ends, with .json for OTLP.
        where: An SQL condition on the columns of the view `llm_calls`, `scores` or `losses`; it may ask other views.
        since: Only records from this time on; UTC without a zone.
        until: Only records before this time.
        force: Replace an existing file.
        path: The store's folder; by default the configured one.
        progress: Called now and then with the rows written and the total (0 while they are counted).

    Raises:
        StoreError: The store cannot be read, the file cannot be written, or it exists and `force` is False.
        QueryError: The condition is invalid or not allowed.
        ValueError: The form is unknown or does not fit.

    Example:
        >>> from tempfile import mkdtemp
        >>> from llmops_sdk.store import export
        >>> export(mkdtemp() + "/none.jsonl", where="name = 'nobody'").rows
        0
    """
    folder = store_folder(path)
    target = check_target(file, folder, force=force)
    chosen = _form(target, what, form)
    flush_first()
    from llmops_sdk.store.reading._statement import check_statement

    statement = check_statement(rows_sql(what, where), {"since": naive_utc(since), "until": naive_utc(until)})
    with temporary_file(target, force=force) as temporary:
        rows, size = _write_file(temporary, folder, statement, chosen, progress)
    return Exported(target, chosen, rows, size)


def _write_file(
    file: Path,
    folder: Path,
    statement: Statement,
    form: ExportForm,
    progress: Callable[[int, int], None] | None,
) -> tuple[int, int]:
    """Write the file to the disk and return its rows and bytes."""
    from llmops_sdk.store.duck._sql import duckdb
    from llmops_sdk.store.reading._statement import query_error

    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        rows = retried(lambda: _attempt(folder, statement, form, file, progress), folder)
    except duckdb.IOException as error:
        raise StoreError(f"{folder} cannot be exported: {error}", path=str(folder)) from error
    except duckdb.Error as error:
        raise query_error(error, statement.sql, shift=0) from error
    with file.open("rb") as written:
        os.fsync(written.fileno())
        return rows, os.fstat(written.fileno()).st_size


def _attempt(
    folder: Path, statement: Statement, form: ExportForm, out: Path, progress: Callable[[int, int], None] | None
) -> int:
    with leased(folder) as sources:
        return _ExportRun(sources, statement, form, out).write(progress)


class _ExportRun:
    """One attempt to write the file, in another thread: in the caller's thread, Ctrl-C would wait for DuckDB."""

    def __init__(self, sources: Sources, statement: Statement, form: ExportForm, out: Path) -> None:
        from llmops_sdk.store.duck._sql import open_connection

        self._statement = statement
        self._form: ExportForm = form
        self._out = out
        self._rows = 0
        self._total = 0
        self._stopped = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._connection = open_connection(sources, trusted=False, frames=False, output=out)

    def write(self, progress: Callable[[int, int], None] | None) -> int:
        """Write the file and return the number of rows."""
        from concurrent.futures import ThreadPoolExecutor

        with self._connection, ThreadPoolExecutor(1, "llmops-export") as thread:
            try:
                if progress is not None:
                    self._total = self._wait(thread.submit(self._run, self._count), progress)
                return self._wait(thread.submit(self._run, self._write), progress)
            finally:
                self._stopped.set()
                thread.shutdown(wait=False, cancel_futures=True)
                # Repeat: an interrupt just before a statement starts does not reach it.
                while not self._idle.is_set():
                    self._connection.interrupt()
                    self._idle.wait(_TICK)

    def _wait(self, work: Future[int], progress: Callable[[int, int], None] | None) -> int:
        while True:
            try:
                return work.result(_TICK)
            except TimeoutError:
                if work.done():
                    raise
                if progress is not None:
                    progress(self._done(), self._total)

    def _count(self) -> int:
        return self._counted(f"SELECT count(*) FROM (\n{self._statement.sql}\n)")

    def _counted(self, sql: str) -> int:
        return sum(count for (count,) in self._connection.execute(sql, self._statement.params).fetchall())

    def _run(self, work: Callable[[], int]) -> int:
        self._idle.clear()
        try:
            return 0 if self._stopped.is_set() else work()
        finally:
            self._idle.set()

    def _done(self) -> int:
        if self._form != "parquet":
            return self._rows
        return int(self._total * max(self._connection.query_progress(), 0.0) / 100)

    def _write(self) -> int:
        described = self._connection.execute(f"DESCRIBE {self._statement.sql}", self._statement.params).fetchall()
        columns = tuple(Column(str(name), str(value_type), "") for name, value_type, *_ in described)
        if self._form == "parquet":
            return self._write_parquet(columns)
        batches = self._batches()
        if self._form == "csv":
            lines = csv_lines([column.name for column in columns], batches)
        else:
            lines = {"jsonl": json_lines, "otlp": otlp_lines}[self._form](columns, batches)
        with self._out.open("wb") as out:
            for line in lines:
                out.write(line)
        return self._rows

    def _batches(self) -> Iterator[list[tuple[Any, ...]]]:
        rows = self._connection.execute(self._statement.sql, self._statement.params)
        while not self._stopped.is_set() and (batch := rows.fetchmany(_BATCH)):
            yield batch
            self._rows += len(batch)

    def _write_parquet(self, columns: Sequence[Column]) -> int:
        from llmops_sdk.store.duck._sql import quoted

        # JSON as plain text: other Parquet readers refuse DuckDB's JSON columns.
        picked = ", ".join(f"{c.name}::VARCHAR AS {c.name}" if c.type == "JSON" else c.name for c in columns)
        return self._counted(
            f"COPY (SELECT {picked} FROM (\n{self._statement.sql}\n)) TO {quoted(str(self._out))} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP}, USE_TMP_FILE false)"
        )


def _form(target: Path, what: ExportWhat, form: ExportForm | None) -> ExportForm:
    known = [stream.name for stream in RECORD_STREAMS.values() if stream.exported]
    if what not in known:
        raise ValueError(f'"{what}" cannot be exported. Choose one of {", ".join(known)}')
    chosen = form or _SUFFIXES.get(target.suffix.lower())
    if chosen is None or chosen not in get_args(ExportForm):
        raise ValueError(
            f"the form of {target.name} is unknown: end the name with {', '.join(_SUFFIXES)}, or give one of "
            f"{', '.join(get_args(ExportForm))}"
        )
    if chosen == "otlp" and what != "spans":
        raise ValueError(f"OTLP JSON can only hold spans: write the {what} as jsonl, csv or parquet")
    return chosen
