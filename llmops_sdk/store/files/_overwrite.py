"""Lines taken out of segments in place: overwritten, so that nothing moves under who writes, reads or sends them.

A writer appends to its file and never looks back, and a cursor counts bytes: both can go on. Whoever has the file under
another name, as the outbox has, sees the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from llmops_sdk.store.schema._views import SEAL

__all__ = ["PRUNED", "all_segments", "overwrite_lines"]

PRUNED = b'{"pruned":1,"' + SEAL.name.encode() + b'":0}'
"""What stands at the beginning of such a line: JSON, none of a span's keys, and a seal's, so that it is no unreadable
one. A seal itself begins with its own key."""


def all_segments(store: Path) -> Iterator[Path]:
    """Every file of lines below the store's folder, each once whatever its names.

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
    """Overwrite lines of a file, on the disk; how many.

    Args:
        path: The file, which may be appended to meanwhile.
        matches: Whether a line, without its line break, is to go.
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
