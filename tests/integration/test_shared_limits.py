"""A limit over four processes that share a server, through the public functions; one of them is killed in a call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from real_backends import eventually
from shared_servers import PostgresServer, RedisServer, Server, library_path, serve

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_namespaces = count()
CALLS = 20
LIMIT = 3

PROGRAM = """
import asyncio, os, sys, threading
from pathlib import Path
import llmops_sdk as llmops
from llmops_sdk.providers import Response
from llmops_sdk.shared import _postgres_server, _redis_server
from llmops_sdk.testing import use_provider

# The machine may be slow, and a server that seems to be away is another test's subject.
_redis_server._TIMEOUT = _postgres_server._STATEMENT_SECONDS = _postgres_server._SILENT_SECONDS = 90.0
url, namespace, name, folder, calls, limit = sys.argv[1:]
folder, numbers, lock = Path(folder), iter(range(10_000)), threading.Lock()

class Upstream:
    name = "upstream"

    def inside(self):
        with lock:
            mark = folder / f"in {name} {next(numbers)}"
        mark.touch()
        with (folder / f"seen {name}").open("a") as seen:
            seen.write(f"{len(list(folder.glob('in *')))}\\n")
        return mark

    def complete(self, request):
        mark = self.inside()
        if name == "0":
            threading.Event().wait(600)  # until it is killed
        mark.unlink()
        return Response(text="Fine.", finish_reason="stop")

    async def acomplete(self, request):
        mark = self.inside()
        await asyncio.sleep(0)
        mark.unlink()
        return Response(text="Fine.", finish_reason="stop")

llmops.configure(
    model="offline/echo", shared={"url": url, "namespace": namespace}, store={"path": str(folder / f"store {name}")},
    limits={"concurrency": int(limit), "queue_timeout": 300.0}, timeout={"total": 300.0}, retry={"attempts": 1},
)

def in_threads():
    for _ in range(int(calls) // 4):
        llmops.chat("Hello")

async def in_tasks():
    await asyncio.gather(*(llmops.achat("Hello") for _ in range(int(calls) // 2)))

with use_provider(Upstream()):
    threads = [threading.Thread(target=in_threads) for _ in range(1 if name == "0" else 2)]
    for thread in threads:
        thread.start()
    if name != "0":
        asyncio.run(in_tasks())
    for thread in threads:
        thread.join()
(folder / f"ended {name}").touch()
"""


@pytest.fixture(scope="module", params=[RedisServer, PostgresServer], ids=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param) as one:
        yield one


def test_calls_of_four_processes_never_exceed_the_limit_and_a_killed_one_holds_nobody_up(server, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), library_path()])}
    arguments = [server.url, f"limits{next(_namespaces)}"]

    def start(name: str) -> subprocess.Popen[bytes]:
        given = [*arguments, name, str(tmp_path), str(CALLS), str(LIMIT)]
        return subprocess.Popen([sys.executable, "-c", PROGRAM, *given], env=environment)

    programs = [start("0")]
    try:
        eventually(lambda: (tmp_path / "seen 0").exists(), bool, "its call")
        programs += [start(name) for name in "123"]
        eventually(lambda: len(seen(tmp_path)), lambda calls: calls > 3, "calls of the others", within=200.0)
        programs[0].send_signal(signal.SIGKILL)
        programs[0].wait(60)
        eventually(lambda: len(list(tmp_path.glob("ended *"))), lambda ended: ended == 3, "their end", within=300.0)
    finally:
        for program in programs:
            program.kill()
            program.wait(60)
    assert len(seen(tmp_path)) == 1 + 3 * CALLS
    assert max(seen(tmp_path)) <= LIMIT


def seen(folder: Path) -> list[int]:
    """Return how many calls were inside at the begin of each."""
    return [int(line) for path in folder.glob("seen *") for line in path.read_text().splitlines()]
