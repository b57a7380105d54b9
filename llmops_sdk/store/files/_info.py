"""Report the store's place, size and state for `llmops doctor`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk._util._public import public
from llmops_sdk.store.files._blob_files import list_blobs
from llmops_sdk.store.files._folders import check_folder
from llmops_sdk.store.files._layout import list_segments
from llmops_sdk.store.files._manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["StoreInfo", "info"]


@public("llmops_sdk.store")
@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """The store's place, size and state.

    Attributes:
        path: The folder.
        exists: Whether it exists; the first write creates it.
        files: The number of files of spans, scores and losses.
        bytes: Their total size, including blobs.
        waiting: Bytes of segments that are not compacted yet.
        schema_version: The store's schema version; this SDK's version for a new store.
        writable: Whether this process may write to the folder, or create it.
    """

    path: Path
    exists: bool
    files: int
    bytes: int
    waiting: int
    schema_version: int
    writable: bool


def info(settings: Settings) -> StoreInfo:
    """Return the store's place, size and state without changing anything.

    Args:
        settings: The settings in force.

    Raises:
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    path = settings.store.path.absolute()
    check_folder(path)
    manifest = read_manifest(path) or Manifest()
    segments = list_segments(path, manifest.covered)
    sizes = [size for segment in segments if (size := _size(segment.path)) is not None]
    return StoreInfo(
        path=path,
        exists=path.is_dir(),
        files=len(sizes) + len(manifest.files),
        bytes=sum(sizes) + sum(file.bytes for file in manifest.files) + sum(blob.size for blob in list_blobs(path)),
        waiting=sum(sizes),
        schema_version=manifest.schema_version,
        writable=_writable(path),
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _writable(path: Path) -> bool:
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
