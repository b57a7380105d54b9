"""Remove lines from segments in place, by overwriting them.

No byte moves, so a writer keeps appending and a cursor keeps its offset. The outbox, which has the file under another
name, sees the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path

from llmops_sdk.store.files._folders import open_file
from llmops_sdk.store.files._names import SEGMENT
from llmops_sdk.store.schema._views import RECORD_STREAMS, SEAL

__all__ = ["PRUNED", "all_segments", "overwrite_lines"]

PRUNED = b'{"pruned":1,"' + SEAL.name.encode() + b'":0}'
"""The beginning of an overwritten line: JSON with a seal's key, so that it does not count as unreadable. A real seal
begins with that key."""


def all_segments(store: Path) -> Iterator[Path]:
    """Yield every file of lines below the store's folder; hard links to one file count once.

    Args:
        store: The store's folder.
    """
    seen: set[tuple[int, int]] = set()
    for folder in segment_folders(store):
        try:
            names = sorted(entry.name for entry in os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            path = folder / name
            try:
                state = path.lstat()
            except FileNotFoundError:
                continue
            if SEGMENT.fullmatch(name) and stat.S_ISREG(state.st_mode) and (state.st_dev, state.st_ino) not in seen:
                seen.add((state.st_dev, state.st_ino))
                yield path


def segment_folders(store: Path) -> Iterator[Path]:
    """Yield every folder below the store's that can hold files of lines; links are left out.

    Args:
        store: The store's folder.
    """
    yield from (store / stream.segment_folder for stream in RECORD_STREAMS.values())
    for name in ("outbox", "import"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in sorted(os.scandir(store / name), key=attrgetter("name")):
                if entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)


def overwrite_lines(path: Path, matches: Callable[[bytes], bool]) -> int:
    """Overwrite matching lines of a file and force them to disk; return their number.

    Args:
        path: The file; a writer may append to it in the meantime.
        matches: Returns whether to overwrite a line, given without its line break.
    """
    try:
        descriptor = open_file(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    count = offset = 0
    with os.fdopen(descriptor, "r+b", buffering=1024**2) as file:
        for line in file:
            content = line.rstrip(b"\n")
            if content and not content.startswith(PRUNED) and matches(content):
                os.pwrite(descriptor, PRUNED.ljust(len(content))[: len(content)], offset)
                count += 1
            offset += len(line)
        if count:
            os.fsync(descriptor)
    return count
