"""Follow a store: read each new line of its segments once, from any process, within bounded memory.

A follower can stop and go on later, in another process too: `position` is a text that says what has been read. It names
each segment on disk by a digest, so its length grows with their number, by some 20 characters each.

Compaction removes segments a minute after it has put their lines into Parquet files. A follower that reads less often
than that misses lines. The follower reports them as a `Gap`, counted in bytes; they stay in the store, where SQL finds
them. It does not read them from Parquet, since a row there does not tell its segment. Lines that retention dropped in
the meantime are not in a gap; the view `losses` counts them.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import orjson

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import check_folder, open_file
from llmops_sdk.store.files._layout import Segment, list_segments
from llmops_sdk.store.files._manifest import Manifest, read_manifest
from llmops_sdk.store.files._names import whole_number
from llmops_sdk.store.files._segment import SEAL_PREFIX, seal_size

__all__ = ["Follower", "Gap", "Lines"]

_CHUNK = 2 * 1024 * 1024
_READ_BYTES = 4 * _CHUNK  # in one call
_MAX_LINE = 32 * 1024 * 1024  # DuckDB reads no longer one
_MAX_OPEN_FILES = 128
_LISTINGS = 4
_MAX_POSITION = 64 * 1024**2

_Entry: TypeAlias = tuple[int, int, int, str]
"""A segment in a position: offset, seen bytes beyond it, state, stream."""
_LIVE, _SEALED, _COUNTED = range(3)


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines of one segment, in order, without line breaks."""

    stream: str
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """Lines that compaction took before the follower read them."""

    stream: str
    bytes: int
    """Their bytes, line breaks included; at least so many where retention dropped other segments."""


