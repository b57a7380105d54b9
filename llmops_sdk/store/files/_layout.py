"""Where things lie in a store: the folder, its segments, and what a reader reads."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._leases import ReaderLease
from llmops_sdk.store.files._manifest import MANIFEST, DataFile, Manifest, encode, read_manifest, refuse_newer
from llmops_sdk.store.schema._views import RECORD_STREAMS, RecordStream

__all__ = ["Segment", "Sources", "create_file", "create_store", "list_data_files", "list_segments"]

_TRIES = 16
_SEGMENT = re.compile(r"^.+\.v(\d+)\.ndjson$")


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of lines; its name ends with the version of the schema that its writer knew."""

    path: Path
    stream: RecordStream
    version: int

    @property
    def name(self) -> str:
        """As the manifest names it: its path below the store's folder."""
        return f"{self.stream.segment_folder}/{self.path.name}"


def create_store(path: Path) -> Manifest:
    """Make the folders and the manifest where they are missing; the manifest.

    Raises:
        StoreError: The folder cannot be made or written, or a newer version wrote the store.
    """
    try:
        new = not path.exists()
        for folder in (path, *(path / stream.segment_folder for stream in RECORD_STREAMS.values())):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if new:
            # Prompts and answers do not belong into a repository.
            create_file(path / ".gitignore", b"*\n")
        manifest = read_manifest(path)
        if manifest is None:
            if list_data_files(path):
                # Lost. Whoever reads or compacts makes it again; an empty one would leave these files to be swept.
                return Manifest()
            create_file(path / MANIFEST, encode(Manifest()))
            manifest = read_manifest(path) or Manifest()
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(
            f"the store {path} cannot be made: {error.filename} is a file, not a folder; set [store] path (or "
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
    """The Parquet files in a store's folders, those that its manifest does not name included."""
    return [
        file
        for stream in RECORD_STREAMS.values()
        for file in sorted((path / stream.parquet_folder).glob("[!.]*.parquet"))
    ]


def create_file(file: Path, content: bytes, *, fsync: bool = False) -> None:
    """Write a file whole or not at all, for its owner alone; one that is there already stays."""
    temporary = file.with_name(f".{file.name}.{uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            if fsync:
                out.flush()
                os.fsync(descriptor)
        os.link(temporary, file)
    except FileExistsError:
        return
    finally:
        temporary.unlink()


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that hold a store's lines at one moment, each line once."""

    segments: tuple[Segment, ...]
    files: tuple[DataFile, ...]
    folder: Path
    unreadable: int
    """How many lines of segments that are gone could not be read."""
    lease: ReaderLease | None
    """Held as long as the files are read."""


def list_segments(path: Path, covered: Collection[str] = frozenset()) -> list[Segment]:
    """Every segment of the store that the manifest does not cover, by name.

    Args:
        path: The store's folder.
        covered: Names, as in "wal/….v1.ndjson".

    Raises:
        StoreError: A newer version wrote one of them.
    """
    found: list[Segment] = []
    for stream in RECORD_STREAMS.values():
        folder = path / stream.segment_folder
        try:
            names = sorted(file.name for file in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StoreError(f"cannot read {folder}: {error.strerror}", path=str(folder)) from error
        for name in names:
            match = _SEGMENT.match(name)
            if match and f"{stream.segment_folder}/{name}" not in covered:
                refuse_newer(int(match[1]), folder / name)
                found.append(Segment(folder / name, stream, int(match[1])))
    return found
