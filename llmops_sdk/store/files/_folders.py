"""Check a store's folder before use; open and remove files in it without following links."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
from pathlib import Path

from llmops_sdk._util._private_files import folder_problem
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._names import BLOB, DATA_FILE, SEGMENT, known_name
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = [
    "OUTBOX_FOLDER",
    "check_folder",
    "open_file",
    "read_file",
    "refuse_links",
    "remove_file",
]

OUTBOX_FOLDER = "outbox"
_MANIFEST = "MANIFEST.json"
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_STREAM_FOLDERS = {stream.segment_folder for stream in RECORD_STREAMS.values()} | {
    stream.parquet_folder for stream in RECORD_STREAMS.values()
}
_LINES = rf"\.?{DATA_FILE.pattern}|{SEGMENT.pattern}|none\.ndjson|\.none\.ndjson\.[0-9a-f]{{32}}"
_CONTENT: dict[str, re.Pattern[str]] = {
    **dict.fromkeys(_STREAM_FOLDERS, re.compile(_LINES)),
    "blobs": re.compile(rf"{BLOB.pattern}|\.{BLOB.pattern}\.[0-9a-f]{{32}}"),
    "readers": re.compile(r"[0-9]+-[0-9a-f]{32}"),
    "import": re.compile(r"[0-9a-f]{32}"),
    "tmp": re.compile(r"[0-9]+-[0-9a-f]{32}"),
    "damaged": re.compile(DATA_FILE.pattern),
    OUTBOX_FOLDER: re.compile(r".+"),
    "datasets": re.compile(r"compact\.lock|-|[A-Za-z0-9][A-Za-z0-9._-]{0,99}"),
    "cache": re.compile(r".+"),
    "monitoring": re.compile(r".+"),
    "metrics": re.compile(r"counters\.json|\.counters\.json\.[0-9a-f]{32}"),
    "notify": re.compile(r".+"),
    "ui": re.compile(r"filters\.json|\.filters\.json\.[0-9a-f]{32}"),
}
"""The names in each folder of a store."""
_DATASET_FILE = re.compile(r"[0-9a-f]{64}\.jsonl?|none\.jsonl?|\.[0-9a-z]+\.jsonl?\.[0-9a-f]{32}")
"""The names in the folder of a data set: of a user's own folder `datasets` nothing may be taken for the store's."""
_FILES = re.compile(
    r"MANIFEST\.json|PRUNE\.json|traces\.duckdb|compact\.lock|import\.lock|\.gitignore"
    r"|\.(MANIFEST\.json|PRUNE\.json|traces\.duckdb|\.gitignore)\.[0-9a-f]{32}.*"
)
_PLACEHOLDERS = frozenset({".gitkeep", ".DS_Store", "lost+found"})
"""What other programs put into an empty folder."""
_LINK_FREE = (_MANIFEST, "PRUNE.json", "compact.lock", "import.lock", "online.lock", "watch.lock", *_CONTENT)


def check_folder(store: Path, *, create: bool = False) -> bool:
    """Return whether a folder is a store or can become one; False when it is missing.

    An existing folder must be this user's own, and empty or a store: the store removes old files, and must not touch
    the files of others.

    Args:
        store: The store's folder.
        create: Whether to make an empty folder of this user's private.

    Raises:
        StoreError: It is a link, another user can change it, or it holds other files.
    """
    problem = folder_problem(store)
    try:
        entries = _listed(store)
        if problem is not None and not entries and _is_mine(store):
            problem = None  # nothing in it is planted
            if create:
                store.chmod(0o700)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(f"cannot read {store}: {error.strerror}", path=str(store)) from error
    if problem is not None:
        raise StoreError(
            f"the store {store} {problem}; set [store] path (or LLMOPS_STORE__PATH) to change the folder",
            path=str(store),
        )
    for name in _LINK_FREE:
        if name in entries:
            refuse_links(store, name)
    foreign = None if _MANIFEST in entries or _has_records(store) else _foreign_file(store, entries)
    if foreign is not None:
        raise StoreError(
            f"{store} is not a store: it holds {foreign}. A store removes old files from its folder, so it needs a "
            "folder of its own: set [store] path (or LLMOPS_STORE__PATH) to a new or empty one",
            path=str(store),
        )
    return True


def _is_mine(store: Path) -> bool:
    state = store.lstat()
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid()


def refuse_links(store: Path, name: str) -> None:
    """Raise when a part of a store is a link, or another user can change it.

    Args:
        store: The store's folder.
        name: The part.

    Raises:
        StoreError: It is so.
    """
    problem = folder_problem(store / name)
    if problem is not None:
        raise StoreError(f"{store / name}, a part of the store {store}, {problem}", path=str(store / name))


def _has_records(store: Path) -> bool:
    """Return whether a folder holds segments or Parquet files: a store that has lost its manifest."""
    form = re.compile(f"{DATA_FILE.pattern}|{SEGMENT.pattern}")
    for folder in _STREAM_FOLDERS:
        with contextlib.suppress(OSError):
            if any(form.fullmatch(name) for name in _listed(store / folder)):
                return True
    return False


def _listed(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def _foreign_file(store: Path, entries: set[str]) -> str | None:
    """Return the name of a file that no store has, or None."""
    for entry in sorted(entries - _PLACEHOLDERS):
        content = _CONTENT.get(entry)
        if content is None:
            if not _FILES.fullmatch(entry):
                return entry
            continue
        try:
            inside = sorted(_listed(store / entry))
        except OSError:
            return entry
        for name in inside:
            if name not in _PLACEHOLDERS and not (
                content.fullmatch(name) and (entry != "datasets" or _is_dataset(store / entry / name))
            ):
                return f"{entry}/{name}"
    return None


def _is_dataset(folder: Path) -> bool:
    if folder.name == "compact.lock":
        return True
    try:
        return all(name in _PLACEHOLDERS or _DATASET_FILE.fullmatch(name) for name in _listed(folder))
    except OSError:
        return False


def open_file(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a regular file, and never a link; return its descriptor.

    Args:
        path: The file.
        flags: The flags of `os.open`.
        mode: The mode of a new file.

    Raises:
        OSError: It is a link or no regular file, or cannot be opened.
    """
    descriptor = os.open(path, flags | _NO_LINKS, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def read_file(path: Path, most: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file.
        most: The largest size in bytes.

    Raises:
        OSError: It is a link or no regular file, is too large, or cannot be read.
    """
    # A last span may need this while the interpreter ends: `os.fdopen` imports, and the name `open` may be gone.
    with io.BufferedReader(io.FileIO(open_file(path, os.O_RDONLY))) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return content


def remove_file(store: Path, name: str) -> None:
    """Remove a segment or a Parquet file of the store; do nothing when it is gone.

    Args:
        store: The store's folder.
        name: Its name, as in "wal/host-1-0f…-1.v2.ndjson".

    Raises:
        ValueError: It is not the name of such a file.
        OSError: It cannot be removed, or its folder is a link.
    """
    folder, _, file = known_name(name).partition("/")
    try:
        descriptor = os.open(store / folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINKS)
    except FileNotFoundError:
        return
    try:
        os.unlink(file, dir_fd=descriptor)
    except FileNotFoundError:
        return
    finally:
        os.close(descriptor)
