"""A provider that plays one fault per call: real HTTP on loopback, OpenAI's and Anthropic's API on one port.

The prompt names the `Scene` of a request. The first part of the path names the provider:
"first" plays the scene, "second" answers well. So one server serves thousands of calls of several programs, and the
clients need no changes.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from anthropic_server import AnthropicServer
from loopback import LoopbackServer, Recorded, Reply
from openai_server import OpenAIServer

TEXT = "One two three four five six."
"""The answer to a call without tools."""
CALLS = (("find", {"name": "Ada"}), ("pay", {"amount": 3}))
"""The answer to a call with tools: two tool calls."""
PACE = 0.1
"""Seconds between the pieces of a drip."""
PATIENCE = 30.0
"""Seconds after which the server releases a client and counts the call as hung."""


@dataclass
class Scene:
    """One call: how the first provider answers its requests, and what the server saw.

    Attributes:
        plays: The reactions to the requests, in order. Further requests get the last one if `persistent`, otherwise
            the good answer.
        persistent: Whether the fault stays.
        asked: Number of requests that each provider got.
        held: Number of connections on which the client had to wait.
        gone: Number of these that the client closed.
        hung: Whether the server had to release the client.
        free: Set while the client waits on no connection.
    """

    plays: tuple[Play, ...] = ()
    persistent: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    held: int = 0
    gone: int = 0
    hung: bool = False
    free: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.free.set()


Play = Callable[["Exchange"], None]
"""Answers, or fails to answer, one request."""


def prompt_of(body: dict[str, Any]) -> str:
    """Return the text of the last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class Exchange:
    """One request, and the ways to answer it well or badly."""

    def __init__(self, server: FaultServer, handler: BaseHTTPRequestHandler, request: Recorded, scene: Scene) -> None:
        self._server = server
        self._handler = handler
        self._scene = scene
        self.request = request
        reply = Reply(text="", tool_calls=CALLS) if request.body.get("tools") else Reply(text=TEXT)
        self.anthropic = request.path.endswith("/messages")
        vendor = AnthropicServer if self.anthropic else OpenAIServer
        self.vendor: LoopbackServer = vendor(reply, listen=False)
        self.streaming = request.body.get("stream") is True

    @property
    def reply(self) -> Reply:
        """Return the good answer's content."""
        return self.vendor.reply

    def events(self) -> list[bytes]:
        """Return the events of the good answer."""
        return list(self.vendor.events(self.request))

    def opening(self) -> int:
        """Return the number of events before the first piece of the answer."""
        return 2 if self.anthropic and self.reply.text else 1  # the start of a tool's block names the tool

    def first_pieces(self) -> list[bytes]:
        """Return the events up to some pieces of the answer, before its end."""
        return self.events()[: self.opening() + 3]

    def body(self) -> bytes:
        """Return the good answer, whole."""
        return json.dumps(self.vendor.whole(self.request)).encode()

    def ping(self) -> bytes:
        """Return an empty event, as servers send to keep a connection open."""
        return b'event: ping\ndata: {"type": "ping"}\n\n' if self.anthropic else b": keep-alive\n\n"

    # --- Send ---

    def head(self, status: int = 200, **headers: str) -> None:
        """Send the status and the headers; `_` in a name becomes `-`."""
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.flush()

    def chunk(self, data: bytes) -> None:
        """Send a chunk of a body without a length."""
        self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    def raw(self, data: bytes) -> None:
        """Send bytes unchanged."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def start_stream(self, kind: str = "text/event-stream") -> None:
        """Send the headers of a stream."""
        self.head(content_type=kind, transfer_encoding="chunked")

    def end_stream(self) -> None:
        """End a stream as HTTP requires."""
        self.raw(b"0\r\n\r\n")

    def answer(self, body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        """Send a whole answer."""
        self.head(status, content_type=kind, content_length=str(len(body)), x_request_id="req-1", **headers)
        self.raw(body)

    def well(self) -> None:
        """Send the good answer, whole or as a stream."""
        if not self.streaming:
            self.answer(self.body())
            return
        self.start_stream()
        for event in self.events():
            self.chunk(event)
        self.end_stream()

    # --- Disturb the connection ---

    def reset(self) -> None:
        """Close the connection at once."""
        self._handler.close_connection = True
        with suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Send nothing more, until the client leaves."""
        self.drip(iter(()))

    def drip(self, pieces: Iterator[bytes]) -> None:
        """Send pieces at a steady pace, then nothing, until the client leaves."""
        self._handler.close_connection = True
        with self._server.lock:
            self._scene.held += 1
            self._scene.free.clear()
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                self._scene.hung |= not self._until_left(pieces)
        finally:
            with self._server.lock:
                self._scene.gone += 1
                if self._scene.gone == self._scene.held:
                    self._scene.free.set()

    def _until_left(self, pieces: Iterator[bytes]) -> bool:
        connection = self._handler.connection
        connection.settimeout(PACE)
        for _ in range(int(PATIENCE / PACE)):
            if self._server.closing.is_set():
                break
            try:
                if connection.recv(1) == b"":
                    return True
            except TimeoutError:
                if (piece := next(pieces, None)) is not None:
                    self.raw(piece)
        return False

    def pause(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._server.closing.wait(seconds)


class FaultServer(LoopbackServer):
    """Plays the scenes; use it as a context manager.

    `refusing` is the address of a port that is reserved and refuses connections.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scenes: dict[str, Scene] = {}
        self.lock = threading.Lock()
        self._reserved = socket.socket()
        self._reserved.bind(("127.0.0.1", 0))
        self.refusing = f"http://127.0.0.1:{self._reserved.getsockname()[1]}"

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._reserved.close()

    @property
    def closing(self) -> threading.Event:
        """Return the event that is set when the server closes."""
        return self._closing

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the class that answers requests."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the output clean."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"null")
                headers = {key.lower(): value for key, value in self.headers.items()}
                try:
                    server.play(self, Recorded(self.path, headers, body))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        return Handler

    def play(self, handler: BaseHTTPRequestHandler, request: Recorded) -> None:
        """Answer one request as its scene says."""
        who = request.path.split("/")[1]
        scene = self.scenes[prompt_of(request.body)]
        with self.lock:
            number = scene.asked[who]
            scene.asked[who] += 1
        plays = scene.plays if who == "first" else ()
        if number >= len(plays) and not (plays and scene.persistent):
            Exchange(self, handler, request, scene).well()
        else:
            plays[min(number, len(plays) - 1)](Exchange(self, handler, request, scene))
