"""A real HTTP server on loopback that notes each request and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Answer", "Hook", "HookReceiver", "hook_receiver"]


@dataclass(frozen=True)
class Answer:
    """What the receiver answers to a request."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    hang: bool = False
    """Whether to answer only when the receiver is closed."""


@dataclass(frozen=True)
class Hook:
    """A request that has come."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class HookReceiver:
    """Notes requests, and answers them in turn with `answers`, then with 200."""

    def __init__(self, answers: Sequence[Answer] = (), port: int = 0) -> None:
        self.requests: list[Hook] = []
        self.answers = list(answers)
        self.released = threading.Event()
        self._came = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(size)
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver._note(Hook(self.path, headers, body))
                if answer.hang:
                    receiver.released.wait(60)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Say nothing: a client may time out before it has its answer."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def _note(self, hook: Hook) -> Answer:
        with self._came:
            self.requests.append(hook)
            self._came.notify_all()
            return self.answers.pop(0) if self.answers else Answer()

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have come."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.requests) >= count, 60), len(self.requests)

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def hook_receiver(answers: Sequence[Answer] = (), port: int = 0) -> Iterator[HookReceiver]:
    """Serve until the end of the block."""
    receiver = HookReceiver(answers, port)
    try:
        yield receiver
    finally:
        receiver.close()
