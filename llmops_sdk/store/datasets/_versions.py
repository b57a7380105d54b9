"""List and read the stored versions of data sets.

`datasets/NAME/VERSION.jsonl` has the items, one a line. `VERSION.json` beside it describes them and is written last, so
a version exists when it does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.store.datasets._names import VERSION, is_name
from llmops_sdk.store.files._folders import check_folder, open_file, read_file
from llmops_sdk.store.files._names import whole_number

__all__ = [
    "ERASED",
    "FOLDER",
    "MAX_LINE",
    "StoredVersion",
    "dataset_folders",
    "list_versions",
    "read_info",
    "read_lines",
    "version_files",
    "version_of_digests",
    "version_of_lines",
]

FOLDER = "datasets"
MAX_LINE = 8 * 1024 * 1024 + 64 * 1024
"""The longest line that is read: the largest item, and its keys."""
ERASED = b'{"erased":true}'
"""The line in the place of an erased item."""
_MAX_INFO = 64 * 1024


@public("llmops_sdk.datasets")
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """A saved version of a data set.

    Attributes:
        name: The data set's name.
        version: The digest of its items, 64 hex digits.
        time_ns: When it was last saved, in nanoseconds since the epoch.
        items: The number of items that it has.
        erased: The number of items that `prune` erased from it.
        bytes: The size of its file.
        source: Where the items come from: rows, file, query or split.
        detail: The name of the file, the SQL, or the version that was split; None where there is none.
        path: The file with the items.
    """

    name: str
    version: str
    time_ns: int
    items: int
    erased: int
    bytes: int
    source: str
    detail: str | None
    path: Path


def list_versions(store: Path, name: str | None = None) -> list[StoredVersion]:
    """Return the saved versions, by name and then the oldest first.

    Args:
        store: The store's folder; it need not exist.
        name: The data set; None for all.

    Raises:
        StoreError: The store cannot be read.
    """
    if not check_folder(store):
        return []
    found: list[StoredVersion] = []
    for folder in dataset_folders(store):
        if name in {None, folder.name}:
            infos = (read_info(file) for file in version_files(folder, ".json"))
            found += [info for info in infos if info is not None and info.path.is_file()]
    return sorted(found, key=lambda one: (one.name, one.time_ns, one.version))


def dataset_folders(store: Path) -> list[Path]:
    """Return the folders of the data sets; links and foreign names are left out.

    Args:
        store: The store's folder.
    """
    return [
        Path(entry.path)
        for entry in _entries(store / FOLDER)
        if is_name(entry.name) and entry.is_dir(follow_symlinks=False)
    ]


def version_files(folder: Path, suffix: str) -> list[Path]:
    """Return the files of the versions in a data set's folder; links and foreign names are left out.

    Args:
        folder: The data set's folder.
        suffix: ".jsonl" for the items, ".json" for the descriptions.
    """
    return [
        Path(entry.path)
        for entry in _entries(folder)
        if entry.name.endswith(suffix)
        and VERSION.fullmatch(entry.name.removesuffix(suffix))
        and entry.is_file(follow_symlinks=False)
    ]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"cannot read {folder}: {error.strerror}", path=str(folder)) from error


def read_info(file: Path) -> StoredVersion | None:
    """Return what a description says; None for a missing or damaged one.

    Args:
        file: The file `VERSION.json`.
    """
    try:
        content: Any = orjson.loads(read_file(file, _MAX_INFO))
        source, detail = content["source"], content["detail"]
        if not isinstance(source, str) or not isinstance(detail, (str, type(None))):
            return None
        return StoredVersion(
            name=file.parent.name,
            version=file.name.removesuffix(".json"),
            time_ns=whole_number(content["time_ns"]),
            items=whole_number(content["items"]),
            erased=whole_number(content["erased"]),
            bytes=whole_number(content["bytes"]),
            source=source,
            detail=detail,
            path=file.with_suffix(".jsonl"),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def version_of_lines(lines: Iterable[bytes]) -> str:
    """Return the version of items, in whatever order: the SHA-256 of the sorted SHA-256 of their lines, in hex.

    Args:
        lines: The items' lines, without line breaks.
    """
    return version_of_digests([hashlib.sha256(line).digest() for line in lines])


def version_of_digests(digests: list[bytes]) -> str:
    """Return the version of items by the SHA-256 of each line.

    Args:
        digests: The digests, in any order.
    """
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def read_lines(file: Path) -> Iterator[bytes]:
    """Yield the lines of a file of items, without their line breaks.

    Args:
        file: The file.

    Raises:
        StoreError: It cannot be read, or has a line that is too long.
    """
    try:
        with os.fdopen(open_file(file, os.O_RDONLY), "rb", buffering=1024**2) as lines:
            while line := lines.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    raise StoreError(f"{file} is damaged: a line has more than {MAX_LINE:,} bytes", path=str(file))
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror or error}", path=str(file)) from error
