"""Handle the requests of one connection. Each is answered when its records are on the disk."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import cast

from llmops_sdk._util._guard import Caught, report
from llmops_sdk._version import __version__
from llmops_sdk.collect._bodies import Body, DeadlineReader
from llmops_sdk.collect._refusal import RefusedError, retry_later
from llmops_sdk.collect._responses import CONTENT_TYPES, Signal, error_body, success_body
from llmops_sdk.collect._server import Server
from llmops_sdk.store.otlp._read import Encoding

__all__ = ["RequestHandler"]

_SIGNALS: Mapping[str, Signal] = {"/v1/traces": "traces", "/v1/logs": "logs"}
_HEALTH = "/healthz"
_ENCODINGS: Mapping[str, Encoding] = {
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/json": "json",
}
_CODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_DRAIN_SECONDS = 2.0
_DRAIN_BYTES = 64 * 1024 * 1024
_WRITE_SECONDS = 10.0


class RequestHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = f"llmops/{__version__}"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # send a response in one piece

    def setup(self) -> None:
        """Replace the input stream by one with deadlines."""
        super().setup()
        self._server = cast("Server", self.server)
        limits = self._server.limits
        self._reader = DeadlineReader(self.connection, idle=limits.idle_seconds, request=limits.request_seconds)
        self.rfile.close()
        self.rfile = io.BufferedReader(self._reader, 65_536)
        self._encoding: Encoding = "json"
        self._has_unread_body = False
        self._server.add_reader(self.connection, self._reader)

    def handle_one_request(self) -> None:
        """Wait for a request and answer it."""
        self._encoding = "json"
        self._reader.begin()
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True
        if self._server.stopping:
            self.close_connection = True

    def finish(self) -> None:
        """Close; if input is unread, drain it first, as closing at once would discard the response."""
        super().finish()
        if self._has_unread_body:
            self._drain()

    def _drain(self) -> None:
        deadline, left = time.monotonic() + _DRAIN_SECONDS, _DRAIN_BYTES
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and (wait := deadline - time.monotonic()) > 0:
                self.connection.settimeout(wait)
                size = len(self.connection.recv(65_536))
                if not size:
                    break
                left -= size
        except OSError:
            return

    def do_POST(self) -> None:
        """Receive spans or scores."""
        self._respond(self._post)

    def do_GET(self) -> None:
        """Return the collector's state."""
        self._respond(self._get)

    def _respond(self, handle: Callable[[], bytes]) -> None:
        self._has_unread_body = True
        with Caught() as caught:
            content = handle()
            self._has_unread_body = False
            self._send(200, content)
        error = caught.error
        if isinstance(error, RefusedError):
            self._refuse(error)
        elif isinstance(error, OSError):
            raise error
        elif isinstance(error, Exception):
            report("receiving a request", error)
            self._refuse(RefusedError(500, "the request failed; see the collector's log"))

    def _post(self) -> bytes:
        signal = self._check_target("POST")
        coding = self._coding()
        body = Body(self.headers, self.rfile, self._server.limits.body_bytes, self._server.budget)
        try:
            content = body.read()
            self._has_unread_body = False
            assert signal is not None
            result = self._server.consumer.take(signal, content, coding, self._encoding)
            return success_body(signal, result, self._encoding)
        finally:
            body.release()

    def _get(self) -> bytes:
        self._check_target("GET")
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            # Nothing reads this body, so it would be parsed as the next request.
            self.close_connection = True
        return self._server.consumer.health()

    def do_HEAD(self) -> None:
        """Refuse the method."""
        self._has_unread_body = True
        self._refuse(RefusedError(405, "use GET or POST", {"Allow": "GET, POST"}))

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD  # noqa: N815 - http.server's names

    def _check_target(self, method: str) -> Signal | None:
        """Return the signal of the path, None for the health check; refuse a wrong method, path or type."""
        content_type = self.headers.get_content_type() if "Content-Type" in self.headers else ""
        encoding = _ENCODINGS.get(content_type)
        self._encoding = encoding or "json"
        self._server.access.check(self.headers)
        path = self.path.partition("?")[0]
        signal = _SIGNALS.get(path)
        if signal is None and path != _HEALTH:
            raise RefusedError(404, f"unknown path {path[:100]!r}: use /v1/traces, /v1/logs or {_HEALTH}")
        allowed = "GET" if signal is None else "POST"
        if method != allowed:
            raise RefusedError(405, f"use {allowed} for {path}", {"Allow": allowed})
        if signal is not None and encoding is None:
            raise RefusedError(
                415, f"unsupported type {content_type[:100]!r}: use application/x-protobuf or application/json"
            )
        return signal

    def _coding(self) -> str:
        named = ",".join(self.headers.get_all("Content-Encoding", [])).strip().lower()
        if named not in _CODINGS:
            raise RefusedError(
                415, f"unsupported encoding {named[:100]!r}: use gzip or deflate", {"Accept-Encoding": "gzip, deflate"}
            )
        return _CODINGS[named]

    def handle_expect_100(self) -> bool:
        """Ask for the body at once; errors are reported after it."""
        done = super().handle_expect_100()
        self.wfile.flush()
        return done

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that http.server cannot parse, or with an unknown method."""
        self._has_unread_body = True
        self.request_version = self.protocol_version  # else http.server may omit the status line
        self._refuse(RefusedError(400 if code == 501 else code, message or explain or "this is not an HTTP request"))

    def _refuse(self, refusal: RefusedError) -> None:
        if self._server.stopping and refusal.status == 400:
            # A request that the stop cuts off looks malformed, but senders do not retry after a 400.
            refusal = retry_later("the collector is stopping: send this again")
        self._server.count_refused(refusal.status)
        if self._has_unread_body:
            self.close_connection = True
        self._send(refusal.status, error_body(refusal.status, refusal.message, self._encoding), refusal.headers)

    def _send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.connection.settimeout(_WRITE_SECONDS)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", CONTENT_TYPES[self._encoding])
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection or self._server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing. Requests are counted instead."""
