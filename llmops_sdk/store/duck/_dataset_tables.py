"""Build the SQL of the tables under the views of data sets: they read the files of the saved versions."""
# ruff: noqa: S608 - statements are put together from quoted names of files

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from llmops_sdk._util._private_files import create_file
from llmops_sdk.store.datasets._versions import FOLDER, dataset_folders, version_files
from llmops_sdk.store.schema._views import View

__all__ = ["dataset_paths", "dataset_tables", "live_dataset_tables", "reads_datasets"]

_INFO = "time_ns: 'BIGINT', items: 'BIGINT', erased: 'BIGINT', bytes: 'BIGINT', source: 'VARCHAR', detail: 'VARCHAR'"
_ITEM = "id: 'VARCHAR', input: 'JSON', expected: 'JSON', metadata: 'JSON', source_trace_id: 'VARCHAR'"
_MAX_OBJECT = 32 * 1024 * 1024
_PART = "regexp_extract(filename, '([^/\\\\]+)[/\\\\]([0-9a-f]{64})[.]jsonl?$', %d)"
_EMPTY = "-"
"""The folder whose empty files let a pattern find a file: DuckDB refuses a pattern without matches."""


def reads_datasets(views: Iterable[View]) -> bool:
    """Return whether one of the views reads data sets."""
    return any("store.dataset" in view.sql for view in views)


def dataset_paths(store: Path) -> list[Path]:
    """Return the files of all saved versions, descriptions and items.

    Args:
        store: The store's folder.
    """
    found: list[Path] = []
    for folder in dataset_folders(store):
        infos = version_files(folder, ".json")
        found += infos
        saved = {file.stem for file in infos}
        found += [file for file in version_files(folder, ".jsonl") if file.stem in saved]
    return found


def dataset_tables(quoted_paths: Sequence[str]) -> dict[str, str]:
    """Return the SQL of each table by name, over files that exist.

    Args:
        quoted_paths: The files, or patterns, as SQL literals.
    """
    infos = [path for path in quoted_paths if path.endswith(".json'")]
    items = [path for path in quoted_paths if path.endswith(".jsonl'")]
    return {"datasets": _infos(infos), "dataset_items": _items(items)}


def live_dataset_tables(store: Path, quoted_pattern: str) -> dict[str, str]:
    """Return the SQL of each table by name, over whatever files there are when it runs.

    A store that has no data sets yet gets empty tables.

    Args:
        store: The store's folder; an empty file of each kind is put among the data sets.
        quoted_pattern: The folder of data sets as a pattern, an SQL literal.
    """
    if not (store / FOLDER).is_dir():
        return dataset_tables([])
    empty = store / FOLDER / _EMPTY
    empty.mkdir(mode=0o700, exist_ok=True)
    for suffix in (".json", ".jsonl"):
        create_file(empty / f"none{suffix}", b"")
    return dataset_tables([f"{quoted_pattern[:-1]}/*/*{suffix}'" for suffix in (".json", ".jsonl")])


def _infos(paths: Sequence[str]) -> str:
    fields = "time_ns, items, erased, source, detail, bytes"
    if not paths:
        return (
            "SELECT NULL::VARCHAR AS name, NULL::VARCHAR AS version, NULL::BIGINT AS time_ns, NULL::BIGINT AS items, "
            "NULL::BIGINT AS erased, NULL::VARCHAR AS source, NULL::VARCHAR AS detail, NULL::BIGINT AS bytes "
            "WHERE false"
        )
    return (
        f"SELECT {_PART % 1} AS name, {_PART % 2} AS version, {fields} FROM {_read(paths, _INFO)} "
        "WHERE time_ns IS NOT NULL"
    )


def _items(paths: Sequence[str]) -> str:
    if not paths:
        return (
            "SELECT NULL::VARCHAR AS dataset, NULL::VARCHAR AS version, NULL::VARCHAR AS item_id, NULL::JSON AS input, "
            "NULL::JSON AS expected, NULL::JSON AS metadata, NULL::VARCHAR AS source_trace_id WHERE false"
        )
    return (
        f"SELECT {_PART % 1} AS dataset, {_PART % 2} AS version, id AS item_id, input, expected, metadata, "
        f"source_trace_id FROM {_read(paths, _ITEM)} WHERE id IS NOT NULL"
    )


def _read(paths: Sequence[str], columns: str) -> str:
    return (
        f"read_json([{', '.join(paths)}], columns = {{{columns}}}, format = 'newline_delimited', ignore_errors = true, "
        f"maximum_object_size = {_MAX_OBJECT}, filename = 'filename')"
    )
