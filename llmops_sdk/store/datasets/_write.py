"""Save a version of a data set, whole or not at all, and erase items from saved versions."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Generator, Iterable
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import orjson

from llmops_sdk._util._private_files import folder_problem, replace_file
from llmops_sdk.errors import DatasetError, StoreError
from llmops_sdk.store.datasets._versions import (
    ERASED,
    FOLDER,
    StoredVersion,
    dataset_folders,
    read_info,
    read_lines,
    version_files,
    version_of_lines,
)
from llmops_sdk.store.files._folders import refuse_links
from llmops_sdk.store.files._layout import create_store
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import sync_folder

__all__ = ["changing", "describe", "new_file", "remove_half_written", "remove_version", "write_version"]

_WAIT = 60.0
_MAX_DETAIL = 4_000
_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{64}\.jsonl?\.[0-9a-f]{32}")


def write_version(
    store: Path,
    name: str,
    version: str,
    lines: Iterable[bytes],
    *,
    items: int,
    erased: int = 0,
    source: str,
    detail: str | None,
) -> StoredVersion:
    """Save a version; the same version saved again is kept and becomes the latest.

    Args:
        store: The store's folder; it is created if it is missing.
        name: The checked name.
        version: The digest of the items.
        lines: The items, one a line, without line breaks.
        items: Their number.
        erased: The number of items that `prune` erased from them.
        source: Where they come from.
        detail: The name of a file, the SQL, or the version that was split.

    Raises:
        DatasetError: A data set has this name in another case, or `prune` has erased items of this version.
        StoreError: The store cannot be written, or another process is changing it.
    """
    create_store(store)
    with changing(store) as root:
        folder = _own_folder(store, root, name)
        saved = [info for file in version_files(folder, ".json") if (info := read_info(file)) is not None]
        # A clock that was set back must not make an older version the latest.
        now = max(time.time_ns(), *(info.time_ns + 1 for info in saved), 0)
        found = next((info for info in saved if info.version == version), None)
        if found is not None and found.erased > erased:
            raise DatasetError(
                f"{found.erased} items of {name} version {version[:12]} were erased by prune; saving them again would "
                "bring them back: load the version and use what it has",
                name=name,
            )
        if found is not None and _is_intact(found):
            kept = replace(found, time_ns=now)
        else:
            file = folder / f"{version}.jsonl"
            size = new_file(file, chain(lines, repeat(ERASED, erased)))
            kept = StoredVersion(
                name=name,
                version=version,
                time_ns=now,
                items=items,
                erased=erased,
                bytes=size,
                source=source,
                detail=None if detail is None else detail[:_MAX_DETAIL].encode(errors="replace").decode(),
                path=file,
            )
        describe(kept)
    return kept


def remove_version(store: Path, stored: StoredVersion) -> None:
    """Delete a version, and the data set's folder with its last one.

    Args:
        store: The store's folder.
        stored: The version.

    Raises:
        StoreError: The store cannot be written, or another process is changing it.
    """
    with changing(store):
        stored.path.with_suffix(".json").unlink(missing_ok=True)
        stored.path.unlink(missing_ok=True)
        remove_half_written(stored.path.parent)
        with contextlib.suppress(OSError):
            stored.path.parent.rmdir()


@contextlib.contextmanager
def changing(store: Path) -> Generator[Path]:
    """Hold the lock for changing data sets; yield their folder.

    Raises:
        StoreError: The folder cannot be written, or another process holds the lock for too long.
    """
    root = store / FOLDER
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        refuse_links(store, FOLDER)
        with exclusive_lock(root, _WAIT) as acquired:
            if not acquired:
                raise StoreError(f"{root} is being changed by another process: try again later", path=str(root))
            yield root
    except OSError as error:
        raise StoreError(
            f"{root} cannot be written: {error.strerror or error}; free space, or make it writable", path=str(root)
        ) from error


def _own_folder(store: Path, root: Path, name: str) -> Path:
    _refuse_other_case(root, name)
    folder = root / name
    folder.mkdir(mode=0o700, exist_ok=True)
    problem = folder_problem(folder)
    if problem is not None:
        raise StoreError(f"{folder}, a part of the store {store}, {problem}", path=str(folder))
    remove_half_written(folder)
    return folder


def _refuse_other_case(root: Path, name: str) -> None:
    # On file systems that ignore case both would be one folder.
    other = next(
        (one.name for one in dataset_folders(root.parent) if one.name != name and one.name.lower() == name.lower()),
        None,
    )
    if other is not None:
        raise DatasetError(
            f"the store has a data set {other!r}, and names may not differ in case alone: use that name or another",
            name=name,
            nearest=(other,),
        )


def remove_half_written(folder: Path) -> None:
    """Delete what killed processes left: the caller holds the lock, so nobody writes.

    Args:
        folder: A data set's folder.
    """
    known = {file.stem for file in version_files(folder, ".json")}
    for file in version_files(folder, ".jsonl"):
        if file.stem not in known:
            file.unlink(missing_ok=True)
    for name in os.listdir(folder):  # noqa: PTH208 - names alone
        if _HALF_WRITTEN.fullmatch(name):
            (folder / name).unlink(missing_ok=True)


def new_file(file: Path, lines: Iterable[bytes]) -> int:
    """Write a file of lines and put it in the place of an existing one; return its size.

    Args:
        file: The file.
        lines: The lines, without line breaks.
    """
    temporary = file.with_name(f".{file.name}.{os.urandom(16).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=1024**2) as out:
            for line in lines:
                out.write(line)
                out.write(b"\n")
            out.flush()
            os.fsync(descriptor)
            size = os.fstat(descriptor).st_size
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return size


def describe(stored: StoredVersion) -> None:
    """Write the description of a version, after its items.

    Args:
        stored: The version.
    """
    content = {
        "time_ns": stored.time_ns,
        "items": stored.items,
        "erased": stored.erased,
        "bytes": stored.bytes,
        "source": stored.source,
        "detail": stored.detail,
    }
    replace_file(stored.path.with_suffix(".json"), orjson.dumps(content), fsync=True)
    sync_folder(stored.path.parent)


def _is_intact(stored: StoredVersion) -> bool:
    try:
        if stored.path.stat(follow_symlinks=False).st_size != stored.bytes:
            return False
        return bool(stored.erased) or version_of_lines(read_lines(stored.path)) == stored.version
    except (FileNotFoundError, StoreError):
        return False  # it is written again
