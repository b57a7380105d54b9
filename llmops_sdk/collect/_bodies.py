"""The body of a request: read in time and within bounds, with a length or in chunks, and unpacked within bounds."""

from __future__ import annotations

import io
import socket
import time
import zlib
from email.message import Message

from llmops_sdk.collect._limits import Budget
from llmops_sdk.collect._refusal import RefusedError, later

__all__ = ["Body", "DeadlineReader", "unpack"]

_GZIP, _ZLIB, _RAW = 31, 15, -15
_PIECE = 256 * 1024
_MAX_MEMBERS = 64
_MAX_CHUNK_LINE = 256
_MAX_TRAILERS = 32
_HEX = frozenset(b"0123456789abcdefABCDEF")


class DeadlineReader(io.RawIOBase):
    """Reads from a socket: a request may begin whenever the connection is not idle for too long, and must then end.

    Args:
        connection: The socket.
        idle: Seconds to wait for the first byte of a request.
        request: Seconds from there to its last.
    """

    def __init__(self, connection: socket.socket, *, idle: float, request: float) -> None:
        super().__init__()
        self._connection = connection
        self._idle = idle
        self._request = request
        self._deadline: float | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def begin(self) -> None:
        """The next byte begins a request."""
        self._deadline = None

    @property
    def is_idle(self) -> bool:
        """Whether no byte of a request has come yet."""
        return self._deadline is None

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - any buffer
        """Fill the buffer with what comes; TimeoutError when it comes too late."""
        if self._deadline is None:
            self._connection.settimeout(self._idle)
            got = self._connection.recv_into(buffer)
            self._deadline = time.monotonic() + self._request
            return got
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class Body:
    """The body of one request on its way in.

    Args:
        headers: The request's headers.
        stream: Where to read.
        limit: Bytes that it may have.
        budget: What all bodies have together.
    """

    def __init__(self, headers: Message, stream: io.BufferedIOBase, limit: int, budget: Budget) -> None:
        self._headers = headers
        self._stream = stream
        self._limit = limit
        self._budget = budget
        self._taken = 0

    def read(self) -> bytes:
        """All of it.

        Raises:
            RefusedError: It is too large, too late, torn, or there is no room for it now.
        """
        length, coding = self._headers.get_all("Content-Length", []), self._headers.get_all("Transfer-Encoding", [])
        try:
            if coding:
                # Both at once is how one request is smuggled inside another.
                if length or [one.strip().lower() for one in coding] != ["chunked"]:
                    raise RefusedError(400, "Transfer-Encoding must be chunked alone, without a Content-Length")
                return self._chunks()
            return self._bytes(length)
        except TimeoutError as error:
            raise RefusedError(408, "the body did not come in time") from error

    def release(self) -> None:
        """Give the memory back."""
        self._budget.give(self._taken)
        self._taken = 0

    def _bytes(self, lengths: list[str]) -> bytes:
        if not lengths:
            raise RefusedError(411, "a request needs a Content-Length, or chunks")
        text = lengths[0].strip()
        if len(lengths) > 1 or not (text.isascii() and text.isdigit() and len(text) < 20):
            raise RefusedError(400, f"Content-Length is no number: {lengths[0][:50]!r}")
        return b"".join(self._exactly(int(text)))

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            line = self._line()
            text = line.split(b";")[0].strip()
            if not text or not _HEX.issuperset(text) or len(text) > 16:
                raise RefusedError(400, f"a chunk's length is no hex number: {line[:50]!r}")
            size = int(text, 16)
            if size == 0:
                break
            parts += self._exactly(size)
            if self._line():
                raise RefusedError(400, "a chunk is longer than it says")
        for _ in range(_MAX_TRAILERS):
            if not self._line():
                return b"".join(parts)
        raise RefusedError(400, "too many trailers")

    def _line(self) -> bytes:
        line = self._stream.readline(_MAX_CHUNK_LINE)
        if not line.endswith(b"\n"):
            raise RefusedError(400, "the body ends, or goes on, in the middle of a line between chunks")
        return line.rstrip(b"\r\n")

    def _exactly(self, size: int) -> list[bytes]:
        if self._taken + size > self._limit:
            raise too_large(self._limit)
        pieces: list[bytes] = []
        while size:
            # Piece by piece: one that only says how much it will send takes no room from the others.
            piece = self._stream.read(min(size, _PIECE))
            if not piece:
                raise RefusedError(400, "the body is shorter than it says")
            if not self._budget.take(len(piece)):
                raise later("too much is being received at once")
            self._taken += len(piece)
            size -= len(piece)
            pieces.append(piece)
        return pieces


def too_large(limit: int) -> RefusedError:
    """The refusal of a body beyond the bound."""
    return RefusedError(413, f"a body may have {limit:,} bytes, packed and unpacked: send smaller batches")


def unpack(body: bytes, coding: str, limit: int) -> bytes:
    """A body as it was before it was compressed; never more than `limit` bytes are made of it.

    Args:
        body: As it came.
        coding: "gzip", "deflate" or "".
        limit: How large it may be.

    Raises:
        RefusedError: It is torn, or too large.
    """
    if not coding:
        return body
    form = _GZIP if coding == "gzip" else _ZLIB
    # What HTTP calls deflate is zlib's format; some senders leave its head out.
    if form == _ZLIB and (len(body) < 2 or body[0] & 15 != 8 or int.from_bytes(body[:2], "big") % 31):
        form = _RAW
    parts: list[bytes] = []
    size = 0
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(form)
        try:
            parts.append(member.decompress(body, limit + 1 - size))
        except zlib.error as error:
            raise RefusedError(400, f"the body is no {coding}: {error}") from error
        size += len(parts[-1])
        if size > limit:
            raise too_large(limit)
        if not member.eof:
            raise RefusedError(400, f"the body ends in the middle of its {coding}")
        body = member.unused_data
        if not body:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if form != _GZIP:
            break
    raise RefusedError(400, f"something stands behind the end of the body's {coding}")
