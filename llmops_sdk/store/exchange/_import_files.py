"""The files that `import` reads: what form they have, and their lines and rows with where each stands."""

from __future__ import annotations

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
_REQUESTS = ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs", "resourceMetrics", "resource_metrics")

Read = Callable[[int], None]
"""Told the bytes of the file that were read so far."""


def refuse(file: Path, where: str, what: str) -> NoReturn:
    """Raise the error of a file that cannot be imported."""
    raise StoreError(f"{file}{where}: {what}. Nothing of this file was imported", path=str(file))


def form_of(file: Path, form: ExportForm | None) -> ExportForm:
    """What form a file has: by its name's end, and where that may be two, by its first line.

    Raises:
        ValueError: The form is not known.
        StoreError: The file cannot be read.
    """
    suffixes = [suffix for suffix in file.suffixes[-2:] if suffix.lower() != ".gz"]
    chosen = form or (_FORMS.get(suffixes[-1].lower()) if suffixes else None)
    if chosen is None or chosen not in get_args(ExportForm):
        raise ValueError(
            f"what form {file.name} has is not clear: end it with {', '.join(_FORMS)} (.gz may follow), or give one "
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
    """What is in the requests of a file: one a line, or one whole.

    Raises:
        StoreError: The file cannot be read, or holds something else.
    """
    decoder = Decoder()
    for number, line in _lines(file, read):
        try:
            request = load_json(line)
        except MalformedError as error:
            if number > 1:
                refuse(file, f", line {number}", f"{error}; if the file is torn there, take that line out")
            request = _whole(file, error)
            yield _decoded(decoder, file, "", request)
            return
        yield _decoded(decoder, file, f", line {number}", request)


def _decoded(decoder: Decoder, file: Path, where: str, request: object) -> Decoded:
    if not isinstance(request, dict) or (request and not any(name in request for name in _REQUESTS)):
        refuse(file, where, "no OTLP request; rows as llmops export writes them are read with --format jsonl")
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
        refuse(
            file, ", line 1", f"{first}, and the file is too large to be one request (more than {_MAX_LINE:,} bytes)"
        )
    try:
        return load_json(body)
    except MalformedError as error:
        refuse(file, "", f"neither a request in JSON a line nor one as a whole: {error}")


def table_records(file: Path, form: ExportForm, read: Read) -> Iterator[tuple[Table, list[Any], int]]:
    """The rows of a file as records: what they are, the records of a batch, and how many rows belong to none.

    Raises:
        StoreError: The file cannot be read, or a row or a column is not as `export` writes it.
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
            refuse(file, f", line {number}", f"{error}; if the file is torn there, take that line out")
        yield table, ("line", number), [made]


def _table_for(row: object, before: Table | None) -> Table:
    if not isinstance(row, dict):
        raise MalformedError("no object")
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
    with closing(_heard(file, lambda: open_rows(file, form))) as rows:
        if not rows.names:
            return
        try:
            table = table_of(rows.names)
        except MalformedError as error:
            refuse(file, "", str(error))
        number = 1
        while batch := _heard(file, rows.fetch):
            made: list[dict[str, Any]] = []
            for cells in batch:
                try:
                    made.append(row_of_cells(cells, rows.names, table.types, signed=form == "csv"))
                except MalformedError as error:
                    refuse(file, f", row {number + len(made)}", str(error))
            yield table, ("row", number), made
            number += len(made)


def _check_end(file: Path) -> None:
    """Refuse CSV that is torn inside a row: DuckDB passes over a last row in which a quotation mark stays open."""
    quotes, last = 0, b"\n"
    with _opened(file) as opened:
        while chunk := _read(file, lambda: opened.read(_CHUNK)):
            quotes += chunk.count(b'"')
            last = chunk[-1:]
    if quotes % 2 or last != b"\n":
        what = "a quotation mark stays open" if quotes % 2 else "the last row has no line break"
        refuse(file, "", f"it is torn at its end: {what}; take that row out, or end it")


def _heard(file: Path, work: Callable[[], Any]) -> Any:
    from llmops_sdk.store.duck._sql import duckdb

    try:
        return work()
    except duckdb.Error as error:
        told = str(error).strip().split("\n")[0]
        refuse(file, "", f"it is torn, or not of the form that it is read as: {told}")


def _lines(file: Path, read: Read) -> Iterator[tuple[int, bytes]]:
    number = 0
    with _opened(file) as opened:
        while line := _read(file, lambda: opened.readline(_MAX_LINE + 1)):
            number += 1
            if len(line) > _MAX_LINE:
                refuse(file, f", line {number}", f"a line of more than {_MAX_LINE:,} bytes")
            if line.strip():
                yield number, line
            raw = getattr(opened, "fileobj", None) or opened
            read(raw.tell())


def _opened(file: Path) -> IO[bytes]:
    try:
        # By its first bytes: a name does not tell whether a sender compressed.
        with file.open("rb") as opened:
            packed = opened.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.open(file, "rb")) if packed else file.open("rb")
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}", path=str(file)) from error


def _read(file: Path, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        refuse(
            file, "", f"the compressed file is torn ({error}); unpack what is whole of it (gzip -dc), and import that"
        )
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}", path=str(file)) from error
