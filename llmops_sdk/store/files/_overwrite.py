"""Remove lines from segments in place, by overwriting them.

No byte moves, so a writer keeps appending and a cursor keeps its offset. The outbox, which has the file under another
name, sees the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from llmops_sdk.store.schema._views import SEAL

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
    for path in sorted(store.rglob("*.ndjson")):
        try:
            state = path.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if (state.st_dev, state.st_ino) not in seen and path.is_file():
            seen.add((state.st_dev, state.st_ino))
            yield path


def overwrite_lines(path: Path, matches: Callable[[bytes], bool]) -> int:
    """Overwrite matching lines of a file and force them to disk; return their number.

    Args:
        path: The file; a writer may append to it in the meantime.
        matches: Returns whether to overwrite a line, given without its line break.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
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
