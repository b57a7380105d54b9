"""The outbox of one destination: hard links to segments, and how far each has been acknowledged.

A link costs one call of the system a segment, and keeps the lines when the segment is compacted, pruned (in place, so
here too) or dropped. A segment's cursor names its owner, the process that wrote it and sends it; that has a lock on a
file of its own, so that others see when it is dead and adopt what it left.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from llmops_sdk.store.files._locks import try_lock, unlock
from llmops_sdk.store.lines._decode import RecordReader
from llmops_sdk.tracing.records._outbox import Piece, Position

__all__ = ["FOLDER", "SegmentOutbox", "outbox_sizes"]

FOLDER = "outbox"
_SUFFIX = ".ndjson"
_LOCK = "adopt.lock"
_OWNER = ".owner"
_DAY = 86_400.0
_MAX_LINE = 32 * 1024**2

_log = logging.getLogger("llmops_sdk")


class SegmentOutbox:
    """What waits for one destination.

    Args:
        store: The store's folder.
        name: The destination's.
        max_bytes: Size at which the oldest segments are given up, and counted.
        max_days: Age at which they are.
        lose: Told what is given up: what, why, how many spans, how many bytes.
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
        self._adoptable: deque[Path] = deque()  # what may be adopted, the oldest first
        self._owner = ""
        self._owner_lock = -1

    def after_fork(self) -> None:
        """In a forked child: what the parent wrote and adopts is the parent's."""
        for descriptor in (self._adoption_lock, self._owner_lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._reset()

    def close(self) -> None:
        """Leave what is not acknowledged to whoever comes next."""
        self.release()
        if self._owner_lock >= 0:
            with contextlib.suppress(OSError):
                (self._folder / (self._owner + _OWNER)).unlink(missing_ok=True)
            os.close(self._owner_lock)
        self._reset()

    # --- the writing side ---------------------------------------------------------------------------------------

    def opened(self, segment: Path) -> None:
        """Keep a new segment for the destination, too.

        Args:
            segment: It has its writer's lock and no line yet.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._owner_lock < 0:
                self._owner, self._owner_lock = self._new_owner()
            # Before the link: what has no owner is adopted.
            self._put_cursor(Position(segment.name, 0))
            os.link(segment, self._folder / segment.name)
        except OSError as error:
            self._position = None
            with contextlib.suppress(OSError):
                (self._folder / f"{segment.name}.cursor").unlink(missing_ok=True)
            if not self._warned:  # each minute has a segment
                self._warned = True
                _log.warning(
                    "llmops: segments cannot be kept for export in %s (%s): what a backend does not take before the "
                    "end is lost",
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
            # Between the two another may have taken it for one of a dead process.
            if try_lock(descriptor) and os.fstat(descriptor).st_nlink:
                return owner, descriptor
            os.close(descriptor)

    def written(self, size: int) -> None:
        """The latest segment has `size` bytes now."""
        if self._position is not None:
            self._position = Position(self._position.segment, size)

    def sealed(self, segment: str, size: int) -> None:
        """Its writer is done with a segment.

        Args:
            segment: Its name.
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
        """Where this process's latest batch ends, or None where it is not kept for the destination."""
        return self._position

    def acknowledge(self, position: Position) -> None:
        """The destination has everything of the segment's process up to here.

        Args:
            position: In one of this process's segments, or in an adopted one.
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
        """The next spans of this process, or None when all before `until` are read.

        Args:
            after: What was read last, or None for the beginning of the oldest segment.
            until: Where to stop.
            most: Bytes to read, and the rest of a line.
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
        """Where the oldest segment of a dead process goes on, or None where there is none, or another adopts."""
        if not self._acquire_adoption_lock():
            return None
        while True:
            fresh = not self._adoptable
            if fresh:
                # Not for each: after a week without the backend there are ten thousand.
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
        """Whether who wrote a segment, and was to send it, is dead."""
        owner = self._cursor(path.name)[1]
        return _is_free(self._folder / (owner + _OWNER) if owner else path)

    def _remove_dead_owners(self) -> None:
        for file in self._folder.glob(f"*{_OWNER}"):
            if _is_free(file):
                file.unlink(missing_ok=True)

    def read_adopted(self, after: Position, most: int) -> Piece | None:
        """The next spans of an adopted segment, or None at its end: then it is removed.

        Args:
            after: What was read last.
            most: Bytes to read, and the rest of a line.
        """
        piece = self._piece(after, most, None)
        if piece is None:
            self._remove(after.segment)
        return piece

    def release(self) -> None:
        """Let others adopt."""
        if self._adoption_lock >= 0:
            os.close(self._adoption_lock)
            self._adoption_lock = -1

    def _acquire_adoption_lock(self) -> bool:
        if self._adoption_lock >= 0:
            return True
        try:
            descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
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
            with (self._folder / after.segment).open("rb") as file:
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
        # Fixed width, so that one write replaces it whole.
        with contextlib.suppress(OSError):
            descriptor = os.open(self._folder / f"{position.segment}.cursor", os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, b"%020d %b\n" % (position.offset, self._owner.encode()), 0)
            finally:
                os.close(descriptor)

    def _cursor(self, segment: str) -> tuple[int, str]:
        """How many bytes have been acknowledged, and the owner."""
        try:
            offset, _, owner = (self._folder / f"{segment}.cursor").read_text(encoding="ascii").strip().partition(" ")
            return int(offset), owner
        except (FileNotFoundError, ValueError):
            return 0, ""

    def _remove(self, segment: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / segment).unlink(missing_ok=True)
            (self._folder / f"{segment}.cursor").unlink(missing_ok=True)

    def _by_age(self) -> list[Path]:
        return [path for path, _ in self._states()]

    def _states(self) -> list[tuple[Path, os.stat_result]]:
        """The segments, oldest first; at any time another thread or process may remove one."""
        found: list[tuple[Path, os.stat_result]] = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                found.append((path, path.stat()))
        return sorted(found, key=lambda one: (one[1].st_mtime, one[0]))

    def _drop_excess(self) -> None:
        """Give up the oldest segments that are too many or too old; not the one that is written."""
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
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(self._cursor(path.name)[0])
            return sum(1 for line in file if line.startswith(b'{"trace_id"'))
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock of a file, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        free = try_lock(descriptor)
        if free:
            unlock(descriptor)
        return free
    finally:
        os.close(descriptor)


def outbox_sizes(store: Path) -> dict[str, int]:
    """Bytes of the segments that wait for each destination, by its name.

    Args:
        store: The store's folder.
    """
    sizes: dict[str, int] = {}
    for folder in sorted((store / FOLDER).glob("*")):
        if folder.is_dir():
            sizes[folder.name] = sum(_size(file) for file in folder.glob(f"*{_SUFFIX}"))
    return sizes
