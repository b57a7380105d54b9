"""New lines of a store's segments, from whichever process: each once, in whole lines, within a bound of memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from llmops_sdk.store.files._layout import Segment, list_segments
from llmops_sdk.store.files._manifest import read_manifest
from llmops_sdk.store.schema._views import SEAL

__all__ = ["Follower", "Lines"]

_CHUNK = 2 * 1024 * 1024
_MAX_LINE = 32 * 1024 * 1024  # what the store reads; nobody writes such a line
_HELD = 128  # files
_SEAL = b'{"' + SEAL.name.encode() + b'":'


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines of one segment, in their order, without line breaks."""

    stream: str
    lines: tuple[bytes, ...]


@dataclass(slots=True)
class _Place:
    """How far a segment has been read."""

    stream: str
    offset: int = 0
    descriptor: int = -1
    sealed: bool = False

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Follower:
    """Reads what is appended to the segments of a store from now on, and the segments that come later.

    It takes no lock, so no writer and no compactor meets it. The files that grow stay open, so that one that is sealed
    and removed between two looks is still read to its end. A line that its writer has not finished is left for later.

    Args:
        folder: The store's folder; it need not be there yet.
        streams: The names of the streams to read.

    Raises:
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """

    def __init__(self, folder: Path, streams: Iterable[str]) -> None:
        self._folder = folder
        self._streams = frozenset(streams)
        self._places: dict[Path, _Place] = {}
        old = self._listed()
        for segment in old:
            place = self._places[segment.path] = _Place(segment.stream.name)
            if self._opened(segment.path, place):
                place.offset = _end_of_last_line(place.descriptor)
                self._hold_few()

    def close(self) -> None:
        """Close the files."""
        for place in self._places.values():
            place.close()
        self._places.clear()

    def read(self) -> Iterator[Lines]:
        """What has been added since the last time, in pieces of some 2 MiB."""
        # New names first, and their files opened at once: to read the others may take a while.
        listed = {segment.path: segment for segment in self._listed()}
        for path in sorted(listed.keys() - self._places.keys(), key=_written):
            place = self._places[path] = _Place(listed[path].stream.name)
            self._opened(path, place)
            self._hold_few()
        for path, place in list(self._places.items()):
            if path not in listed and place.descriptor < 0:
                del self._places[path]
            elif not place.sealed and self._grown(path, place):
                yield from self._pieces(place)
                # What has just grown is what grows next.
                self._places[path] = self._places.pop(path)
                self._hold_few()
            if path not in listed:
                place.close()

    def _listed(self) -> list[Segment]:
        # Asked for its refusal: a newer version's store may look quite different.
        read_manifest(self._folder)
        return [segment for segment in list_segments(self._folder) if segment.stream.name in self._streams]

    def _opened(self, path: Path, place: _Place) -> bool:
        if place.descriptor < 0:
            try:
                place.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True

    def _grown(self, path: Path, place: _Place) -> bool:
        try:
            size = os.fstat(place.descriptor).st_size if place.descriptor >= 0 else path.stat().st_size
        except FileNotFoundError:
            return False
        # Smaller: its writer took back a batch that the disk had no room for, and appends to it no more.
        return size > place.offset and self._opened(path, place)

    def _hold_few(self) -> None:
        held = [place for place in self._places.values() if place.descriptor >= 0]
        for place in held[: max(len(held) - _HELD, 0)]:
            place.close()

    def _pieces(self, place: _Place) -> Iterator[Lines]:
        while data := os.pread(place.descriptor, _CHUNK, place.offset):
            end = data.rfind(b"\n") + 1
            if not end and len(data) == _CHUNK:
                data = os.pread(place.descriptor, _MAX_LINE, place.offset)
                end = data.rfind(b"\n") + 1 or (len(data) if len(data) == _MAX_LINE else 0)
            if not end and _is_whole(data):
                # Killed just before the line break: the store reads this line too.
                end = len(data)
            if not end:
                return
            place.offset += end
            found = [line for line in data[:end].split(b"\n") if line.strip(b"\0 \r")]
            if found and found[-1].startswith(_SEAL):
                place.sealed = True
                place.close()
            if found:
                yield Lines(place.stream, tuple(found))
            if place.sealed:
                return


def _written(path: Path) -> int:
    """When, so that of several new segments of a process the first is read first: their names tell no order."""
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
    """Where the last line that is finished ends: what comes after it is being written now."""
    end = os.fstat(descriptor).st_size
    start = end
    while start > 0:
        start = max(start - 65_536, 0)
        found = os.pread(descriptor, min(65_536, end - start), start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
    return 0
