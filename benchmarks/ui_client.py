"""A client of a running `llmops ui`: requests over one connection, streams, and what the server uses."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from real_browser import Served, serve_page

__all__ = ["Event", "Page", "cpu_seconds", "served", "settled_cpu"]

WITHIN = 120.0
_TICK = 0.01
_QUIET = 0.15
_IDLE = 2.0
"""Seconds, fewer than the server's own, after which a connection is opened anew."""


class Event(NamedTuple):
    """An event of a stream."""

    name: str
    data: Any
    after: float
    """Seconds since the request."""
    at: float
    """`time.time()` when it came."""


class Page:
    """A logged-in client.

    Args:
        page: The server.
    """

    def __init__(self, page: Served) -> None:
        assert page.process is not None
        self.pid = page.process.pid
        at = urlsplit(page.address)
        self._host, self._port = at.hostname or "", at.port or 0
        self._connection = http.client.HTTPConnection(self._host, self._port, timeout=WITHIN)
        self._cookie = ""
        self._connection.request("GET", f"{at.path}?{at.query}")
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = (answer.getheader("Set-Cookie") or "").split(";")[0]
        assert self._cookie, answer.status
        self._asked = time.monotonic()

    def timed(self, path: str) -> tuple[float, bytes]:
        """Return the seconds until all of an answer is there, and the answer."""
        if time.monotonic() - self._asked > _IDLE:
            self._connection.close()
            self._connection.connect()
        begin = time.perf_counter()
        self._connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = self._connection.getresponse()
        content = answer.read()
        took, self._asked = time.perf_counter() - begin, time.monotonic()
        assert answer.status == 200, (path, answer.status, content[:500])
        return took, content

    def json(self, path: str) -> Any:
        """Return an answer."""
        return json.loads(self.timed(path)[1])

    @contextlib.contextmanager
    def stream(self, path: str) -> Generator[Iterator[Event]]:
        """Open a stream; leaving the block closes its connection."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=WITHIN)
        begin = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status)
        raw = connection.sock
        try:
            yield _events(answer, begin)
        finally:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)
            answer.close()
            connection.close()

    def again(self) -> Page:
        """Return another connection with the same cookie."""
        other = object.__new__(Page)
        other.__dict__.update(self.__dict__)
        other._connection = http.client.HTTPConnection(self._host, self._port, timeout=WITHIN)
        return other

    def memory_mb(self) -> float:
        """Return the megabytes of the server that lie in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu(self) -> float:
        """Return the CPU seconds of the server's threads, to a hundredth."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _events(answer: http.client.HTTPResponse, begin: float) -> Iterator[Event]:
    name = ""
    while line := answer.readline():
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text[7:]
        elif text.startswith("data: "):
            yield Event(name, json.loads(text[6:]), time.perf_counter() - begin, time.time())


@contextlib.contextmanager
def served(store: str, *options: str) -> Generator[Page]:
    """Run `llmops ui` over a store."""
    with serve_page(Path(store), *options) as page:
        yield Page(page)


def settled_cpu(page: Page) -> float:
    """Return the seconds until the server uses no CPU any more."""
    begin = last = time.perf_counter()
    before = page.cpu()
    while time.perf_counter() - last < _QUIET:
        time.sleep(_TICK)
        if (now := page.cpu()) > before:
            before, last = now, time.perf_counter()
        assert last - begin < WITHIN, "the server never comes to rest"
    return last - begin
