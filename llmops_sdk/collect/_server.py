"""The server: bounded connections and threads, one thread a connection, and an end that waits for what is under way."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections import Counter
from http.server import ThreadingHTTPServer
from typing import Protocol

from llmops_sdk._util._guard import report
from llmops_sdk.collect._access import Access
from llmops_sdk.collect._answers import Signal, Taken
from llmops_sdk.collect._limits import Budget, Limits
from llmops_sdk.collect._requests import RequestHandler
from llmops_sdk.store.otlp._read import Encoding

__all__ = ["Server", "Work"]

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TICK = 0.1


class Work(Protocol):
    """What the server's requests are for."""

    def take(self, signal: Signal, body: bytes, coding: str, encoding: Encoding) -> Taken:
        """Bring a body to the disk; raises RefusedError."""
        ...

    def health(self) -> bytes:
        """How it goes, in JSON."""
        ...


class Server(ThreadingHTTPServer):
    """Accepts connections.

    Args:
        address: Host and port.
        work: What is done with the requests.
        access: Who may send.
        limits: The bounds.
    """

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, address: tuple[str, int], work: Work, access: Access, limits: Limits) -> None:
        self.access = access
        self.limits = limits
        self.budget = Budget(limits.waiting_bytes)
        self.stopping = False
        self.refusals: Counter[int] = Counter()
        self.take = work.take
        self.health = work.health
        self._open: dict[socket.socket, RequestHandler | None] = {}
        self._changed = threading.Condition()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, RequestHandler)

    def server_bind(self) -> None:
        """Without http.server's look-up of the host's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def count_refused(self, status: int) -> None:
        """Count a request that was not taken."""
        with self._changed:
            self.refusals[status] += 1

    # socketserver's own types let a request be a socket with data as well, as for UDP.
    def process_request(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Give a connection a thread, or turn it away."""
        with self._changed:
            room = len(self._open) < self.limits.connections
            if room:
                self._open[request] = None
            else:
                self.refusals[503] += 1
        if room:
            super().process_request(request, client_address)
            return
        try:
            request.settimeout(0.0)
            request.send(_FULL)
        except OSError:
            pass
        self.shutdown_request(request)

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Serve a connection, in its thread."""
        RequestHandler(request, client_address, self)

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Serve a connection, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._open.pop(request, None)
                self._changed.notify_all()

    def serves(self, request: socket.socket, handler: RequestHandler) -> None:
        """Remember who serves a connection."""
        with self._changed:
            if request in self._open:
                self._open[request] = handler
            if self.stopping:
                _end_reading(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's own
        """A connection that broke is the sender's matter; anything else is told once."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, (ConnectionError, TimeoutError)):
            report("answering a request", error)

    def stop(self, timeout: float) -> bool:
        """Take no more connections, let requests under way end; whether all did within `timeout` seconds."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        with self._changed:
            for connection, handler in self._open.items():
                # One that waits for a request would wait on. Between its look and its read a request may begin: that
                # one is not read, and sent again by its sender.
                if handler is not None and handler.reader.is_idle:
                    _end_reading(connection)
            ended = self._changed.wait_for(lambda: not self._open, timeout)
            for connection in self._open:
                _end_reading(connection)
        return ended


def _end_reading(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        return
