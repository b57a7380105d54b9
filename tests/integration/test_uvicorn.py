"""uvicorn alone, with workers and with its reloader. After a graceful stop, the signal ends it without `atexit`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import requests
from real_backends import free_port
from real_servers import Running, names, running, wait

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

APP = """
import os
import llmops_sdk as llmops


@llmops.trace("request")
async def request(path):
    return f"VERSION {os.getpid()}"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await llmops.aflush()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = "ok" if scope["path"] == "/health" else await request(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})
"""


def write_app(folder: Path, version: str = "first", *, lifespan: bool = True) -> None:
    source = APP.replace("VERSION", version)
    if not lifespan:
        source = source.replace('scope["type"] == "lifespan"', "False").replace(
            "    body = ", '    assert scope["type"] == "http"\n    body = '
        )
    # In one step: the reloader must not import a part of it.
    part = folder / "uvicorn_app.part"
    part.write_text(source)
    part.replace(folder / "uvicorn_app.py")


def command(port: int, *more: str) -> list[str]:
    return ["uvicorn", "uvicorn_app:app", "--port", str(port), "--log-level", "warning", *more]


def status_without_us(folder: Path, *more: str) -> int:
    """Return the exit status of the same server with the SDK turned off."""
    port = free_port()
    with running(folder, *command(port, *more), port=port, LLMOPS_ENABLED="false") as server:
        server.get("/off")
        return server.stop()


# By default uvicorn kills a worker that does not answer for 5 s, as on a busy machine.
WORKERS = ["--workers", "2", "--timeout-worker-healthcheck", "120"]


@pytest.mark.parametrize("more", [[], WORKERS], ids=["one process", "two workers"])
def test_stop_right_after_the_last_answer_keeps_all_spans(tmp_path: Path, more: list[str]) -> None:
    write_app(tmp_path)
    port = free_port()
    with running(tmp_path, *command(port, *more), port=port) as server:
        for number in range(100):
            server.get(f"/{number}")
        status = server.stop()
    assert names(tmp_path) == {"request": 100}
    assert status == status_without_us(tmp_path, *more)
    assert names(tmp_path) == {"request": 100}


def test_ctrl_c_keeps_all_spans(tmp_path: Path) -> None:
    write_app(tmp_path)
    port = free_port()
    with running(tmp_path, *command(port), port=port) as server:
        for number in range(20):
            server.get(f"/{number}")
        server.stop(signal.SIGINT)
    assert names(tmp_path) == {"request": 20}


def test_written_spans_are_stored_once_without_a_lifespan(tmp_path: Path) -> None:
    write_app(tmp_path, lifespan=False)
    port = free_port()
    interval = {"LLMOPS_TRACING__FLUSH_INTERVAL": "0.05"}
    with running(tmp_path, *command(port, "--lifespan", "off"), port=port, **interval) as server:
        for number in range(20):
            server.get(f"/{number}")
        wait(lambda: names(tmp_path), lambda found: found == {"request": 20}, "the spans of a server that runs")
        assert server.stop() == -signal.SIGTERM
    assert names(tmp_path) == {"request": 20}


def test_reloads_keep_all_spans(tmp_path: Path) -> None:
    write_app(tmp_path)
    port = free_port()
    asked = answered = 0

    def version(server: Running) -> str:
        nonlocal asked, answered
        if not server.answers():
            return ""
        asked += 1
        try:
            found = server.get("/version").split()[0]
        except requests.ConnectionError:  # the old server took the connection, and ended before the request came
            return ""
        answered += 1
        return found

    with running(tmp_path, *command(port, "--reload"), port=port) as server:
        assert version(server) == "first"
        for new in ("second", "third"):
            write_app(tmp_path, new)
            wait(lambda: version(server), lambda found, new=new: found == new, f"the {new} version")
            for _ in range(20):
                assert version(server) == new
        status = server.stop()
    found = names(tmp_path)
    assert found.keys() == {"request"}
    assert answered <= found["request"] <= asked
    assert status == status_without_us(tmp_path, "--reload")
