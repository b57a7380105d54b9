"""The HTTP server of `/metrics` and `/healthz`, on loopback unless the settings say otherwise."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import report
from llmops_sdk._version import __version__
from llmops_sdk.collect._access import AccessRules, is_loopback
from llmops_sdk.collect._refusal import RefusedError
from llmops_sdk.errors import ConfigError, StoreError
from llmops_sdk.monitoring.prometheus._metrics import MetricsText
from llmops_sdk.monitoring.prometheus._reader import CallReader
from llmops_sdk.monitoring.prometheus._source import MonitorState, NoState
from llmops_sdk.monitoring.prometheus._text import CONTENT_TYPE

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["MetricsServer", "open_metrics"]

_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):(?P<port>[0-9]{1,5})")
_CONNECTIONS = 16
_LATE = 3
"""Intervals without an evaluation after which `/healthz` says so."""


class MetricsServer:
    """Serves until `close`.

    Args:
        address: Host and port; port 0 takes a free one.
        reader: The counters of calls.
        state: The state of the watcher.
        interval: Seconds from one evaluation to the next.
        clock: The time.

    Raises:
        ConfigError: The address cannot be listened on.
    """

    def __init__(
        self, address: tuple[str, int], reader: CallReader, state: MonitorState, *, interval: float, clock: Clock
    ) -> None:
        self._reader = reader
        self._state = state
        self._interval = interval
        self._clock = clock
        self._began = clock.time()
        self._text = MetricsText(reader, state)
        try:
            self._server = _Server(address, self)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {address[0]}:{address[1]}: {error.strerror}; choose another [watch] listen",
                key="watch.listen",
            ) from error
        self.address = (address[0], int(self._server.server_address[1]))
        """Host and port."""

    def start(self) -> None:
        """Serve and count in the background."""
        self._reader.start()
        start_daemon(lambda: self._server.serve_forever(poll_interval=0.2), "llmops-metrics-server")

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._reader.close()

    def answer(self, path: str) -> tuple[int, bytes, str]:
        """Return status, body and content type of a request.

        Args:
            path: The path, without the query.
        """
        if path == "/metrics":
            try:
                return 200, self._text.render(), CONTENT_TYPE
            except StoreError as error:
                report("answering /metrics", error)
                return 503, b"the store cannot be read; see the log\n", "text/plain; charset=utf-8"
        if path == "/healthz":
            return self._health()
        return 404, b"this server has /metrics and /healthz\n", "text/plain; charset=utf-8"

    def _health(self) -> tuple[int, bytes, str]:
        last = self._state.last_evaluation()
        age = self._clock.time() - (self._began if last is None else last)
        late = not isinstance(self._state, NoState) and abs(age) > _LATE * self._interval
        body = {"status": "late" if late else "ok", "last_evaluation": last, "interval": self._interval}
        return 503 if late else 200, json.dumps(body).encode() + b"\n", "application/json"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], metrics: MetricsServer) -> None:
        self.metrics = metrics
        self.access = AccessRules(any_host=not is_loopback(address[0]), hosts=(), token=None)
        self.room = threading.BoundedSemaphore(_CONNECTIONS)
        host = address[0].strip("[]")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, address[1]), _Handler)

    def server_bind(self) -> None:
        """Bind without http.server's look-up of the host name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start a thread for a connection, or close it if there are too many."""
        if self.room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Serve a connection, then make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's own
        """Report an error once, except broken connections."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, ConnectionError | TimeoutError):
            report("answering a scrape", error)


class _Handler(BaseHTTPRequestHandler):
    server_version = f"llmops/{__version__}"
    sys_version = ""
    timeout = 10.0

    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        try:
            server.access.check(self.headers)
        except RefusedError as error:
            self._send(error.status, b"this Host or Origin is not allowed\n", "text/plain; charset=utf-8")
            return
        self._send(*server.metrics.answer(self.path.partition("?")[0]))

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a scrape comes every few seconds."""


def open_metrics(
    settings: Settings,
    folder: Path,
    state: MonitorState | None = None,
    *,
    listen: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> MetricsServer | None:
    """Return the server of `[watch] listen`, which is not started yet, or None without an address.

    Args:
        settings: The settings in force.
        folder: The store's folder.
        state: The state of the watcher, or None where no rules are evaluated.
        listen: The address, instead of the one of the settings.
        clock: The time.

    Raises:
        ConfigError: The address is not of the form host:port, or cannot be listened on.
        StoreError: The store cannot be read.
    """
    listen = listen or settings.watch.listen
    if not listen:
        return None
    found = _LISTEN.fullmatch(listen)
    if found is None or int(found["port"]) > 65_535:
        raise ConfigError(
            '[watch] listen must be a host and a port, as in "127.0.0.1:9464"', key="watch.listen", value=listen
        )
    return MetricsServer(
        (found["host"], int(found["port"])),
        CallReader(settings, folder),
        state or NoState(),
        interval=settings.watch.interval,
        clock=clock,
    )
