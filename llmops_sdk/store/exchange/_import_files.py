"""Read the files of an import: find their form, and yield their records with their places for errors."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NoReturn, cast, get_args

from llmops_sdk.errors import OtlpDecodeError, StoreError
from llmops_sdk.store.exchange._export import ExportForm
from llmops_sdk.store.exchange._import_rows import Table, row_of_cells, row_of_json, table_of
from llmops_sdk.store.otlp._read import Decoded, Decoder
from llmops_sdk.store.otlp._read_json import load_json
from llmops_sdk.store.otlp._wire import MalformedError
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = ["form_of", "otlp_requests", "table_records"]

_FORMS: dict[str, ExportForm] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".json": "otlp",
}
_MAX_LINE = 64 * 1024 * 1024  # bytes, and of a file that is one request
_CHUNK = 1024 * 1024
_MAX_RATIO = 100  # of unpacked to packed bytes: spans reach some 30
_MAX_EMPTY = 1_000_000
_REQUESTS = ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs", "resourceMetrics", "resource_metrics")

Read = Callable[[int], None]
"""Called with the number of bytes read so far."""


def refuse(file: Path, where: str, what: str) -> NoReturn:
    """Raise the error for a file that cannot be imported."""
    raise StoreError(f"{file}{where}: {what}. Nothing of this file was imported", path=str(file))


def form_of(file: Path, form: ExportForm | None) -> ExportForm:
    """Return the form of a file by the end of its name, and by its first line if that leaves two.

    Raises:
        ValueError: The form is unknown.
        StoreError: The file cannot be read.
    """
    suffixes = [suffix for suffix in file.suffixes[-2:] if suffix.lower() != ".gz"]
    chosen = form or (_FORMS.get(suffixes[-1].lower()) if suffixes else None)
    if chosen is None or chosen not in get_args(ExportForm):
        raise ValueError(
            f"the form of {file.name} is unknown: end the name with {', '.join(_FORMS)} (.gz may follow), or give one "
            f"of {', '.join(get_args(ExportForm))}"
        )
    return _sniffed(file, chosen) if form is None and chosen in ("jsonl", "otlp") else chosen


def _sniffed(file: Path, by_name: ExportForm) -> ExportForm:
    """Return "otlp" or "jsonl", as the first line shows, or else what the name says."""
    for _, line in _lines(file, lambda _: None):
        try:
            first = load_json(line)
        except MalformedError:
            break
        if isinstance(first, dict):
            if any(name in first for name in _REQUESTS):
                return "otlp"
            if any(stream.required in first for stream in RECORD_STREAMS.values()):
                return "jsonl"
        break
    return by_name


def otlp_requests(file: Path, read: Read) -> Iterator[Decoded]:
    """Yield the contents of the requests of a file: one request a line, or one in all.

    Raises:
        StoreError: The file cannot be read, or has other contents.
    """
    decoder = Decoder()
    for number, line in _lines(file, read):
        try:
            request = load_json(line)
        except MalformedError as error:
            if number > 1:
                refuse(file, f", line {number}", f"{error}; if the file is torn there, remove that line")
            request = _whole(file, error)
            yield _decoded(decoder, file, "", request)
            return
        yield _decoded(decoder, file, f", line {number}", request)


def _decoded(decoder: Decoder, file: Path, where: str, request: object) -> Decoded:
    if not isinstance(request, dict) or (request and not any(name in request for name in _REQUESTS)):
        refuse(file, where, "not an OTLP request. To import rows that llmops export wrote, give --format jsonl")
    try:
        decoded = decoder.loaded(cast("dict[str, Any]", request))
    except OtlpDecodeError as error:
        raise StoreError(f"{file}{where}: {error}. Nothing of this file was imported", path=str(file)) from error
    decoded.problems[:] = [f"{where.removeprefix(', ')} {problem}".strip() for problem in decoded.problems]
    return decoded


def _whole(file: Path, first: MalformedError) -> object:
    with _opened(file) as opened:
        body = _read(file, lambda: opened.read(_MAX_LINE + 1))
    if len(body) > _MAX_LINE:
        refuse(file, ", line 1", f"{first}, and the file is too large for one request (more than {_MAX_LINE:,} bytes)")
    try:
        return load_json(body)
    except MalformedError as error:
        refuse(file, "", f"neither one JSON request a line nor one in all: {error}")


def table_records(file: Path, form: ExportForm, read: Read) -> Iterator[tuple[Table, list[Any], int]]:
    """Yield batches of a file: its table, the records, and the number of rows without a record.

    Raises:
        StoreError: The file cannot be read, or `export` does not write such a row or column.
    """
    rows = _json_rows(file, read) if form == "jsonl" else _cell_rows(file, form)
    for table, where, batch in rows:
        records: list[Any] = []
        for number, row in enumerate(batch):
            try:
                record = table.record(row)
            except MalformedError as error:
                refuse(file, f", {where[0]} {where[1] + number}", str(error))
            if record is not None:
                records.append(record)
        yield table, records, len(batch) - len(records)


_Batch = tuple[Table, tuple[str, int], Sequence[dict[str, Any]]]


def _json_rows(file: Path, read: Read) -> Iterator[_Batch]:
    table: Table | None = None
    for number, line in _lines(file, read):
        try:
            table = _table_for(load_json(line), table)
            made = row_of_json(line, table.types)
        except (MalformedError, ValueError) as error:
            refuse(file, f", line {number}", f"{error}; if the file is torn there, remove that line")
        yield table, ("line", number), [made]


def _table_for(row: object, before: Table | None) -> Table:
    if not isinstance(row, dict):
        raise MalformedError("not a JSON object")
    names = cast("dict[str, Any]", row)
    if before is not None and names.keys() <= before.types.keys():
        return before
    table = table_of(names)
    if before is not None and table.stream is not before.stream:
        raise MalformedError(f"{table.stream.name} among {before.stream.name}")
    return table


def _cell_rows(file: Path, form: ExportForm) -> Iterator[_Batch]:
    from llmops_sdk.store.duck._import_table import open_rows

    if form == "csv":
        _check_end(file)
    with closing(_with_duckdb(file, lambda: open_rows(file, form))) as rows:
        if not rows.names:
            return
        try:
            table = table_of(rows.names)
        except MalformedError as error:
            refuse(file, "", str(error))
        number = 1
        while batch := _with_duckdb(file, rows.fetch):
            made: list[dict[str, Any]] = []
            for cells in batch:
                try:
                    made.append(row_of_cells(cells, rows.names, table.types, signed=form == "csv"))
                except MalformedError as error:
                    refuse(file, f", row {number + len(made)}", str(error))
            yield table, ("row", number), made
            number += len(made)


def _check_end(file: Path) -> None:
    """Refuse CSV that is torn inside a row: DuckDB skips a last row with an unclosed quotation mark."""
    quotes, last = 0, b"\n"
    with _opened(file) as opened:
        while chunk := _read(file, lambda: opened.read(_CHUNK)):
            quotes += chunk.count(b'"')
            last = chunk[-1:]
    if quotes % 2 or last != b"\n":
        what = "a quotation mark is not closed" if quotes % 2 else "the last row has no line break"
        refuse(file, "", f"it is torn at its end: {what}; remove that row, or complete it")


def _with_duckdb(file: Path, work: Callable[[], Any]) -> Any:
    from llmops_sdk.store.duck._sql import duckdb

    try:
        return work()
    except duckdb.Error as error:
        message = str(error).strip().split("\n")[0]
        refuse(file, "", f"it is torn, or has another form: {message}")
    except (UnicodeDecodeError, csv.Error) as error:
        refuse(file, "", f"its heading is not CSV in UTF-8 ({error}); convert the file (iconv -t utf-8)")


def _lines(file: Path, read: Read) -> Iterator[tuple[int, bytes]]:
    number = empty = 0
    with _opened(file) as opened:
        while line := _read(file, lambda: opened.readline(_MAX_LINE + 1)):
            number += 1
            if len(line) > _MAX_LINE:
                refuse(file, f", line {number}", f"the line has more than {_MAX_LINE:,} bytes")
            if line.strip():
                yield number, line
            else:
                empty += 1
                if empty > _MAX_EMPTY:
                    refuse(file, f", line {number}", f"the file has more than {_MAX_EMPTY:,} empty lines; remove them")
            raw = getattr(opened, "fileobj", None) or opened
            read(raw.tell())


class _BoundedGzip(gzip.GzipFile):
    """A gzip file that may not unpack to very much more than its size: a small file could fill the disk."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, "rb")
        self._file = file
        self._most = max(_MAX_LINE, _MAX_RATIO * file.stat().st_size)

    def read(self, size: int | None = -1) -> bytes:
        return self._checked(super().read(self._most + 1 if size is None or size < 0 else size))

    def readline(self, size: int | None = -1) -> bytes:
        return self._checked(super().readline(-1 if size is None else size))

    def _checked(self, data: bytes) -> bytes:
        if self.tell() > self._most:
            refuse(
                self._file,
                "",
                f"it unpacks to more than {self._most:,} bytes, {_MAX_RATIO} times its size; if that is right, unpack "
                "it (gzip -dc) and import the result",
            )
        return data


def _opened(file: Path) -> IO[bytes]:
    try:
        # By the first bytes: the name does not say whether the sender compressed.
        with file.open("rb") as opened:
            packed = opened.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", _BoundedGzip(file)) if packed else file.open("rb")
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}", path=str(file)) from error


def _read(file: Path, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        refuse(file, "", f"the compressed file is torn ({error}); unpack its intact part (gzip -dc), and import that")
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}", path=str(file)) from error
