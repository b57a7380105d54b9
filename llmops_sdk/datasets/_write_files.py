"""Write items to JSONL, CSV and Parquet files, and to a folder in the layout of Hugging Face."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import orjson

from llmops_sdk.datasets._item import Item, item_line
from llmops_sdk.datasets._read_files import EXPORT_COLUMNS, form_of
from llmops_sdk.datasets._values import encode
from llmops_sdk.errors import DatasetError
from llmops_sdk.store.exchange._target_file import check_target, temporary_file
from llmops_sdk.store.reading._query import StorePath, store_folder

__all__ = ["ExportForm", "write_items"]

ExportForm: TypeAlias = Literal["jsonl", "csv", "parquet", "huggingface"]
_BATCH = 1_000
_Row = tuple[str | None, ...]

_CARD = """---
pretty_name: {title}
tags:
- llmops-sdk
configs:
- config_name: default
  data_files:
{files}
---

# {heading}

{counts}

Columns: `id`, `input`, `expected`, `metadata` (a JSON object) and `source_trace_id` (the trace of a recorded item).
`input_json` or `expected_json` stands for a column whose cells are JSON.

Written by llmops-sdk. Read it with `datasets.load_dataset("FOLDER")`.
"""


def write_items(
    parts: Mapping[str, Sequence[Item]],
    path: StorePath,
    *,
    title: str | None,
    form: ExportForm | None,
    omit: Sequence[str],
    force: bool,
) -> Path:
    """Write a file with the items of the one part, or a folder with a file for each part.

    Args:
        parts: The items by part.
        path: The file or folder.
        title: The name on the card of a folder.
        form: The form, or None.
        omit: Columns of the metadata to leave out; also "source_trace_id".
        force: Replace what exists.

    Raises:
        DatasetError: The form is not known, or the target exists.
        StoreError: It cannot be written, or is inside the store.
    """
    if isinstance(omit, str):
        raise DatasetError(f'omit is a list of names, as in omit=["{omit}"]')
    parts = {name: [_without(item, omit) for item in items] for name, items in parts.items()}
    if form == "huggingface":
        return _write_folder(parts, path, title or "data set", force=force)
    if form is not None and form not in get_args(ExportForm):
        raise DatasetError(f"the form {ascii(form)[:60]} is unknown: give one of {', '.join(get_args(ExportForm))}")
    ((_, items),) = parts.items()
    chosen = form_of(Path(path).name, form)
    _write_file(items, path, chosen, force=force)
    return Path(path)


def _without(item: Item, omit: Sequence[str]) -> Item:
    if not omit:
        return item
    metadata = {name: value for name, value in item.metadata.items() if name not in omit}
    return replace(item, metadata=metadata, source_trace_id=None if "source_trace_id" in omit else item.source_trace_id)


def _write_file(items: Sequence[Item], path: StorePath, form: str, *, force: bool) -> None:
    target = check_target(path, store_folder(None), force=force)
    with temporary_file(target, force=force) as temporary:
        if form == "parquet":
            _write_parquet(items, temporary)
            return
        lines = _csv_lines(items) if form == "csv" else (item_line(item) + b"\n" for item in items)
        # Without a time in it, the same items give the same bytes.
        with temporary.open("wb") as raw:
            if target.suffix.lower() == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                    packed.writelines(lines)
            else:
                raw.writelines(lines)


def _write_folder(parts: Mapping[str, Sequence[Item]], path: StorePath, title: str, *, force: bool) -> Path:
    folder = Path(path)
    if not force and folder.exists() and any(folder.iterdir()):
        raise DatasetError(
            f"{folder} exists and is not empty: choose another folder, or force=True (--force)", path=str(folder)
        )
    try:
        (folder / "data").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be created: {error.strerror}", path=str(folder)) from error
    together = [item for items in parts.values() for item in items]
    nested = _nested(together, empty_counts=False)
    for name, items in parts.items():
        target = check_target(folder / "data" / f"{name}.parquet", store_folder(None), force=force)
        with temporary_file(target, force=force) as temporary:
            _write_parquet(items, temporary, nested)
    files = "\n".join(f"  - split: {name}\n    path: data/{name}.parquet" for name in parts)
    counts = "\n".join(f"- `{name}`: {len(items):,} items" for name, items in parts.items())
    card = _CARD.format(title=json.dumps(title), heading=title, files=files, counts=counts)
    target = check_target(folder / "README.md", store_folder(None), force=force)
    with temporary_file(target, force=force) as temporary:
        temporary.write_text(card, "utf-8")
    return folder


def _nested(items: Sequence[Item], *, empty_counts: bool) -> frozenset[str]:
    """Return which of `input` and `expected` need JSON cells: not every value is text, or an empty text matters."""
    return frozenset(
        name
        for name in ("input", "expected")
        if not all(
            value is None or (isinstance(value, str) and (value or not empty_counts))
            for value in (getattr(item, name) for item in items)
        )
    )


def _names(nested: frozenset[str]) -> list[str]:
    return [f"{name}_json" if name in nested else name for name in EXPORT_COLUMNS]


def _rows(items: Sequence[Item], nested: frozenset[str]) -> Iterator[_Row]:
    def cell(name: str, value: Any) -> str | None:
        return value if value is None or name not in nested else encode(value).decode()

    for item in items:
        metadata = encode(item.metadata).decode()
        yield (
            item.id, cell("input", item.input), cell("expected", item.expected), metadata, item.source_trace_id,
        )  # fmt: skip


def _csv_lines(items: Sequence[Item]) -> Iterator[bytes]:
    from llmops_sdk.store.exchange._export_rows import csv_lines

    nested = _nested(items, empty_counts=True)
    rows = list(_rows(items, nested))
    batches = (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))
    return csv_lines(_names(nested), batches)


def _write_parquet(items: Sequence[Item], file: Path, nested: frozenset[str] | None = None) -> None:
    from llmops_sdk.store.duck._text_tables import write_text_parquet

    nested = _nested(items, empty_counts=False) if nested is None else nested
    names = _names(nested)
    lines = (orjson.dumps(dict(zip(names, row, strict=True))) for row in _rows(items, nested))
    write_text_parquet(names, lines, file)
