"""gunicorn with two workers: the store has the spans of each process once, after a reload and a stop."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from real_backends import free_port
from real_servers import Running, names, running, wait

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

APP = """
import os
import llmops_sdk as llmops

llmops.configure()


@llmops.trace
def work(name):
    return str(os.getpid())


work("module")


def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = "ok" if path == "/health" else request(path)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]


@llmops.trace("request")
def request(path):
    return work(path)
"""


def workers_of(server: Running) -> tuple[Counter[str], int]:
    """Send requests until two workers have answered; return the answers of each, and the number of requests."""
    pids: Counter[str] = Counter()

    def ask() -> int:
        pids[server.get("/before")] += 1
        return len(pids)

    wait(ask, lambda count: count == 2, "an answer of both workers")
    return pids, pids.total()


@pytest.mark.parametrize("preload", [["--preload"], []], ids=["preload", "no preload"])
def test_spans_of_both_workers_survive_a_reload_and_a_stop(tmp_path: Path, preload: list[str]) -> None:
    (tmp_path / "gunicorn_app.py").write_text(APP)
    port = free_port()
    command = ["gunicorn", *preload, "--workers", "2", "--bind", f"127.0.0.1:{port}", "gunicorn_app:app"]
    with running(tmp_path, *command, port=port) as server:
        before, asked = workers_of(server)
        server.process.send_signal(signal.SIGHUP)
        after: Counter[str] = Counter()

        def ask() -> int:
            after[server.get("/after")] += 1
            return len(after.keys() - before.keys())

        wait(ask, lambda count: count == 2, "an answer of two new workers")
        # The old workers have ended; only the new ones answer until the stop.
        for number in range(50):
            after[server.get(f"/{number}")] += 1
        asked += after.total()
        assert server.stop() == 0
    found = names(tmp_path)
    assert found["request"] == asked
    loads = 1 if preload else 4
    assert found["work"] - asked == loads


def test_spans_survive_an_interrupt(tmp_path: Path) -> None:
    (tmp_path / "gunicorn_app.py").write_text(APP)
    port = free_port()
    with running(
        tmp_path, "gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "gunicorn_app:app", port=port
    ) as server:
        for number in range(20):
            server.get(f"/{number}")
        assert server.stop(signal.SIGINT) == 0
    assert names(tmp_path) == {"request": 20, "work": 21}
