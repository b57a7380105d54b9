"""The TCP server: a bounded number of connections with one thread each, and an orderly stop."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from llmops_sdk._util._guard import report
from llmops_sdk.collect._access import AccessRules
from llmops_sdk.collect._bodies import DeadlineReader
from llmops_sdk.collect._limits import Limits, MemoryBudget
from llmops_sdk.collect._responses import IntakeResult, Signal
from llmops_sdk.store.otlp._read import Encoding

__all__ = ["BodyConsumer", "Server"]

_TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class BodyConsumer(Protocol):
    """The consumer of request bodies."""

    def take(self, signal: Signal, body: bytes, coding: str, encoding: Encoding) -> IntakeResult:
        """Write a body to the disk, or raise RefusedError."""
        ...

    def health(self) -> bytes:
        """Return the state in JSON."""
        ...


class Server(ThreadingHTTPServer):
    """Accepts connections and gives each a handler in a thread.

    Args:
        address: Host and port.
        handler: The class that handles one connection.
        consumer: The consumer of request bodies.
        access: The access rules.
        limits: The limits.
    """

    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        *,
        consumer: BodyConsumer,
        access: AccessRules,
        limits: Limits,
    ) -> None:
        self.consumer = consumer
        self.access = access
        self.limits = limits
        self.budget = MemoryBudget(limits.waiting_bytes)
        self.stopping = False
        self.refusals: Counter[int] = Counter()
        self.evicted = 0
        self.readers: dict[socket.socket, DeadlineReader | None] = {}
        self._changed = threading.Condition()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without http.server's look-up of the host name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def count_refused(self, status: int) -> None:
        """Count a refused request."""
        with self._changed:
            self.refusals[status] += 1

    # socketserver's types also allow a socket with data, for UDP.
    def process_request(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start a thread for a connection, in place of an idle one if there are too many, or answer 503."""
        with self._changed:
            has_room = len(self.readers) < self.limits.connections or self._evict()
            if has_room:
                self.readers[request] = None
            else:
                self.refusals[503] += 1
        if has_room:
            super().process_request(request, client_address)
            return
        try:
            request.settimeout(0.0)
            request.send(_TOO_MANY_CONNECTIONS)
        except OSError:
            pass
        self.shutdown_request(request)

    def _evict(self) -> bool:
        """Close the connection that has been idle or stalled for longest; return whether there was one."""
        now = time.monotonic()
        waiting = {
            connection: seconds
            for connection, reader in self.readers.items()
            if reader is not None and (seconds := reader.stalled_for(now)) is not None
        }
        if not waiting:
            return False
        longest = max(waiting, key=lambda connection: waiting[connection])
        del self.readers[longest]
        self.evicted += 1
        try:
            longest.shutdown(socket.SHUT_RDWR)  # its thread wakes and ends
        except OSError:
            return True
        return True

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Serve a connection, then make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self.readers.pop(request, None)
                self._changed.notify_all()

    def add_reader(self, request: socket.socket, reader: DeadlineReader) -> None:
        """Register the reader of a connection."""
        with self._changed:
            if request in self.readers:
                self.readers[request] = reader
            if self.stopping:
                _end_reading(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's own
        """Report an error once, except broken connections, which are the sender's problem."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, (ConnectionError, TimeoutError)):
            report("answering a request", error)

    def stop(self, timeout: float) -> bool:
        """Stop listening and wait for running requests; return whether all ended within `timeout` seconds."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        with self._changed:
            for connection, reader in self.readers.items():
                # An idle connection would never end. A request that begins in this moment is lost, and its sender
                # sends it again.
                if reader is not None and reader.is_idle:
                    _end_reading(connection)
            ended = self._changed.wait_for(lambda: not self.readers, timeout)
            for connection in self.readers:
                _end_reading(connection)
        return ended


def _end_reading(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        return
