"""Read and decompress the body of a request, within limits of time and size."""

from __future__ import annotations

import io
import socket
import time
import zlib
from email.message import Message

from llmops_sdk.collect._limits import MemoryBudget
from llmops_sdk.collect._refusal import RefusedError, retry_later

__all__ = ["Body", "DeadlineReader", "decompress"]

_GZIP, _ZLIB, _RAW = 31, 15, -15
_READ_BYTES = 256 * 1024
_MAX_MEMBERS = 64
_MAX_CHUNK_LINE = 256
_MAX_TRAILERS = 32
_STALL_SECONDS = 2.0
_SLOW_BYTES = 1_000
_HEX = frozenset(b"0123456789abcdefABCDEF")


class DeadlineReader(io.RawIOBase):
    """Reads requests from a socket, with a timeout for idling and a deadline for each request.

    Args:
        connection: The socket.
        idle: Seconds to wait for the first byte of a request.
        request: Seconds from the first to the last byte of a request.
    """

    def __init__(self, connection: socket.socket, *, idle: float, request: float) -> None:
        super().__init__()
        self._connection = connection
        self._idle = idle
        self._request = request
        self._deadline: float | None = None
        self._waiting_since: float | None = None
        self._received = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def begin(self) -> None:
        """Expect the first byte of a new request."""
        self._deadline = None
        self._received = 0

    def stalled_for(self, now: float) -> float | None:
        """Return for how many seconds no byte has arrived, or None if nobody waits for bytes or they come fast."""
        since, deadline = self._waiting_since, self._deadline
        if since is None:
            return None
        if deadline is None:
            return now - since
        # A request that has begun may take a moment. One that trickles holds the place of others.
        begun = now - (deadline - self._request)
        trickles = begun > _STALL_SECONDS and self._received < begun * _SLOW_BYTES
        return begun if trickles or now - since > _STALL_SECONDS else None

    @property
    def is_idle(self) -> bool:
        """Return whether no byte of a request has arrived yet."""
        return self._deadline is None

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - any buffer
        """Read into the buffer; raise TimeoutError at the deadline."""
        if self._deadline is None:
            size = self._receive(buffer, self._idle)
            self._deadline = time.monotonic() + self._request
            return size
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return self._receive(buffer, left)

    def _receive(self, buffer: memoryview, timeout: float) -> int:
        self._connection.settimeout(timeout)
        self._waiting_since = time.monotonic()
        try:
            size = self._connection.recv_into(buffer)
        finally:
            self._waiting_since = None
        self._received += size
        return size


class Body:
    """The body of one request while it is received.

    Args:
        headers: The request's headers.
        stream: The stream to read.
        limit: The maximum bytes of this body.
        budget: The budget of all bodies together.
    """

    def __init__(self, headers: Message, stream: io.BufferedIOBase, limit: int, budget: MemoryBudget) -> None:
        self._headers = headers
        self._stream = stream
        self._limit = limit
        self._budget = budget
        self._acquired = 0

    def read(self) -> bytes:
        """Read and return the whole body.

        Raises:
            RefusedError: The body is too large, too late, incomplete, or there is no memory for it now.
        """
        length, coding = self._headers.get_all("Content-Length", []), self._headers.get_all("Transfer-Encoding", [])
        try:
            if coding:
                # Accepting both would allow request smuggling.
                if length or [one.strip().lower() for one in coding] != ["chunked"]:
                    raise RefusedError(400, "Transfer-Encoding must be chunked alone, without a Content-Length")
                return self._chunks()
            return self._bytes(length)
        except TimeoutError as error:
            raise RefusedError(408, "the body did not arrive in time") from error

    def release(self) -> None:
        """Give the memory back to the budget."""
        self._budget.release(self._acquired)
        self._acquired = 0

    def _bytes(self, lengths: list[str]) -> bytes:
        if not lengths:
            raise RefusedError(411, "a request needs a Content-Length or chunked encoding")
        text = lengths[0].strip()
        if len(lengths) > 1 or not (text.isascii() and text.isdigit() and len(text) < 20):
            raise RefusedError(400, f"Content-Length is not a number: {lengths[0][:50]!r}")
        return b"".join(self._exactly(int(text)))

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            line = self._line()
            text = line.split(b";")[0].strip()
            if not text or not _HEX.issuperset(text) or len(text) > 16:
                raise RefusedError(400, f"the length of a chunk is not a hex number: {line[:50]!r}")
            size = int(text, 16)
            if size == 0:
                break
            parts += self._exactly(size)
            if self._line():
                raise RefusedError(400, "a chunk is longer than its length")
        for _ in range(_MAX_TRAILERS):
            if not self._line():
                return b"".join(parts)
        raise RefusedError(400, "too many trailers")

    def _line(self) -> bytes:
        line = self._stream.readline(_MAX_CHUNK_LINE)
        if not line.endswith(b"\n"):
            raise RefusedError(400, "a line between chunks is incomplete or too long")
        return line.rstrip(b"\r\n")

    def _exactly(self, size: int) -> list[bytes]:
        if self._acquired + size > self._limit:
            raise _too_large(self._limit)
        pieces: list[bytes] = []
        while size:
            # Acquire memory for received bytes only: an announced length must not block other senders.
            piece = self._stream.read(min(size, _READ_BYTES))
            if not piece:
                raise RefusedError(400, "the body is shorter than its length")
            if not self._budget.acquire(len(piece)):
                raise retry_later("too many bytes are being received")
            self._acquired += len(piece)
            size -= len(piece)
            pieces.append(piece)
        return pieces


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"a body may have {limit:,} bytes, compressed or not: send smaller batches")


def decompress(body: bytes, coding: str, limit: int) -> bytes:
    """Decompress a body, to `limit` bytes at most.

    Args:
        body: The compressed body.
        coding: "gzip", "deflate" or "".
        limit: The maximum size.

    Raises:
        RefusedError: The body is damaged or too large.
    """
    if not coding:
        return body
    form = _GZIP if coding == "gzip" else _ZLIB
    # HTTP's deflate is the zlib format, but some senders omit its header.
    if form == _ZLIB and (len(body) < 2 or body[0] & 15 != 8 or int.from_bytes(body[:2], "big") % 31):
        form = _RAW
    parts: list[bytes] = []
    size = 0
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(form)
        try:
            parts.append(member.decompress(body, limit + 1 - size))
        except zlib.error as error:
            raise RefusedError(400, f"the body is not valid {coding}: {error}") from error
        size += len(parts[-1])
        if size > limit:
            raise RefusedError(
                413,
                f"the body expands to more than {limit:,} bytes, too many for its compressed size: send smaller "
                "batches",
            )
        if not member.eof:
            raise RefusedError(400, f"the {coding} body is incomplete")
        body = member.unused_data
        if not body:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if form != _GZIP:
            break
    raise RefusedError(400, f"the {coding} body has data after its end")
