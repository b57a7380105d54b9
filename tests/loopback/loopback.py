"""A provider's server on loopback: real HTTP and scripted faults; it records every request."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The fault of one request.

    `status` answers with an HTTP error. `drop` closes the connection without an answer. The others apply to streams
    after that many events: `cut_after` breaks the connection, `eof_after` ends the stream cleanly,
    `error_after` sends an error event, `garbage_after` an event that is not JSON, `hold_after` sends nothing more until
    the client leaves or the server closes. On a whole answer, `hold_after` sends nothing at all.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    error: str = "simulated"
    code: str | None = None
    drop: bool = False
    cut_after: int | None = None
    eof_after: int | None = None
    error_after: int | None = None
    garbage_after: int | None = None
    hold_after: int | None = None


@dataclass(frozen=True)
class Recorded:
    """A received request; header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    """The server's answer."""

    text: str = "Good day to you."
    tool_calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    reasoning: str = ""
    finish_reason: str | None = None
    input_tokens: int = 11
    output_tokens: int = 7
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_creation_tokens: int = 0
    refusal: str = ""

    def pieces(self) -> list[str]:
        """Split the text into words."""
        return [word + " " for word in self.text.split(" ")[:-1]] + self.text.split(" ")[-1:] if self.text else []


class Quiet(ThreadingHTTPServer):
    """A server that accepts many connections at once and logs nothing."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect: tests do that on purpose."""


class LoopbackServer:
    """The base of the servers; a subclass writes the vendor's answers.

    Use it as a context manager. `requests` are those received, `reply` is the answer, which has `reply_headers`. Each
    request takes the next of `faults`; None means no fault. `left` is set when a client leaves a held stream.
    """

    def __init__(self, reply: Reply | None = None, *, listen: bool = True) -> None:
        self.reply = reply or Reply()
        self.reply_headers: dict[str, str] = {}
        self.faults: deque[Fault | None] = deque()
        self.requests: list[Recorded] = []
        self.left = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        if not listen:  # the caller needs only its answers
            return
        self._http = Quiet(("127.0.0.1", 0), self.handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Return the address without a path."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join(10)
        self._http.server_close()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the class that answers requests."""
        return _handler(self)

    def record(self, request: Recorded) -> Fault | None:
        """Record a request, and take its fault."""
        with self._lock:
            self.requests.append(request)
            return self.faults.popleft() if self.faults else None

    def error_body(self, fault: Fault) -> dict[str, Any]:
        """Return an error in the vendor's form."""
        return {"error": {"message": fault.error, "type": "simulated", "param": None, "code": fault.code}}

    def whole(self, request: Recorded) -> dict[str, Any]:
        """Return the whole answer."""
        raise LookupError(request.path)

    def events(self, request: Recorded) -> Iterable[bytes]:
        """Return the events of a stream, including those that end it."""
        raise LookupError(request.path)

    def error_event(self) -> bytes:
        """Return an error in the middle of a stream."""
        return sse({"error": {"message": "overloaded", "type": "server_error", "code": 500}})

    def wait_until_left(self, connection: socket.socket) -> None:
        """Wait until the client closes the connection, or the server is closed."""
        connection.settimeout(0.02)
        while not self._closing.is_set():
            try:
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.left.set()


def sse(data: Any, event: str | None = None) -> bytes:
    """Return one server-sent event."""
    head = f"event: {event}\n" if event else ""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{head}data: {text}\n\n".encode()


def _handler(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the tests' output clean."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"null")
            request = Recorded(self.path, {key.lower(): value for key, value in self.headers.items()}, body)
            fault = server.record(request) or Fault()
            try:
                self._answer(request, fault)
            except (BrokenPipeError, ConnectionResetError):
                server.left.set()
                self.close_connection = True

        def _answer(self, request: Recorded, fault: Fault) -> None:
            if fault.drop:
                self._break()
            elif fault.status is not None:
                self._send(fault.status, server.error_body(fault), fault.headers)
            elif request.body.get("stream") is True:
                self._stream(faulty(server, server.events(request), fault), fault)
            else:
                if fault.hold_after is not None:
                    server.wait_until_left(self.connection)
                    self.close_connection = True
                    return
                self._send(200, server.whole(request), server.reply_headers)

        def _break(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in ({"content-type": "application/json", "x-request-id": "req-1"} | headers).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, events: Iterator[bytes], fault: Fault) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            for name, value in server.reply_headers.items():
                self.send_header(name, value)
            self.end_headers()
            for event in events:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
                self.wfile.flush()
            if fault.cut_after is not None:
                self._break()
            elif fault.hold_after is not None:
                server.wait_until_left(self.connection)
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

    return Handler


def faulty(server: LoopbackServer, events: Iterable[bytes], fault: Fault) -> Iterator[bytes]:
    """Yield the events before the fault, then the fault's own event."""
    limits = (fault.cut_after, fault.eof_after, fault.error_after, fault.garbage_after, fault.hold_after)
    limit = next((value for value in limits if value is not None), None)
    for number, event in enumerate(events):
        if number == limit:
            break
        yield event
    if fault.error_after is not None:
        yield server.error_event()
    if fault.garbage_after is not None:
        yield sse('{"broken": ')
