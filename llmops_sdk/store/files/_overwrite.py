"""Remove lines from segments in place, by overwriting them.

No byte moves, so a writer keeps appending and a cursor keeps its offset. The outbox, which has the file under another
name, sees the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from llmops_sdk.store.files._folders import OUTBOX_FOLDER, open_file
from llmops_sdk.store.files._names import SEGMENT
from llmops_sdk.store.files._segment import is_released
from llmops_sdk.store.schema._views import RECORD_STREAMS, SEAL

__all__ = ["PRUNED", "TORN", "Overwritten", "all_segments", "overwrite_lines"]

PRUNED = b'{"pruned":1,"' + SEAL.name.encode() + b'":0}'
"""The beginning of an overwritten line: JSON with a seal's key, so that it does not count as unreadable. A real seal
begins with that key."""
TORN = "torn"
"""The kind of an unreadable line."""


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
    for name in (OUTBOX_FOLDER, "import"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in sorted(os.scandir(store / name), key=attrgetter("name")):
                if entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)
                    yield from (Path(entry.path) / stream.segment_folder for stream in RECORD_STREAMS.values())


class Overwritten(NamedTuple):
    """The outcome for one file."""

    kinds: Counter[str]
    """The number of overwritten lines by kind."""
    waiting: int
    """Unreadable lines that match and that a living writer may not have finished."""


def overwrite_lines(path: Path, kind_of: Callable[[bytes], str | None]) -> Overwritten:
    """Overwrite matching lines of a file and force them to disk.

    A writer may append meanwhile. A line without its end is then being written, also if it could be read as JSON: it is
    left alone, and so is what follows. An unreadable line is overwritten only in a file that its writer has let go.

    Args:
        path: The file.
        kind_of: Returns the kind of a line to overwrite, `TORN` for an unreadable one, or None for a line to keep. The
            line is given without its line break.
    """
    done = Overwritten(Counter(), 0)
    try:
        descriptor = open_file(path, os.O_RDWR)
    except FileNotFoundError:
        return done
    offset = waiting = 0
    with os.fdopen(descriptor, "r+b", buffering=1024**2) as file:
        # Before the first read: a writer that ends during the loop may have written since.
        released = is_released(descriptor)
        for line in file:
            content = line.removesuffix(b"\n")
            if len(content) == len(line) and not released:
                break
            kind = kind_of(content) if content and not content.startswith(PRUNED) else None
            if kind == TORN and not released:
                waiting += 1
            elif kind is not None:
                os.pwrite(descriptor, PRUNED.ljust(len(content))[: len(content)], offset)
                done.kinds[kind] += 1
            offset += len(line)
        if done.kinds:
            os.fsync(descriptor)
    return done._replace(waiting=waiting)
