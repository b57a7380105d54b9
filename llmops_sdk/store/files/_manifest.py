"""A store's manifest: which files are read, which are not any more, and how it changes.

It is replaced as a whole, by whoever holds `compact.lock`, and its generation grows by one each time. A reader reads it
first and lists the segments afterwards: what it covers is in a file that it names, so that each span is read once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from llmops_sdk.errors import StoreError
from llmops_sdk.store.schema._views import SCHEMA_VERSION

__all__ = [
    "EMPTY_SEGMENT",
    "MANIFEST",
    "VIEWS_FILE",
    "DataFile",
    "Manifest",
    "RetiredFile",
    "commit",
    "encode",
    "read_manifest",
    "refuse_newer",
    "sync_folder",
    "views_are_old",
]

MANIFEST = "MANIFEST.json"
VIEWS_FILE = "traces.duckdb"
"""The small database of views over the files that the manifest names."""
EMPTY_SEGMENT = "none.ndjson"
"""So that those views find a file where no segment is, since DuckDB refuses a pattern that finds none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A Parquet file of lines that were in segments."""

    name: str
    """Its path below the store's folder."""
    stream: str
    version: int
    """The version of the schema that it was written with."""
    level: int
    """How often its rows have been put together with others': 0 for those that come from segments."""
    rows: int
    bytes: int
    written: float
    """When the latest of its lines was written, in seconds since the epoch."""
    thinned: bool = False
    """Whether only a share of its traces is left."""


@dataclass(frozen=True, slots=True)
class RetiredFile:
    """A file that is read no more from this generation on; it is removed when no reader is older."""

    generation: int
    time: float


def _no_files() -> Mapping[str, RetiredFile]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a store says of itself."""

    schema_version: int = SCHEMA_VERSION
    generation: int = 0
    files: tuple[DataFile, ...] = ()
    covered: Mapping[str, RetiredFile] = field(default_factory=_no_files)
    """Segments whose lines are in `files`."""
    trash: Mapping[str, RetiredFile] = field(default_factory=_no_files)
    """Parquet files whose rows are in another, or were dropped."""
    unreadable: int = 0
    """How many lines of segments could not be read when they were compacted."""

    def next(
        self,
        *,
        time: float,
        add: Sequence[DataFile] = (),
        remove: Sequence[DataFile] = (),
        cover: Sequence[str] = (),
        unreadable: int = 0,
    ) -> Manifest:
        """The manifest after a change.

        Args:
            time: Now, in seconds since the epoch.
            add: Files that are read from now on.
            remove: Files that are not.
            cover: Names of segments that are not.
            unreadable: Lines of those that could not be read.
        """
        gone = RetiredFile(self.generation + 1, time)
        left = {file.name for file in remove}
        return replace(
            self,
            generation=gone.generation,
            files=(*(file for file in self.files if file.name not in left), *add),
            covered={**self.covered, **dict.fromkeys(cover, gone)},
            trash={**self.trash, **dict.fromkeys(left, gone)},
            unreadable=self.unreadable + unreadable,
        )

    def without(self, removed: frozenset[str]) -> Manifest:
        """The manifest when files that it said to be gone have been removed."""
        return replace(
            self,
            generation=self.generation + 1,
            covered={name: gone for name, gone in self.covered.items() if name not in removed},
            trash={name: gone for name, gone in self.trash.items() if name not in removed},
        )


def refuse_newer(version: int, path: Path) -> None:
    """Raise StoreError where a newer version of the SDK wrote what this one would misread."""
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by llmops-sdk with store schema {version}; this one reads up to {SCHEMA_VERSION}: "
            f'upgrade (pip install --upgrade "llmops-sdk"), or set LLMOPS_STORE__PATH to another folder',
            path=str(path),
        )


def read_manifest(path: Path) -> Manifest | None:
    """The store's manifest, or None where there is none.

    Args:
        path: The store's folder.

    Raises:
        StoreError: It cannot be read, or a newer version wrote it.
    """
    file = path / MANIFEST
    try:
        content: Any = orjson.loads(file.read_bytes())
        # Before the rest, of which a newer version may have made something else.
        refuse_newer(int(content["schema_version"]), path)
        return _decoded(content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror}", path=str(file)) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{file} is damaged ({error}): move it away; the store makes a new one, and the spans are in the files "
            "beside it",
            path=str(file),
        ) from error


def _decoded(content: Mapping[str, Any]) -> Manifest:
    return Manifest(
        schema_version=int(content["schema_version"]),
        generation=int(content.get("generation", 0)),
        files=tuple(DataFile(**file) for file in content.get("files", ())),
        covered=_gone(content.get("covered", {})),
        trash=_gone(content.get("trash", {})),
        unreadable=int(content.get("unreadable", 0)),
    )


def _gone(files: Any) -> Mapping[str, RetiredFile]:
    # An empty list in the first stores' manifests.
    return {str(name): RetiredFile(int(entry[0]), float(entry[1])) for name, entry in dict(files).items()}


def encode(manifest: Manifest) -> bytes:
    """The manifest's file."""
    content = {
        "schema_version": manifest.schema_version,
        "generation": manifest.generation,
        "files": [asdict(file) for file in manifest.files],
        "covered": {name: (gone.generation, gone.time) for name, gone in manifest.covered.items()},
        "trash": {name: (gone.generation, gone.time) for name, gone in manifest.trash.items()},
        "unreadable": manifest.unreadable,
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def commit(path: Path, manifest: Manifest) -> Manifest:
    """Put the manifest in the place of the one before it, on the disk; for who holds the store's lock.

    Args:
        path: The store's folder.
        manifest: The new one. What it names is on the disk already.
    """
    temporary = path / f".{MANIFEST}.{uuid4().hex}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(encode(manifest))
            out.flush()
            os.fsync(descriptor)
        temporary.replace(path / MANIFEST)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path)
    return manifest


def views_are_old(path: Path) -> bool:
    """Whether the manifest has changed since the views were made: their maker was killed, or retention dropped files.

    Args:
        path: The store's folder.
    """
    try:
        return (path / VIEWS_FILE).stat().st_mtime_ns < (path / MANIFEST).stat().st_mtime_ns
    except FileNotFoundError:
        return False


def sync_folder(path: Path) -> None:
    """Force a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
