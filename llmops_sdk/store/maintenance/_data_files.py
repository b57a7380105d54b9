"""Name a new Parquet file, and publish it once it is written."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from llmops_sdk.store.duck._provenance import FileProvenance
from llmops_sdk.store.files._manifest import DataFile, sync_folder

__all__ = ["new_file", "publish", "temporary_name"]


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
