"""Deadlines for what waits on a connection.

httpx bounds each read of a connection by one number of seconds, not the sum: a server that sends a byte now and then is
read for ever, and the wait for the first token of a stream and that for the next one cannot differ. Here every wait is
given what is left of the call when it begins, which needs neither a thread nor a timer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Self

__all__ = ["Left", "keep_deadlines", "limit", "moment", "seconds_left"]

Left = Callable[[], float]
"""Seconds that a wait which begins now may take."""

# What a wait is given when the time is over: 0 would mean not to wait at all, and raise another error.
_LEAST = 0.001


def moment(seconds: float | None) -> float | None:
    """When that many seconds from now are over; None without a bound."""
    return None if seconds is None else time.monotonic() + seconds


def seconds_left(*moments: float | None) -> float | None:
    """Seconds until the first of some moments; None where there is none."""
    due = min((one for one in moments if one is not None), default=None)
    return None if due is None else due - time.monotonic()


class _Until(float):
    """A time-out that is asked for when a wait begins. For whoever does not know of that, seconds like others."""

    _left: Left

    def __new__(cls, seconds: float, left: Left) -> Self:
        made = super().__new__(cls, seconds)
        made._left = left
        return made

    def now(self) -> float:
        """The seconds that a wait which begins now may take."""
        return max(_LEAST, self._left())


def limit(request: Any, reading: Left, other: Left) -> None:
    """Set what the waits of an httpx request may take: those for the server's next word, and all others."""
    within = request.extensions.get("timeout")
    if not within:
        return
    within["read"] = _Until(reading(), reading)
    for name in ("connect", "write"):
        within[name] = _Until(other(), _least_of(within.get(name), other))


def _least_of(seconds: float | None, left: Left) -> Left:
    return left if seconds is None else lambda: min(seconds, left())


def keep_deadlines(client: Any) -> Any:
    """Make a new httpx client, sync or async, keep to what `limit` says; the client itself.

    The backend of a connection pool can be set in httpcore and not through httpx, hence the private names. Should they
    change, every wait keeps the seconds that it began with, and tests/faults fails.
    """
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        backend = getattr(pool, "_network_backend", None)
        if pool is not None and backend is not None:
            pool._network_backend = (_AsyncBackend if hasattr(client, "aclose") else _Backend)(backend)
    return client


def _now(timeout: float | None) -> float | None:
    return timeout.now() if isinstance(timeout, _Until) else timeout


_Options = Iterable[Any]


class _Backend:
    """httpcore's `NetworkBackend`, whose streams keep deadlines."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> _Stream:
        return _Stream(self._inner.connect_tcp(host, port, _now(timeout), local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: _Options | None = None
    ) -> _Stream:
        return _Stream(self._inner.connect_unix_socket(path, _now(timeout), socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream:
    """httpcore's `NetworkStream`, of which each wait keeps the deadline of the request under way."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _now(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _now(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _now(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()


class _AsyncBackend:
    """The async twin of `_Backend`."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> _AsyncStream:
        return _AsyncStream(await self._inner.connect_tcp(host, port, _now(timeout), local_address, socket_options))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: _Options | None = None
    ) -> _AsyncStream:
        return _AsyncStream(await self._inner.connect_unix_socket(path, _now(timeout), socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _AsyncStream:
    """The async twin of `_Stream`."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, _now(timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, _now(timeout))

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> _AsyncStream:
        return _AsyncStream(await self._inner.start_tls(ssl_context, server_hostname, _now(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    async def aclose(self) -> None:
        await self._inner.aclose()
