"""Create a store's folder, and list its segments and Parquet files."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from llmops_sdk._util._private_files import create_file
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import check_folder
from llmops_sdk.store.files._leases import ReaderLease
from llmops_sdk.store.files._manifest import MANIFEST, DataFile, Manifest, encode, read_manifest, refuse_newer
from llmops_sdk.store.files._names import DATA_FILE, SEGMENT
from llmops_sdk.store.schema._views import RECORD_STREAMS, RecordStream

__all__ = ["Segment", "Sources", "create_store", "list_data_files", "list_segments", "unknown_files"]

_TRIES = 16


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of lines; its name ends with its writer's schema version."""

    path: Path
    stream: RecordStream
    version: int

    @property
    def name(self) -> str:
        """Return the path below the store's folder, as in the manifest."""
        return f"{self.stream.segment_folder}/{self.path.name}"


def create_store(path: Path) -> Manifest:
    """Create missing folders and a missing manifest; return the manifest.

    Raises:
        StoreError: The folder cannot be created or written, or a newer version wrote the store.
    """
    check_folder(path, create=True)
    try:
        new = not path.exists()
        for folder in (path, *(path / stream.segment_folder for stream in RECORD_STREAMS.values())):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if new:
            # Keeps prompts and answers out of repositories.
            create_file(path / ".gitignore", b"*\n")
        manifest = read_manifest(path)
        if manifest is None:
            if list_data_files(path):
                # Lost. A reader or compactor rebuilds it; with an empty one the sweep would remove these files.
                return Manifest()
            create_file(path / MANIFEST, encode(Manifest()))
            manifest = read_manifest(path) or Manifest()
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(
            f"the store {path} cannot be created: {error.filename} is a file, not a folder; set [store] path (or "
            "LLMOPS_STORE__PATH) to another folder",
            path=str(path),
        ) from error
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be written: {error.strerror}; free space, make it writable, or set [store] path "
            "(or LLMOPS_STORE__PATH) to another folder",
            path=str(path),
        ) from error
    return manifest


def list_data_files(path: Path) -> list[Path]:
    """Return the Parquet files of the store in its folders, whether or not the manifest names them."""
    found: list[Path] = []
    for stream in RECORD_STREAMS.values():
        try:
            entries = sorted(os.scandir(path / stream.parquet_folder), key=attrgetter("name"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}", path=str(path)) from error
        found += [
            Path(one.path) for one in entries if DATA_FILE.fullmatch(one.name) and one.is_file(follow_symlinks=False)
        ]
    return found


def unknown_files(path: Path, manifest: Manifest) -> list[str]:
    """Return the names of the store's Parquet files that its manifest does not name: in a copy, or after a kill.

    Args:
        path: The store's folder.
        manifest: The manifest.

    Raises:
        StoreError: A file that the manifest names is a link.
    """
    present = [f"{file.parent.name}/{file.name}" for file in list_data_files(path)]
    for file in {file.name for file in manifest.files}.difference(present):
        if (path / file).is_symlink():
            raise StoreError(
                f"{path / file}, a part of the store {path}, is a symbolic link, which may lead elsewhere: remove it",
                path=str(path / file),
            )
    known = {file.name for file in manifest.files} | manifest.trash.keys()
    return [name for name in present if name not in known]


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that hold a store's lines at one moment, each line once."""

    segments: tuple[Segment, ...]
    files: tuple[DataFile, ...]
    folder: Path
    unreadable: int
    """Unreadable lines of segments that compaction removed."""
    lease: ReaderLease | None
    """Keeps the files on disk while they are read."""


def list_segments(path: Path, covered: Collection[str] = frozenset()) -> list[Segment]:
    """Return the segments that the manifest does not cover, sorted by name.

    Args:
        path: The store's folder.
        covered: Names of covered segments, as in "wal/….v1.ndjson".

    Raises:
        StoreError: A newer version wrote one of them.
    """
    found: list[Segment] = []
    for stream in RECORD_STREAMS.values():
        folder = path / stream.segment_folder
        try:
            names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StoreError(f"cannot read {folder}: {error.strerror}", path=str(folder)) from error
        for name in names:
            match = SEGMENT.fullmatch(name)
            if match and f"{stream.segment_folder}/{name}" not in covered:
                refuse_newer(int(match[1]), folder / name)
                found.append(Segment(folder / name, stream, int(match[1])))
    return found
