"""Deadlines for waits on a connection.

httpx limits each read of a connection to a number of seconds, but not their sum. A server that sends a byte now and
then keeps a read alive without end, and the first token of a stream cannot have another limit than the next ones.
Here each wait gets the seconds that the call has left when the wait begins. That needs neither a thread nor a timer.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

__all__ = ["SecondsLeft", "deadline_in", "keep_deadlines", "limit_waits", "seconds_until"]

SecondsLeft = Callable[[], float]
"""Returns the seconds that a wait which begins now may take."""

# The shortest wait. 0 would mean not to wait at all, and raise another error.
_MIN_SECONDS = 0.001


def deadline_in(seconds: float | None) -> float | None:
    """Return the monotonic time that many seconds from now; None without a limit."""
    return None if seconds is None else time.monotonic() + seconds


def seconds_until(*deadlines: float | None) -> float | None:
    """Return the seconds until the first of the deadlines; None if there is none."""
    first = min((one for one in deadlines if one is not None), default=None)
    return None if first is None else first - time.monotonic()


class _LazyTimeout(float):
    """A time-out that is computed when a wait begins. Other code sees the seconds of its creation."""

    _seconds_left: SecondsLeft

    def __new__(cls, seconds_left: SecondsLeft) -> Self:
        made = super().__new__(cls, seconds_left())
        made._seconds_left = seconds_left
        return made

    def now(self) -> float:
        return max(_MIN_SECONDS, self._seconds_left())


def limit_waits(request: Any, *, reads: SecondsLeft, others: SecondsLeft) -> None:
    """Limit the waits of an httpx request: its reads by `reads`, connecting and writing by `others`."""
    timeouts = request.extensions.get("timeout")
    if not timeouts:
        return
    timeouts["read"] = _LazyTimeout(reads)
    for name in ("connect", "write"):
        timeouts[name] = _LazyTimeout(_at_most(timeouts.get(name), others))


def _at_most(seconds: float | None, seconds_left: SecondsLeft) -> SecondsLeft:
    return seconds_left if seconds is None else lambda: min(seconds, seconds_left())


def keep_deadlines(client: Any) -> Any:
    """Make a new httpx client, sync or async, follow `limit_waits`; return the client.

    httpcore lets a connection pool have another network backend, httpx does not: hence the private names. If they
    change, each wait keeps the seconds of its request's start, and tests/faults fails.
    """
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        backend = getattr(pool, "_network_backend", None)
        if pool is not None and backend is not None:
            pool._network_backend = _Backend(backend)
    return client


def _now(timeout: float | None) -> float | None:
    return timeout.now() if isinstance(timeout, _LazyTimeout) else timeout


_Options = Iterable[Any]


class _Backend:
    """httpcore's `NetworkBackend` or `AsyncNetworkBackend`, whose streams keep deadlines."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.sleep = inner.sleep

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> Any:
        return _wrap(self._inner.connect_tcp(host, port, _now(timeout), local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: _Options | None = None
    ) -> Any:
        return _wrap(self._inner.connect_unix_socket(path, _now(timeout), socket_options))


class _Stream:
    """httpcore's `NetworkStream` or `AsyncNetworkStream`: each wait keeps the deadline of the current request."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.get_extra_info = inner.get_extra_info

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # `close` or `aclose`

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return self._inner.read(max_bytes, _now(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> Any:
        return self._inner.write(buffer, _now(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        return _wrap(self._inner.start_tls(ssl_context, server_hostname, _now(timeout)))


def _wrap(opened: Any) -> Any:
    return _wrap_async(opened) if inspect.isawaitable(opened) else _Stream(opened)


async def _wrap_async(opened: Awaitable[Any]) -> _Stream:
    return _Stream(await opened)
