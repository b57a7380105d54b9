"""List the files that a reader reads; rebuild a lost manifest first."""

from __future__ import annotations

from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._damaged import readable_files
from llmops_sdk.store.files._folders import check_folder
from llmops_sdk.store.files._layout import Sources, list_data_files, list_segments, unknown_files
from llmops_sdk.store.files._leases import ReaderLease
from llmops_sdk.store.files._manifest import Manifest, read_manifest

__all__ = ["is_store", "read_sources"]

_TRIES = 16
_RECORD_FOLDERS = ("wal", "spans", "scores", "losses", "details")


def read_sources(path: Path, *, lease: bool = True) -> Sources:
    """Return the files to read now; a lease keeps them on disk until it is released.

    Args:
        path: The store's folder; it need not exist.
        lease: False when the reader copes with files that vanish.

    Raises:
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    if not check_folder(path):
        return Sources((), (), path, 0, None)
    # Manifest first: lines compacted after this read are still in their segments.
    manifest = read_manifest(path)
    if manifest is None and list_data_files(path):
        from llmops_sdk.store.duck._rebuild import rebuild_manifest

        manifest = rebuild_manifest(path)
    manifest = manifest or Manifest()
    if unknown_files(path, manifest):
        from llmops_sdk.store.duck._rebuild import adopt_for_reading

        manifest = adopt_for_reading(path, manifest)
    held = None
    if lease and is_store(path):  # a lease is a file: nothing is written into a folder that is no store
        manifest, held = _leased(path, manifest)
    try:
        # Empty segments of dead writers are removed at once, without regard to leases.
        segments = [one for one in list_segments(path, manifest.covered) if not _is_empty(one.path)]
    except StoreError:
        if held is not None:
            held.release()
        raise
    return Sources(tuple(segments), readable_files(path, manifest.files), path, manifest.unreadable, held)


def is_store(path: Path) -> bool:
    """Return whether a folder is a store: whether it has the manifest or a folder of records."""
    return (path / "MANIFEST.json").is_file() or any((path / name).is_dir() for name in _RECORD_FOLDERS)


def _leased(path: Path, manifest: Manifest) -> tuple[Manifest, ReaderLease]:
    """Take a lease; return it with the manifest that it protects."""
    for _ in range(_TRIES):
        held = ReaderLease(path, manifest.generation)
        try:
            latest = read_manifest(path)
        except StoreError:
            held.release()
            raise
        if latest is None or latest.generation == manifest.generation:
            return manifest, held
        held.release()
        manifest = latest
    raise StoreError(f"{path} changes faster than it can be read; try again", path=str(path))


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except FileNotFoundError:
        return False  # opening it fails, and the reader lists the files again
