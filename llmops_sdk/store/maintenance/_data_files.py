"""Name a new Parquet file, publish it once it is written, and replace a file by a changed one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._provenance import FileProvenance
from llmops_sdk.store.files._manifest import DataFile, Manifest, commit, sync_folder

if TYPE_CHECKING:
    from llmops_sdk.store.duck._parquet import ParquetWriter

__all__ = ["new_file", "publish", "rewrite_file", "temporary_name"]


def new_file(folder: Path, origin: FileProvenance) -> Path:
    """Return the path of a new file; create its folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"L{origin.level}-{origin.generation:08}-{uuid4().hex}.parquet"


def temporary_name(out: Path) -> Path:
    """Return the path to write to before publishing."""
    return out.with_name(f".{out.name}")


def publish(out: Path, origin: FileProvenance, rows: int) -> list[DataFile]:
    """Force a written file to disk and rename it into place.

    Args:
        out: The final path.
        origin: The provenance in the file.
        rows: The number of its rows.

    Returns:
        The file for the manifest, or nothing when it has no rows.
    """
    temporary = temporary_name(out)
    if not rows:
        temporary.unlink()
        return []
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    temporary.replace(out)
    sync_folder(out.parent)
    return [
        DataFile(
            name=f"{out.parent.name}/{out.name}",
            stream=origin.stream,
            version=origin.version,
            level=origin.level,
            rows=rows,
            bytes=size,
            written=origin.written,
            thinned=origin.thinned,
        )
    ]


def rewrite_file(
    store: Path,
    manifest: Manifest,
    file: DataFile,
    writer: ParquetWriter,
    *,
    unless: str = "false",
    dropped: int = 0,
    values: Mapping[str, str] | None = None,
    thinned: bool | None = None,
) -> Manifest:
    """Replace a file by one without some rows or with other values. The caller must hold the store's lock.

    A kill leaves either file in force.

    Args:
        store: The store's folder.
        manifest: The manifest, which names the file.
        file: The file.
        writer: Writes the new file.
        unless: An SQL condition; matching rows are left out.
        dropped: The number of matching rows.
        values: SQL expressions for the values of columns; the other columns stay.
        thinned: Whether the new file is sampled; None keeps what the old one says.

    Returns:
        The new manifest.

    Raises:
        StoreError: The file cannot be read or written, or another number of rows came out; the old file stays.
    """
    source = store / file.name
    origin = FileProvenance(
        generation=manifest.generation + 1,
        stream=file.stream,
        version=file.version,
        level=file.level,
        written=file.written,
        thinned=file.thinned if thinned is None else thinned,
        replaces=[file.name],
    )
    out = new_file(source.parent, origin)
    rows = writer.write_rows([source], temporary_name(out), origin, unless=unless, values=values)
    if rows != file.rows - dropped:
        temporary_name(out).unlink(missing_ok=True)
        raise StoreError(f"rewriting {file.name} kept {rows} rows instead of {file.rows - dropped}; the file stays")
    return commit(store, manifest.next(time=time.time(), add=publish(out, origin, rows), remove=[file]))