@dataclass(slots=True)
class _Place:
    """How far a segment has been read."""

    stream: str
    offset: int = 0
    seen: int = 0
    """Bytes of the file when it was last looked at, without its seal."""
    sealed: bool = False
    counted: bool = False
    """Whether its bytes are among those taken by compaction that the follower knows of."""
    descriptor: int = -1

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Follower:
    """Reads the lines that any process appends to a store.

    It takes no lock, so it never delays a writer or the compactor. It keeps growing files open: a segment that is
    sealed and removed between two reads is still read to its end. It leaves an unfinished line for later.

    Args:
        folder: The store's folder; it need not exist yet.
        streams: The names of the streams to read.
        position: The `position` of an earlier follower of this store, or None to read what is written from now on.

    Raises:
        StoreError: The store cannot be read, a newer version of the SDK wrote it, or the position is not valid.
    """

    def __init__(self, folder: Path, streams: Iterable[str], position: str | None = None) -> None:
        check_folder(folder)
        self._folder = folder
        self._streams = frozenset(streams)
        self._places: dict[Path, _Place] = {}
        self._resumed: dict[str, _Entry] = {}
        self._taken: Mapping[str, int] | None = None
        """Bytes that compaction had taken, by stream, when the follower last compared; None before the first time."""
        if position is None:
            self._start_at_the_end()
        else:
            self._taken, self._resumed = _decode(position)

    def close(self) -> None:
        """Close the files."""
        for place in self._places.values():
            place.close()
        self._places.clear()

    @property
    def position(self) -> str:
        """Return what has been read, for a later follower."""
        entries = dict(self._resumed)
        for path, place in self._places.items():
            state = _COUNTED if place.counted else _SEALED if place.sealed else _LIVE
            entries[_digest(path)] = (place.offset, place.seen - place.offset, state, place.stream)
        packed = zlib.compress(orjson.dumps([None if self._taken is None else dict(self._taken), entries]))
        return base64.urlsafe_b64encode(packed).decode()

    def read(self, limit: int = 10_000) -> list[Lines | Gap]:
        """Return lines added since the last call, oldest segments first; an empty list when there are none.

        Args:
            limit: The largest number of lines; a call also ends after some 8 MiB.

        Raises:
            StoreError: The store cannot be read, or a newer version of the SDK wrote it.
        """
        listed, manifest = self._list()
        self._open_new(listed)
        found: list[Lines | Gap] = []
        count = size = 0
        for path, place in list(self._places.items()):
            for lines in self._new_lines(path, place, limit - count):
                found.append(lines)
                count += len(lines.lines)
                size += sum(map(len, lines.lines))
                if count >= limit or size >= _READ_BYTES:
                    return found
            if path not in listed:
                place.close()
        return [*found, *self._gaps(listed, manifest)]

    def _start_at_the_end(self) -> None:
        listed, manifest = self._list()
        for path, segment in listed.items():
            place = self._places[path] = _Place(segment.stream.name)
            if self._open(path, place):
                seal = seal_size(place.descriptor)
                place.sealed = seal > 0
                place.offset = _end_of_last_line(place.descriptor)
                place.seen = os.fstat(place.descriptor).st_size - seal
                self._close_surplus()
            place.counted = manifest is not None and segment.name in manifest.covered
        self._taken = None if manifest is None else manifest.taken_bytes

    def _list(self) -> tuple[dict[Path, Segment], Manifest | None]:
        """Return the segments on disk and the manifest at that moment, or None while it keeps changing."""
        listed: dict[Path, Segment] = {}
        before = read_manifest(self._folder) or Manifest()
        for _ in range(_LISTINGS):
            listed = {one.path: one for one in list_segments(self._folder) if one.stream.name in self._streams}
            manifest = read_manifest(self._folder) or Manifest()
            if manifest.generation == before.generation:
                return listed, manifest
            before = manifest
        return listed, None

    def _open_new(self, listed: Mapping[Path, Segment]) -> None:
        # At once, before any file is read, which may take a while.
        for path in sorted(listed.keys() - self._places.keys(), key=_written):
            offset, more, state, _ = self._resumed.pop(_digest(path), (0, 0, _LIVE, ""))
            place = self._places[path] = _Place(
                listed[path].stream.name, offset, offset + more, sealed=state == _SEALED, counted=state == _COUNTED
            )
            if not place.sealed and not place.counted:
                self._open(path, place)
                self._close_surplus()

    def _open(self, path: Path, place: _Place) -> bool:
        if place.descriptor < 0:
            try:
                place.descriptor = open_file(path, os.O_RDONLY)
            except FileNotFoundError:
                return False
        return True

    def _close_surplus(self) -> None:
        opened = [place for place in self._places.values() if place.descriptor >= 0]
        for place in opened[: max(len(opened) - _MAX_OPEN_FILES, 0)]:
            place.close()

    def _new_lines(self, path: Path, place: _Place, limit: int) -> Iterator[Lines]:
        if place.sealed or place.counted or not self._has_grown(path, place):
            return
        # A file that has just grown is likely to grow next.
        self._places[path] = self._places.pop(path)
        while data := self._next_chunk(place):
            lines = data.split(b"\n", limit)
            if len(lines) > limit:
                data = data[: len(data) - len(lines.pop())]
            place.offset += len(data)
            found = tuple(line for line in lines if line.strip(b"\0 \r"))
            if found and found[-1].startswith(SEAL_PREFIX):
                place.sealed = True
                place.seen = place.offset - len(found[-1]) - 1
                place.close()
                found = found[:-1]
            if found:
                limit -= len(found)
                yield Lines(place.stream, found)
            if place.sealed:
                return
        self._close_surplus()

    def _has_grown(self, path: Path, place: _Place) -> bool:
        try:
            size = os.fstat(place.descriptor).st_size if place.descriptor >= 0 else path.stat().st_size
        except FileNotFoundError:
            return False
        place.seen = size
        # A smaller file: its writer took back a batch that found no room on the disk, and left the file.
        return size > place.offset and self._open(path, place)

    def _next_chunk(self, place: _Place) -> bytes:
        """Return whole lines, and a last line without a break when its writer was killed just before the break."""
        data = os.pread(place.descriptor, _CHUNK, place.offset)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == _CHUNK:
            data = os.pread(place.descriptor, _MAX_LINE, place.offset)
            end = data.rfind(b"\n") + 1 or (len(data) if len(data) == _MAX_LINE else 0)
        return data if not end and _is_whole(data) else data[:end]

    def _gaps(self, listed: Mapping[Path, Segment], manifest: Manifest | None) -> list[Gap]:
        """Compare what compaction took with what was read of the segments that it took."""
        if manifest is None:
            return []
        known = dict.fromkeys(self._streams, 0)
        for path, place in list(self._places.items()):
            if path in listed and listed[path].name not in manifest.covered:
                continue
            known[place.stream] += 0 if place.counted else place.seen
            place.counted = True
            if path not in listed:
                place.close()
                del self._places[path]
        for offset, more, state, stream in self._resumed.values():
            known[stream] = known.get(stream, 0) + (0 if state == _COUNTED else offset + more)
        self._resumed.clear()
        # The sum shrinks where the manifest was made anew or an older version of the SDK wrote it.
        before, self._taken = self._taken, manifest.taken_bytes
        if before is None:
            return []
        missed = {
            stream: self._taken.get(stream, 0) - before.get(stream, 0) - known[stream] for stream in sorted(known)
        }
        return [Gap(stream, size) for stream, size in missed.items() if size > 0]


def _decode(position: str) -> tuple[dict[str, int] | None, dict[str, _Entry]]:
    try:
        # One that unpacks to more is cut here, and no JSON then.
        packed = zlib.decompressobj().decompress(base64.urlsafe_b64decode(position), _MAX_POSITION)
        taken, entries = orjson.loads(packed)
        return (
            None if taken is None else {str(stream): whole_number(size) for stream, size in taken.items()},
            {
                str(digest): (
                    whole_number(offset, most=2**62),
                    whole_number(more, least=-(2**62), most=2**62),
                    whole_number(state, most=_COUNTED),
                    str(stream),
                )
                for digest, (offset, more, state, stream) in entries.items()
            },
        )
    except (ValueError, TypeError, AttributeError, zlib.error) as error:
        raise StoreError(f"not a position of a follower: {position[:80]!r}") from error


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(f"{path.parent.name}/{path.name}".encode(), digest_size=8)
    return base64.urlsafe_b64encode(digest.digest()).decode()


def _written(path: Path) -> int:
    """Return the time of the last write: the names of a process's segments tell no order."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _is_whole(data: bytes) -> bool:
    try:
        return isinstance(orjson.loads(data), dict)
    except orjson.JSONDecodeError:
        return False


def _end_of_last_line(descriptor: int) -> int:
    """Return the offset after the last finished line; what follows is being written now."""
    end = os.fstat(descriptor).st_size
    start = end
    while start > 0:
        start = max(start - 65_536, 0)
        found = os.pread(descriptor, min(65_536, end - start), start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
    return 0
