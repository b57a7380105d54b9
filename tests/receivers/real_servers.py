"""Real application servers on this machine, and the spans that their processes stored.

They run with the interpreter of the tests, which has the SDK; the servers themselves come from an environment of their
own (see `real_backends`), whose packages are put on the path.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import requests
from real_backends import environment

import llmops_sdk as llmops

__all__ = ["Running", "names", "running", "wait"]

_T = TypeVar("_T")


def wait(read: Callable[[], _T], done: Callable[[_T], bool], what: str) -> _T:
    """Poll until the value is as expected, for at most two minutes: the machine may be busy."""
    end = time.monotonic() + 120
    while not done(value := read()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within two minutes; the last answer was {value!r:.2000}")
        time.sleep(0.05)
    return value


def names(folder: Path) -> dict[str, int]:
    """Return how many spans of each name the folder's store has; check that none is there twice."""
    sql = "SELECT name, count(*), count(DISTINCT span_id), list(DISTINCT status) FROM spans GROUP BY ALL"
    rows = llmops.query(sql, path=folder / "store").rows()
    assert all(every == distinct and statuses == ["ok"] for _, every, distinct, statuses in rows), rows
    return {name: count for name, count, _, _ in rows}


class Running:
    """A running server and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, url: str) -> None:
        self.process = process
        self.url = url
        self._log = log

    @property
    def said(self) -> str:
        """Return the output so far."""
        return self._log.read_text()

    def get(self, path: str = "/") -> str:
        """Request a page on a new connection; return the body."""
        answer = requests.get(self.url + path, timeout=30, headers={"Connection": "close"})
        assert answer.status_code == 200, answer.text
        return answer.text

    def answers(self) -> bool:
        """Return whether the server answers."""
        assert self.process.poll() is None, self.said
        try:
            return requests.get(self.url + "/health", timeout=5).ok
        except requests.RequestException:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the first process; return its status once all processes are gone."""
        self.process.send_signal(number)
        status = self.process.wait(120)
        wait(self._left, lambda left: not left, "the end of the server's processes")
        for bad in ("Traceback", "llmops", "DeprecationWarning"):
            assert bad not in self.said, self.said
        return status

    def _left(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


@contextmanager
def running(
    folder: Path, *command: str, port: int = 0, packages_of: str = "servers", **environ: str
) -> Iterator[Running]:
    """Run `python -m command` in the folder, with a store in it; kill it at the end if it still runs."""
    bin_folder = environment(packages_of)
    (packages,) = bin_folder.parent.glob("lib/python*/site-packages")
    log = folder / "log"
    path = [str(packages), str(folder), os.environ.get("PYTHONPATH", "")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, path)),
                "PYTHONUNBUFFERED": "1",
                "LLMOPS_STORE__PATH": str(folder / "store"),
                # Only the end of the process, or its documented hook, writes the queue.
                "LLMOPS_TRACING__FLUSH_INTERVAL": "3600",
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Running(process, log, f"http://127.0.0.1:{port}")
    try:
        if port:
            wait(server.answers, bool, f"an answer of {command[0]}")
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
