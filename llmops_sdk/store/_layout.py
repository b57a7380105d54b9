"""Where things lie in a store: the folder, its manifest, its segments."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from llmops_sdk.errors import StoreError
from llmops_sdk.store.schema import SCHEMA_VERSION, STREAMS, Stream

__all__ = [
    "MANIFEST",
    "Manifest",
    "Segment",
    "create_store",
    "put_file",
    "read_manifest",
    "refuse_newer",
    "segments_of",
]

MANIFEST = "MANIFEST.json"
_SEGMENT = re.compile(r"^.+\.v(\d+)\.ndjson$")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a store says of itself. Read before the list of segments: what it covers is no longer read from them."""

    schema_version: int
    files: tuple[str, ...] = ()
    covered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of lines; its name ends with the version of the schema that its writer knew."""

    path: Path
    stream: Stream
    version: int


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

    Raises:
        StoreError: It cannot be read, or a newer version wrote it.
    """
    file = path / MANIFEST
    try:
        content: Any = orjson.loads(file.read_bytes())
        manifest = Manifest(
            int(content["schema_version"]), tuple(content.get("files", ())), frozenset(content.get("covered", ()))
        )
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
    refuse_newer(manifest.schema_version, path)
    if manifest.files:
        raise StoreError(f"{path} has compacted files, which this version does not read: upgrade", path=str(path))
    return manifest


def create_store(path: Path) -> Manifest:
    """Make the folders and the manifest where they are missing; the manifest.

    Raises:
        StoreError: The folder cannot be made or written, or a newer version wrote the store.
    """
    try:
        new = not path.exists()
        for folder in (path, *(path / stream.folder for stream in STREAMS)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if new:
            # Prompts and answers do not belong into a repository.
            put_file(path / ".gitignore", b"*\n")
        manifest = read_manifest(path)
        if manifest is None:
            empty: dict[str, object] = {"schema_version": SCHEMA_VERSION, "files": [], "covered": []}
            put_file(path / MANIFEST, orjson.dumps(empty, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            manifest = read_manifest(path) or Manifest(SCHEMA_VERSION)
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


def put_file(file: Path, content: bytes, *, fsync: bool = False) -> None:
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


def segments_of(path: Path, covered: frozenset[str] = frozenset()) -> list[Segment]:
    """Every segment of the store that the manifest does not cover, by name.

    Raises:
        StoreError: A newer version wrote one of them.
    """
    found: list[Segment] = []
    for stream in STREAMS:
        folder = path / stream.folder
        try:
            names = sorted(file.name for file in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StoreError(f"cannot read {folder}: {error.strerror}", path=str(folder)) from error
        for name in names:
            match = _SEGMENT.match(name)
            if match and f"{stream.folder}/{name}" not in covered:
                refuse_newer(int(match[1]), folder / name)
                found.append(Segment(folder / name, stream, int(match[1])))
    return found
