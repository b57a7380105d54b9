"""One connection: its requests, one after another, each answered when what it brought is on the disk."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, cast

from llmops_sdk._util._guard import Caught, report
from llmops_sdk._version import __version__
from llmops_sdk.collect._answers import CONTENT_TYPES, Signal, accepted, refused
from llmops_sdk.collect._bodies import Body, DeadlineReader
from llmops_sdk.collect._refusal import RefusedError, later
from llmops_sdk.store.otlp._read import Encoding

if TYPE_CHECKING:
    from llmops_sdk.collect._server import Server

__all__ = ["RequestHandler"]

_SIGNALS: Mapping[str, Signal] = {"/v1/traces": "traces", "/v1/logs": "logs"}
_HEALTH = "/healthz"
_ENCODINGS: Mapping[str, Encoding] = {
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/json": "json",
}
_CODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 64 * 1024 * 1024
_WRITE_SECONDS = 10.0


class RequestHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    server_version = f"llmops/{__version__}"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer goes out in one piece

    def setup(self) -> None:
        """Read with deadlines."""
        super().setup()
        self._server = cast("Server", self.server)
        limits = self._server.limits
        self.reader = DeadlineReader(self.connection, idle=limits.idle_seconds, request=limits.request_seconds)
        self.rfile.close()
        self.rfile = io.BufferedReader(self.reader, 65_536)
        self._encoding: Encoding = "json"
        self._unread = False
        self._server.serves(self.connection, self)

    def handle_one_request(self) -> None:
        """Wait for a request and answer it."""
        self._encoding = "json"
        self.reader.begin()
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True
        if self._server.stopping:
            self.close_connection = True

    def finish(self) -> None:
        """Let the answer arrive where more was sent than was read: closing at once would take it back."""
        super().finish()
        if self._unread:
            self._linger()

    def _linger(self) -> None:
        deadline, left = time.monotonic() + _LINGER_SECONDS, _LINGER_BYTES
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and (wait := deadline - time.monotonic()) > 0:
                self.connection.settimeout(wait)
                got = len(self.connection.recv(65_536))
                if not got:
                    break
                left -= got
        except OSError:
            return

    # --- the methods ------------------------------------------------------------------------------------------

    def do_POST(self) -> None:
        """Take spans or scores."""
        self._respond(self._post)

    def do_GET(self) -> None:
        """Say how it goes."""
        self._respond(self._get)

    def _respond(self, work: Callable[[], bytes]) -> None:
        self._unread = True
        with Caught() as wrong:
            content = work()
            self._unread = False
            self._answer(200, content)
        error = wrong.error
        if isinstance(error, RefusedError):
            self._refuse(error)
        elif isinstance(error, OSError):
            raise error
        elif isinstance(error, Exception):
            report("taking a request", error)
            self._refuse(RefusedError(500, "this request could not be handled; the collector's log says why"))

    def _post(self) -> bytes:
        signal = self._begin("POST")
        coding = self._coding()
        body = Body(self.headers, self.rfile, self._server.limits.body_bytes, self._server.budget)
        try:
            content = body.read()
            self._unread = False
            assert signal is not None
            return accepted(signal, self._server.take(signal, content, coding, self._encoding), self._encoding)
        finally:
            body.release()

    def _get(self) -> bytes:
        self._begin("GET")
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            # A body that nobody reads would be taken for the next request.
            self.close_connection = True
        return self._server.health()

    def do_HEAD(self) -> None:
        """Not for any path."""
        self._unread = True
        self._refuse(RefusedError(405, "GET or POST", {"Allow": "GET, POST"}))

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD  # noqa: N815 - http.server's names

    def _begin(self, method: str) -> Signal | None:
        """The signal that a path is for; refuses what is not allowed here."""
        kind = self.headers.get_content_type() if "Content-Type" in self.headers else ""
        encoding = _ENCODINGS.get(kind)
        self._encoding = encoding or "json"
        self._server.access.check(self.headers)
        path = self.path.partition("?")[0]
        signal = _SIGNALS.get(path)
        if signal is None and path != _HEALTH:
            raise RefusedError(404, f"there is nothing at {path[:100]!r}: /v1/traces, /v1/logs, {_HEALTH}")
        allowed = "GET" if signal is None else "POST"
        if method != allowed:
            raise RefusedError(405, f"{path} takes {allowed}", {"Allow": allowed})
        if signal is not None and encoding is None:
            raise RefusedError(
                415, f"content of the type {kind[:100]!r} is not taken: application/x-protobuf, application/json"
            )
        return signal

    def _coding(self) -> str:
        named = ",".join(self.headers.get_all("Content-Encoding", [])).strip().lower()
        if named not in _CODINGS:
            raise RefusedError(
                415, f"the encoding {named[:100]!r} is not taken: gzip, deflate", {"Accept-Encoding": "gzip, deflate"}
            )
        return _CODINGS[named]

    # --- answers ----------------------------------------------------------------------------------------------

    def handle_expect_100(self) -> bool:
        """Have the body sent at once: what is wrong with the request is said then."""
        done = super().handle_expect_100()
        self.wfile.flush()
        return done

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """As http.server asks for it: a request line or headers that cannot be read, an unknown method."""
        self._unread = True
        self.request_version = self.protocol_version  # so that a status is written, whatever was read
        self._refuse(RefusedError(400 if code == 501 else code, message or explain or "this is no request"))

    def _refuse(self, refusal: RefusedError) -> None:
        if self._server.stopping and refusal.status == 400:
            # What the stop cut off looks malformed; senders drop what a 400 answers.
            refusal = later("the collector stops: send this again")
        self._server.count_refused(refusal.status)
        if self._unread:
            self.close_connection = True
        self._answer(refusal.status, refused(refusal.status, refusal.message, self._encoding), refusal.headers)

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
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
        """Quiet: requests are counted."""
