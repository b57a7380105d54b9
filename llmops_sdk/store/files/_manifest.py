"""A store's manifest: the files to read and the files that are retired.

The holder of `compact.lock` replaces it as a whole and increments its generation. A reader reads it first and lists the
segments afterwards. Lines of covered segments are in the files that it names, so each span is read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from llmops_sdk._util._private_files import replace_file
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import read_file
from llmops_sdk.store.files._names import data_file_name, finite, segment_name, whole_number
from llmops_sdk.store.schema._views import RECORD_STREAMS, SCHEMA_VERSION

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
"""A small database of views over the files that the manifest names."""
EMPTY_SEGMENT = "none.ndjson"
"""Lets those views find a file when there are no segments: DuckDB refuses a pattern without matches."""
_MAX_BYTES = 256 * 1024**2
_MAX_GENERATION = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A Parquet file of compacted lines."""

    name: str
    """The path below the store's folder."""
    stream: str
    version: int
    """The schema version of its writer."""
    level: int
    """The number of merges behind its rows: 0 for rows straight from segments."""
    rows: int
    bytes: int
    written: float
    """The time of its latest line, in seconds since the epoch."""
    thinned: bool = False
    """Whether old traces in it have been sampled."""


@dataclass(frozen=True, slots=True)
class RetiredFile:
    """A file that readers stop reading at this generation; the sweep removes it when no reader is older."""

    generation: int
    time: float


def _no_files() -> Mapping[str, RetiredFile]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of a store's MANIFEST.json."""

    schema_version: int = SCHEMA_VERSION
    generation: int = 0
    files: tuple[DataFile, ...] = ()
    covered: Mapping[str, RetiredFile] = field(default_factory=_no_files)
    """Segments whose lines are in `files`."""
    trash: Mapping[str, RetiredFile] = field(default_factory=_no_files)
    """Parquet files that were merged into others or dropped."""
    unreadable: int = 0
    """Lines of segments that compaction could not read."""
    taken_bytes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Bytes of lines that compaction has ever taken from segments, by stream; older versions do not write it."""

    @property
    def bytes(self) -> int:
        """Return the size of its files."""
        return sum(file.bytes for file in self.files)

    def next(
        self,
        *,
        time: float,
        add: Sequence[DataFile] = (),
        remove: Sequence[DataFile] = (),
        cover: Sequence[str] = (),
        unreadable: int = 0,
        taken: tuple[str, int] | None = None,
    ) -> Manifest:
        """Return the manifest after a change.

        Args:
            time: Now, in seconds since the epoch.
            add: New files to read.
            remove: Files to retire.
            cover: Names of segments to retire.
            unreadable: Unreadable lines of these segments.
            taken: The stream of these segments and the bytes of their lines, without seals.
        """
        gone = RetiredFile(self.generation + 1, time)
        left = {file.name for file in remove}
        return replace(
            self,
            # An older SDK must refuse the store: it would drop the new columns of a file that it rewrites.
            schema_version=max([self.schema_version, *(file.version for file in add)]),
            generation=gone.generation,
            files=(*(file for file in self.files if file.name not in left), *add),
            covered={**self.covered, **dict.fromkeys(cover, gone)},
            trash={**self.trash, **dict.fromkeys(left, gone)},
            unreadable=self.unreadable + unreadable,
            taken_bytes=self.taken_bytes if taken is None else _added(self.taken_bytes, *taken),
        )

    def without(self, removed: frozenset[str]) -> Manifest:
        """Return the manifest after retired files have been deleted."""
        return replace(
            self,
            generation=self.generation + 1,
            covered={name: gone for name, gone in self.covered.items() if name not in removed},
            trash={name: gone for name, gone in self.trash.items() if name not in removed},
        )


def _added(sizes: Mapping[str, int], stream: str, size: int) -> Mapping[str, int]:
    return {**sizes, stream: sizes.get(stream, 0) + size}


def refuse_newer(version: int, path: Path) -> None:
    """Raise StoreError for a file of a newer SDK, which this one would misread."""
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by llmops-sdk with store schema {version}; this one reads up to {SCHEMA_VERSION}: "
            f'upgrade (pip install --upgrade "llmops-sdk"), or set LLMOPS_STORE__PATH to another folder',
            path=str(path),
        )


def read_manifest(path: Path) -> Manifest | None:
    """Return the store's manifest, or None when there is none.

    Args:
        path: The store's folder.

    Raises:
        StoreError: It cannot be read, or a newer version wrote it.
    """
    file = path / MANIFEST
    try:
        content: Any = orjson.loads(read_file(file, _MAX_BYTES))
        # Before the rest, of which a newer version may have made something else.
        refuse_newer(whole_number(content["schema_version"]), path)
        manifest = _decoded(content)
        refuse_newer(max((file.version for file in manifest.files), default=0), path)
        return manifest
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror}", path=str(file)) from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise StoreError(
            f"{file} is damaged ({error}): move it away; the store makes a new one, and the spans are in the files "
            "beside it",
            path=str(file),
        ) from error


def _decoded(content: Mapping[str, Any]) -> Manifest:
    return Manifest(
        schema_version=whole_number(content["schema_version"]),
        generation=whole_number(content.get("generation", 0), most=_MAX_GENERATION),
        files=tuple(_data_file(file) for file in content.get("files", ())),
        covered=_gone(content.get("covered", {}), segment_name),
        trash=_gone(content.get("trash", {}), data_file_name),
        unreadable=whole_number(content.get("unreadable", 0)),
        taken_bytes={str(stream): whole_number(size) for stream, size in content.get("taken_bytes", {}).items()},
    )


def _data_file(fields: Any) -> DataFile:
    file = DataFile(**fields)
    name = data_file_name(file.name)
    stream = RECORD_STREAMS.get(file.stream)
    if stream is None or not name.startswith(f"{stream.parquet_folder}/"):
        raise ValueError(f"{name} is not a file of {file.stream!r}")
    if not isinstance(fields.get("thinned", False), bool):
        raise TypeError("thinned is neither true nor false")
    for number in (file.version, file.level, file.rows, file.bytes):
        whole_number(number)
    finite(file.written)
    return file


def _gone(files: Any, checked: Callable[[object], str]) -> Mapping[str, RetiredFile]:
    # An empty list in the first stores' manifests.
    return {checked(name): RetiredFile(whole_number(entry[0]), finite(entry[1])) for name, entry in dict(files).items()}


def encode(manifest: Manifest) -> bytes:
    """Return the content of the manifest's file."""
    content = {
        "schema_version": manifest.schema_version,
        "generation": manifest.generation,
        "files": [asdict(file) for file in manifest.files],
        "covered": {name: (gone.generation, gone.time) for name, gone in manifest.covered.items()},
        "trash": {name: (gone.generation, gone.time) for name, gone in manifest.trash.items()},
        "unreadable": manifest.unreadable,
        "taken_bytes": dict(manifest.taken_bytes),
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def commit(path: Path, manifest: Manifest) -> Manifest:
    """Replace the manifest on disk; return it. The caller must hold the store's lock.

    Args:
        path: The store's folder.
        manifest: The new manifest. The files that it names are already on disk.
    """
    replace_file(path / MANIFEST, encode(manifest), fsync=True)
    sync_folder(path)
    return manifest


def views_are_old(path: Path) -> bool:
    """Return whether the views are older than the manifest, after a kill or after retention.

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
