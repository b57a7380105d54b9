"""Read rows from JSONL, CSV and Parquet files, also compressed, within bounds."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast, get_args

from llmops_sdk.datasets._rows import MAX_BYTES, MAX_ITEMS, NumberedRow
from llmops_sdk.datasets._values import MAX_ITEM_BYTES
from llmops_sdk.errors import DatasetError

__all__ = ["EXPORT_COLUMNS", "FileForm", "form_of", "read_rows", "read_stream"]

FileForm: TypeAlias = Literal["jsonl", "csv", "parquet"]
_SUFFIXES: dict[str, FileForm] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
EXPORT_COLUMNS = ("id", "input", "expected", "metadata", "source_trace_id")
"""The columns of our own files. `input_json` and `expected_json` stand for columns whose cells are JSON."""
_MAX_LINE = 2 * MAX_ITEM_BYTES
"""Escaped text may be longer than the canonical form."""


def form_of(name: str, form: str | None) -> FileForm:
    """Return the form of a file, given or taken from its name.

    Args:
        name: The file's name; `.gz` at its end does not count.
        form: The form, or None.

    Raises:
        DatasetError: It is not known.
    """
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    chosen = _SUFFIXES.get(suffix) if form is None else form
    if chosen not in get_args(FileForm):
        raise DatasetError(
            f"the form of {ascii(name)[1:-1][:200]} is unknown: end the name with {', '.join(_SUFFIXES)}, or give one "
            f"of {', '.join(get_args(FileForm))}",
            path=name,
        )
    return cast("FileForm", chosen)


def read_rows(path: Path, form: FileForm) -> Iterator[NumberedRow]:
    """Yield the rows of a file with their line numbers; of Parquet, with their row numbers.

    Args:
        path: The file.
        form: Its form.

    Raises:
        DatasetError: The file cannot be read, is too large, or a line is not valid.
    """
    try:
        if form == "parquet":
            yield from _parquet(path)
            return
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
            yield from read_stream(file, form, str(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}", path=str(path)
        ) from error


def read_stream(file: IO[bytes], form: FileForm, name: str) -> Iterator[NumberedRow]:
    """Yield the rows of an open file with their line numbers.

    Args:
        file: The file, or stdin.
        form: "jsonl" or "csv".
        name: What errors call it.

    Raises:
        DatasetError: It is too large, or a line is not valid.
    """
    lines = _Lines(file, name)
    if form == "jsonl":
        yield from _jsonl(lines)
    elif form == "csv":
        yield from _csv(lines)
    else:
        raise DatasetError(f"{name}: Parquet is read from a file, not from a stream: save it first", path=name)


class _Lines:
    """Yields the lines of a file as text, and counts lines and bytes."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.number = 0
        self._file = file
        self._name = name
        self._bytes = 0

    def error(self, problem: str) -> DatasetError:
        """Return an error about the present line."""
        return DatasetError(f"{self._name}: line {self.number}: {problem}", path=self._name, line=self.number)

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(_MAX_LINE + 1):
            self.number += 1
            self._bytes += len(line)
            if len(line) > _MAX_LINE:
                raise self.error(f"more than {_MAX_LINE:,} bytes in a line")
            if self._bytes > MAX_BYTES:
                raise self.error(f"the file has more than {MAX_BYTES:,} bytes, unpacked: split it, or take a sample")
            try:
                yield line.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise self.error(f"no valid UTF-8 at byte {error.start}: save the file as UTF-8") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON: use null for a missing number")


def _jsonl(lines: _Lines) -> Iterator[NumberedRow]:
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            raise lines.error(f"no valid JSON at column {error.colno}: {error.msg}") from error
        except (ValueError, RecursionError) as error:
            problem = "too many levels of lists and objects" if isinstance(error, RecursionError) else str(error)
            raise lines.error(problem) from error
        if not isinstance(row, dict):
            raise lines.error('each line is a JSON object, as in {"input": …}, and this is another value')
        yield lines.number, row


def _csv(lines: _Lines) -> Iterator[NumberedRow]:
    reader = csv.reader(lines, strict=True)
    names: list[str] | None = None
    restore: Callable[[dict[str, str]], dict[str, Any]] = _with_empty_as_none
    first = 1
    try:
        for cells in reader:
            number, first = first, lines.number + 1
            if not cells:
                continue
            if names is None:
                names = _heading(cells, lines)
                restore = _restored if _is_export(names) else _with_empty_as_none
                continue
            if len(cells) != len(names):
                raise lines.error(f"{len(cells)} cells, and the heading has {len(names)} columns")
            try:
                yield number, restore(dict(zip(names, cells, strict=True)))
            except ValueError as error:
                raise lines.error(str(error)) from error
    except csv.Error as error:
        raise lines.error(f"no valid CSV: {error}; JSONL has no such bounds") from error


def _heading(cells: list[str], lines: _Lines) -> list[str]:
    twice = next((name for name in cells if cells.count(name) > 1), None)
    if twice is not None:
        raise lines.error(f"two columns are called {ascii(twice)[:60]}: rename one")
    return cells


def _is_export(names: list[str]) -> bool:
    return [name.removesuffix("_json") for name in names] == list(EXPORT_COLUMNS)


def _with_empty_as_none(row: dict[str, str]) -> dict[str, Any]:
    return {name: cell or None for name, cell in row.items()}


def _restored(row: dict[str, Any], *, signed: bool = True) -> dict[str, Any]:
    """Undo what an export did: JSON cells, and the sign before what a spreadsheet takes for a formula."""
    found: dict[str, Any] = {}
    for name, cell in row.items():
        text = cell.removeprefix("'") if signed and isinstance(cell, str) else cell
        column = name.removesuffix("_json")
        if column == name != "metadata":
            found[name] = text if name == "input" or not signed else text or None
        elif text:
            try:
                found[column] = json.loads(text, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{name} has no valid JSON: {error}") from error
    return found


def _parquet(path: Path) -> Iterator[NumberedRow]:
    from llmops_sdk.store.duck._import_table import open_rows
    from llmops_sdk.store.duck._sql import duckdb

    if not path.is_file():
        raise DatasetError(f"{path} cannot be read: there is no such file", path=str(path))
    try:
        rows = open_rows(path, "parquet")
        try:
            exported = _is_export(rows.names)
            number = 0
            while batch := rows.fetch():
                for cells in batch:
                    number += 1
                    if number > MAX_ITEMS:
                        raise DatasetError(f"{path} has more than {MAX_ITEMS:,} rows", path=str(path))
                    row = dict(zip(rows.names, cells, strict=True))
                    yield number, _restored(row, signed=False) if exported else row
        finally:
            rows.close()
    except duckdb.Error as error:
        text = str(error).partition("\n")[0]
        raise DatasetError(f"{path} is no readable Parquet file: {text}", path=str(path)) from error
    except ValueError as error:
        raise DatasetError(f"{path}: {error}", path=str(path)) from error
