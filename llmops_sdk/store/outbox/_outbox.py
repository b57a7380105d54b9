"""The outbox of one destination: hard links to segments, and a cursor for each with the acknowledged bytes.

A link costs one system call per segment. It keeps the lines when the segment is compacted or dropped. Pruning
overwrites lines in place, so here too. A cursor names its owner, the process that writes and sends the segment. The
owner locks a file of its own, so other processes notice its death and adopt its segments.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from llmops_sdk.store.files._folders import OUTBOX_FOLDER, check_folder, open_file, read_file, refuse_links
from llmops_sdk.store.files._locks import is_unlocked, try_lock
from llmops_sdk.store.files._names import OWNER, SEGMENT
from llmops_sdk.store.lines._decode import RecordReader
from llmops_sdk.tracing.records._outbox import Piece, Position

__all__ = ["FOLDER", "SegmentOutbox", "outbox_sizes"]

FOLDER = OUTBOX_FOLDER
_LOCK = "adopt.lock"
_OWNER = ".owner"
_DAY = 86_400.0
_MAX_LINE = 32 * 1024**2
_MAX_CURSOR = 128
_MAX_OFFSET = 2**62
_CURSOR = re.compile(rb"([0-9]{1,20}) ?([0-9a-f]{32}|)\n?")

_log = logging.getLogger("llmops_sdk")


class SegmentOutbox:
    """Segments that wait for one destination.

    Args:
        store: The store's folder.
        name: The destination's name.
        max_bytes: Size above which the oldest segments are dropped and counted.
        max_days: Age above which they are.
        lose: Called for dropped segments with what, reason, number of spans and bytes.

    Raises:
        StoreError: The folder is a link, or another user can change it.
    """

    def __init__(
        self,
        store: Path,
        name: str,
        *,
        max_bytes: int,
        max_days: float,
        lose: Callable[[str, str, int, int], None],
    ) -> None:
        check_folder(store)
        refuse_links(store, f"{FOLDER}/{name}")
        self._folder = store / FOLDER / name
        self._max_bytes = max_bytes
        self._max_age = max_days * _DAY
        self._lose = lose
        self._reader = RecordReader()
        self._warned = False
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._own_segments: dict[str, int | None] = {}  # oldest first; the size once sealed
        self._position: Position | None = None
        self._acknowledged: Position | None = None
        self._adoption_lock = -1
        self._adoptable: deque[Path] = deque()  # oldest first
        self._owner = ""
        self._owner_lock = -1

    def after_fork(self) -> None:
        """Forget the parent's segments in a forked child."""
        for descriptor in (self._adoption_lock, self._owner_lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._reset()

    def close(self) -> None:
        """Leave unacknowledged segments to the next process."""
        self.release()
        if self._owner_lock >= 0:
            with contextlib.suppress(OSError):
                (self._folder / (self._owner + _OWNER)).unlink(missing_ok=True)
            os.close(self._owner_lock)
        self._reset()

    # --- the writing side ---------------------------------------------------------------------------------------

    def opened(self, segment: Path) -> None:
        """Link a new segment into the outbox.

        Args:
            segment: The segment, locked by its writer and still empty.
        """
        try:
            # One by one: the mode does not apply to parents.
            self._folder.parent.mkdir(mode=0o700, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if self._owner_lock < 0:
                self._owner, self._owner_lock = self._new_owner()
            # Before the link: another process adopts a segment without an owner.
            self._put_cursor(Position(segment.name, 0))
            os.link(segment, self._folder / segment.name)
        except OSError as error:
            self._position = None
            with contextlib.suppress(OSError):
                (self._folder / f"{segment.name}.cursor").unlink(missing_ok=True)
            if not self._warned:  # there is a segment a minute
                self._warned = True
                _log.warning(
                    "llmops: cannot keep segments for export in %s (%s): spans that a backend has not accepted "
                    "when the process ends are lost",
                    self._folder,
                    error.strerror,
                )
            return
        with self._lock:
            self._own_segments[segment.name] = None
            self._position = Position(segment.name, 0)

    def _new_owner(self) -> tuple[str, int]:
        while True:
            owner = uuid4().hex
            descriptor = os.open(self._folder / (owner + _OWNER), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            # Between open and lock, another process may take it for a dead owner's file.
            if try_lock(descriptor) and os.fstat(descriptor).st_nlink:
                return owner, descriptor
            os.close(descriptor)

    def written(self, size: int) -> None:
        """Note that the latest segment has `size` bytes now."""
        if self._position is not None:
            self._position = Position(self._position.segment, size)

    def sealed(self, segment: str, size: int) -> None:
        """Note that a segment is complete.

        Args:
            segment: The segment's name.
            size: Its bytes without the seal.
        """
        with self._lock:
            if segment in self._own_segments:
                self._own_segments[segment] = size
                self._remove_acknowledged()
        if self._position is not None and self._position.segment == segment and segment not in self._own_segments:
            self._position = None
        self._drop_excess()

    # --- the sending side ---------------------------------------------------------------------------------------

    def position(self) -> Position | None:
        """Return the end of this process's latest batch, or None when the outbox does not have it."""
        return self._position

    def acknowledge(self, position: Position) -> None:
        """Note that the destination has all spans of the segment's process up to a position.

        Args:
            position: A position in a segment of this process or in an adopted one.
        """
        with self._lock:
            if position.segment in self._own_segments:
                self._acknowledged = position
                self._remove_acknowledged()
                if position.segment in self._own_segments:
                    self._put_cursor(position)
            elif position.offset >= _size(self._folder / position.segment):
                self._remove(position.segment)
            else:
                self._put_cursor(position)

    def _remove_acknowledged(self) -> None:
        done = self._acknowledged
        if done is None or done.segment not in self._own_segments:
            return
        for segment, size in list(self._own_segments.items()):
            if segment == done.segment and (size is None or done.offset < size):
                return
            self._remove(segment)
            del self._own_segments[segment]
            if segment == done.segment:
                return

    def read(self, after: Position | None, until: Position, most: int) -> Piece | None:
        """Return the next spans of this process, or None at `until`.

        Args:
            after: The end of the previous read, or None for the start of the oldest segment.
            until: Where to stop.
            most: Bytes to read, plus the rest of a line.
        """
        with self._lock:
            names = list(self._own_segments)
        if until.segment not in names:
            return None
        at = after if after is not None and after.segment in names else Position(names[0], 0)
        for name in names[names.index(at.segment) : names.index(until.segment) + 1]:
            offset = at.offset if name == at.segment else 0
            end = until.offset if name == until.segment else None
            piece = self._piece(Position(name, offset), most, end)
            if piece is not None:
                return piece
        return None

    def adopt(self) -> Position | None:
        """Return the position in the oldest segment of a dead process, or None when there is none or another adopts."""
        if not self._acquire_adoption_lock():
            return None
        while True:
            fresh = not self._adoptable
            if fresh:
                # Once for all segments: after a week without the backend there are ten thousand.
                self._adoptable.extend(self._by_age())
            while self._adoptable:
                path = self._adoptable.popleft()
                if path.name not in self._own_segments and path.exists() and self._is_abandoned(path):
                    return Position(path.name, self._cursor(path.name)[0])
            if fresh:
                break
        self._remove_dead_owners()
        self.release()
        return None

    def _is_abandoned(self, path: Path) -> bool:
        """Return whether the owner of a segment is dead."""
        owner = self._cursor(path.name)[1]
        return is_unlocked(self._folder / (owner + _OWNER) if owner else path)

    def _remove_dead_owners(self) -> None:
        for file in self._folder.glob(f"*{_OWNER}"):
            if OWNER.fullmatch(file.stem) and not file.is_symlink() and is_unlocked(file):
                file.unlink(missing_ok=True)

    def read_adopted(self, after: Position, most: int) -> Piece | None:
        """Return the next spans of an adopted segment; at its end, remove it and return None.

        Args:
            after: The end of the previous read.
            most: Bytes to read, plus the rest of a line.
        """
        piece = self._piece(after, most, None)
        if piece is None:
            self._remove(after.segment)
        return piece

    def release(self) -> None:
        """Let other processes adopt."""
        if self._adoption_lock >= 0:
            os.close(self._adoption_lock)
            self._adoption_lock = -1

    def _acquire_adoption_lock(self) -> bool:
        if self._adoption_lock >= 0:
            return True
        try:
            descriptor = open_file(self._folder / _LOCK, os.O_RDWR | os.O_CREAT)
        except OSError:
            return False
        if not try_lock(descriptor):
            os.close(descriptor)
            return False
        self._adoption_lock = descriptor
        return True

    # --- files --------------------------------------------------------------------------------------------------

    def _piece(self, after: Position, most: int, end: int | None) -> Piece | None:
        try:
            with os.fdopen(open_file(self._folder / after.segment, os.O_RDONLY), "rb") as file:
                file.seek(after.offset)
                data = file.read(most if end is None else max(min(most, end - after.offset), 0))
                if data and not data.endswith(b"\n"):
                    data += file.readline(_MAX_LINE)
        except FileNotFoundError:
            return None
        if not data:
            return None
        return Piece(self._reader.records(data.splitlines()), Position(after.segment, after.offset + len(data)))

    def _put_cursor(self, position: Position) -> None:
        # Fixed width: one write replaces all of it.
        with contextlib.suppress(OSError):
            descriptor = open_file(self._folder / f"{position.segment}.cursor", os.O_WRONLY | os.O_CREAT)
            try:
                os.pwrite(descriptor, b"%020d %b\n" % (position.offset, self._owner.encode()), 0)
            finally:
                os.close(descriptor)

    def _cursor(self, segment: str) -> tuple[int, str]:
        """Return the acknowledged bytes and the owner."""
        try:
            content = read_file(self._folder / f"{segment}.cursor", _MAX_CURSOR)
        except OSError:
            return 0, ""
        # Other content is no cursor of ours: the segment is read from its start.
        found = _CURSOR.fullmatch(content)
        return (min(int(found[1]), _MAX_OFFSET), found[2].decode()) if found else (0, "")

    def _remove(self, segment: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / segment).unlink(missing_ok=True)
            (self._folder / f"{segment}.cursor").unlink(missing_ok=True)

    def _by_age(self) -> list[Path]:
        return [path for path, _ in self._states()]

    def _states(self) -> list[tuple[Path, os.stat_result]]:
        """Return the segments, oldest first; others may remove one at any time."""
        found: list[tuple[Path, os.stat_result]] = []
        for entry in _segments(self._folder):
            with contextlib.suppress(FileNotFoundError):
                found.append((Path(entry.path), entry.stat(follow_symlinks=False)))
        return sorted(found, key=lambda one: (one[1].st_mtime, one[0]))

    def _drop_excess(self) -> None:
        """Drop segments that are too old, or the oldest above the size limit; never the one being written."""
        sizes = self._states()
        total = sum(state.st_size for _, state in sizes)
        now = time.time()
        for path, state in sizes:
            expired = abs(now - state.st_mtime) > self._max_age
            if not expired and total <= self._max_bytes:
                continue
            mine = path.name in self._own_segments
            if self._own_segments.get(path.name, 0) is None or not (mine or self._is_abandoned(path)):
                continue
            total -= state.st_size
            left = self._unsent(path)
            self._remove(path.name)
            with self._lock:
                self._own_segments.pop(path.name, None)
            self._lose("export", "outbox_expired" if expired else "outbox_full", left, state.st_size)

    def _unsent(self, path: Path) -> int:
        with contextlib.suppress(OSError), os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            file.seek(self._cursor(path.name)[0])
            return sum(1 for line in file if line.startswith(b'{"trace_id"'))
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def outbox_sizes(store: Path) -> dict[str, int]:
    """Return the bytes that wait for each destination, by its name.

    Args:
        store: The store's folder.
    """
    sizes: dict[str, int] = {}
    for folder in sorted((store / FOLDER).glob("*")):
        if folder.is_dir() and not folder.is_symlink():
            sizes[folder.name] = sum(_size(Path(entry.path)) for entry in _segments(folder))
    return sizes


def _segments(folder: Path) -> list[os.DirEntry[str]]:
    """Return the segments in an outbox, and no link or file of others."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [entry for entry in entries if SEGMENT.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
