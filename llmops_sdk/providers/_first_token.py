"""The bound on the first chunk of a stream that is read in the caller's thread.

A server may send its headers at once and then nothing: a read's own time-out is the one between chunks by then. So a
timer shuts the connection down, which ends the read that waits on it; the thread that reads says what that means.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Any, Self

from llmops_sdk._util._guard import guarded

__all__ = ["FirstToken"]


class FirstToken:
    """Breaks the connection of a stream whose first chunk is late; a context manager around the reading.

    Args:
        seconds: From `start` to the first chunk; None for no bound, which costs nothing.

    Attributes:
        passed: Whether it broke the connection.
    """

    def __init__(self, seconds: float | None) -> None:
        self.passed = False
        self._lock = threading.Lock()
        self._over = False
        self._started = False
        self._responses: list[Any] = []
        self._timer = None if seconds is None else threading.Timer(seconds, self._break)
        if self._timer is not None:
            self._timer.daemon = True

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """The request is sent now; a second one does not begin it anew."""
        if self._timer is not None and not self._started:
            self._started = True
            self._timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.came()

    def watch(self, response: Any) -> None:
        """A response that the first chunk is to come in."""
        if self._timer is not None:
            with self._lock:
                self._responses.append(response)
                late = self.passed
            if late:  # the timer came between the connection and its response
                _shut_down(response)

    def came(self) -> None:
        """The first chunk is there, or nobody waits for it any more."""
        if self._timer is not None and not self._over:
            with self._lock:
                self._over = True
            self._timer.cancel()

    def _break(self) -> None:
        with self._lock:
            if self._over:
                return
            self.passed = True
            responses = list(self._responses)
        for response in responses:
            _shut_down(response)


def _shut_down(response: Any) -> None:
    guarded("ending a stream that is late", None, _shut, response)


def _shut(response: Any) -> None:
    stream = response.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("socket")
    if connection is None:
        return
    try:
        # Of the plain socket, also where it is one of TLS: that one's own lets go of what the other thread reads with.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # the server was first
