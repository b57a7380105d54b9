"""What is to be read of a store now, a lost manifest made again."""

from __future__ import annotations

from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._layout import Sources, list_data_files, list_segments
from llmops_sdk.store.files._leases import ReaderLease
from llmops_sdk.store.files._manifest import Manifest, read_manifest

__all__ = ["read_sources"]

_TRIES = 16


def read_sources(path: Path, *, lease: bool = True) -> Sources:
    """What is to be read now; `lease` keeps it there until that is released.

    Args:
        path: The store's folder; it need not be there.
        lease: False where the reader can do with what goes meanwhile.

    Raises:
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    # In this order: what is compacted after the manifest was read is still in its segments.
    manifest = read_manifest(path)
    if manifest is None and list_data_files(path):
        from llmops_sdk.store.duck._rebuild import rebuild_manifest

        manifest = rebuild_manifest(path)
    manifest = manifest or Manifest()
    held = None
    if lease and path.is_dir():
        manifest, held = _leased(path, manifest)
    try:
        # Empty ones are removed at once when their writers are dead, whoever has listed them.
        segments = [one for one in list_segments(path, manifest.covered) if not _is_empty(one.path)]
    except StoreError:
        if held is not None:
            held.release()
        raise
    return Sources(tuple(segments), manifest.files, path, manifest.unreadable, held)


def _leased(path: Path, manifest: Manifest) -> tuple[Manifest, ReaderLease]:
    """A lease, and the manifest that it holds: what was gone before may be removed, a segment without a word."""
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
    raise StoreError(f"{path} changes faster than it can be read: try again", path=str(path))


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except FileNotFoundError:
        return False  # whoever opens it finds out, and looks again
