"""Programs on one cache on a real server: one call for all, a leader's death, removals, and a server that dies."""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from backend_contract import eventually
from shared_servers import PASSWORD, PostgresServer, RedisServer, Server, library_path, serve, with_libraries

import llmops_sdk as llmops
from llmops_sdk.caching import CacheProvider, invalidate, request_key
from llmops_sdk.caching.backends._open import open_shared
from llmops_sdk.config import CacheSettings, SharedSettings
from llmops_sdk.errors import StoreError
from llmops_sdk.providers import Request, Response, WrapperProvider

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_ROOT = Path(__file__).parents[2]
_numbers = count()


@pytest.fixture(scope="module", params=[RedisServer, PostgresServer], ids=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param) as server, with_libraries():
        yield server


@pytest.fixture
def shared(server: Server) -> SharedSettings:
    return SharedSettings(url=server.url, namespace=f"m{next(_numbers)}")


class Caller:
    """A running `shared_caller.py`."""

    def __init__(self, folder: Path, shared: SharedSettings, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("shared_caller.py"))],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(_ROOT), library_path()]),
                "SHARED_TEST_FOLDER": str(folder),
                "LLMOPS_SHARED__URL": str(shared.url),
                "LLMOPS_SHARED__NAMESPACE": shared.namespace,
                "LLMOPS_STORE__PATH": str(folder / f"store-{next(_numbers)}"),
                **environ,
            },
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.errors: list[str] = []
        self._readers = [threading.Thread(target=one, daemon=True) for one in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.said.put(json.loads(line))

    def _read_errors(self) -> None:
        self.errors.extend(self.process.stderr or ())

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self, *wanted: str) -> dict[str, Any]:
        """Return the next thing said that has one of these keys."""
        while True:
            try:
                said = self.said.get(timeout=120)
            except queue.Empty:
                raise AssertionError("".join(self.errors)) from None
            if any(name in said for name in wanted):
                return said

    def ask(self, line: str) -> dict[str, Any]:
        self.tell(line)
        return self.hear("text")

    def end(self) -> str:
        """Let it end, and return what it wrote to stderr."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(120)
        for reader in self._readers:
            reader.join(60)
        assert status == 0, "".join(self.errors)
        return "".join(self.errors)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        for reader in self._readers:
            reader.join(60)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def start(tmp_path: Path, shared: SharedSettings) -> Iterator[Callable[..., Caller]]:
    with ExitStack() as stack:

        def start(**environ: str) -> Caller:
            caller = Caller(tmp_path, shared, **environ)
            stack.callback(caller.kill)
            return caller

        yield start


def calls(folder: Path) -> list[int]:
    file = folder / "calls"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_50_calls_of_4_processes_make_one(tmp_path, start):
    callers = [start(SHARED_TEST_PATIENT="1") for _ in range(4)]
    for caller, threads in zip(callers, (13, 13, 12, 12), strict=True):
        caller.tell(f"ask {threads} Why?")
    for caller in callers:
        caller.hear("asking")
    eventually(lambda: calls(tmp_path), "the call")
    (tmp_path / "go").touch()
    answers = [caller.hear("text") for caller, most in zip(callers, (13, 13, 12, 12), strict=True) for _ in range(most)]
    assert len(calls(tmp_path)) == 1
    assert len(answers) == 50
    assert {answer["text"] for answer in answers} == {f"from {calls(tmp_path)[0]}"}
    assert sum(answer["cache"] is None for answer in answers) == 1
    assert [caller.end() for caller in callers] == [""] * 4


def test_after_the_death_of_a_leader_a_follower_leads(tmp_path, start):
    leader, follower = start(), start()
    leader.tell("ask 1 Why?")
    eventually(lambda: calls(tmp_path), "the leader's call")
    follower.tell("ask 3 Why?")
    follower.hear("asking")
    leader.process.send_signal(signal.SIGKILL)
    # The call's own deadline is ten minutes: only the lease lets the follower go on in this time.
    eventually(lambda: follower.process.pid in calls(tmp_path), "the follower's call")
    (tmp_path / "go").touch()
    assert {follower.hear("text")["text"] for _ in range(3)} == {f"from {follower.process.pid}"}
    assert len(calls(tmp_path)) == 2


def test_a_removal_counts_for_every_process(tmp_path, start, shared):
    (tmp_path / "go").touch()
    one, two = start(), start()
    assert one.ask("ask 1 Why?")["cache"] is None
    assert one.ask("ask 1 Why?")["cache"] == "exact"
    assert two.ask("ask 1 Why?")["cache"] == "exact"
    assert one.ask("function a")["text"] == two.ask("function a")["text"] == "aa"
    assert len(calls(tmp_path)) == 2
    llmops.configure(shared={"url": shared.url, "namespace": shared.namespace})
    assert invalidate(tag="t") == 1
    assert one.ask("ask 1 Why?")["cache"] is None
    assert two.ask("ask 1 Why?")["cache"] == "exact"
    request = Request(model="m", messages=[{"role": "user", "content": "Why?"}])
    assert invalidate(key=request_key(request)[:16]) == 1
    assert two.ask("ask 1 Why?")["cache"] is None
    assert invalidate(tag="t", path=tmp_path) == 0
    assert one.end() == two.end() == ""


def test_a_server_that_dies_costs_hits_and_no_calls(tmp_path, start, server):
    (tmp_path / "go").touch()
    callers = [start() for _ in range(2)]
    try:
        for caller in callers:
            caller.tell("loop")
        for caller in callers:
            until(caller, "exact", 20)
        server.kill()
        for caller in callers:
            until(caller, None, 50)  # each question comes three times: without a server, none is a hit
    finally:
        server.start()
    for caller in callers:
        until(caller, "exact", 20)
    (tmp_path / "stop").touch()
    for caller in callers:
        assert caller.hear("ended")["ended"] > 90
        said = caller.end()
        assert 1 <= said.count("logged once") <= 4
        assert "d/of" not in said
        assert "%2Fof" not in said


def until(caller: Caller, cache: str | None, times: int) -> None:
    """Hear answers until so many are hits ("exact") or misses (None)."""
    found = 0
    while found < times:
        found += caller.hear("text")["cache"] == cache


def test_a_child_uses_its_own_connection(tmp_path, start):
    (tmp_path / "go").touch()
    caller = start()
    parent = caller.process.pid
    assert caller.ask("ask 1 Why?")["cache"] is None
    for _ in range(3):
        caller.tell("fork Why?")
        assert {caller.hear("text")["cache"] for _ in range(2)} == {"exact"}
        assert caller.hear("child")["child"] == 0
    assert caller.ask("ask 1 Why?") == {"pid": parent, "cache": "exact", "text": f"from {parent}"}
    assert caller.end() == ""


def test_the_calls_of_the_sdk_use_it(start, server):
    one, two = start(), start()
    assert one.ask("chat How do I close my account?")["cache"] is None
    assert two.ask("chat How do I close my account?")["cache"] == "exact"
    other = two.ask("chat how do i close my acount")
    # Each program has a folder of its own.
    assert other["cache"] == ("semantic" if isinstance(server, PostgresServer) else None)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


class Inner(WrapperProvider):
    name = "script"

    def __init__(self) -> None:
        pass

    def complete(self, request: Request) -> Response:
        return Response(text="fine", finish_reason="stop")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("poison", [pickle.dumps(Bomb()), b"", b"\0" * 1000, b"[" * 100_000, b"{}", b"null"])
def test_a_poisoned_value_is_a_miss(tmp_path, shared, poison):
    provider = CacheProvider(Inner(), CacheSettings(exact=True), path=tmp_path, shared=shared)
    request = Request(model="m", messages=[{"role": "user", "content": "Why?"}])
    with closing(provider), closing(open_shared(shared, "exact")) as backend:
        assert provider.complete(request).cache is None
        assert provider.complete(request).cache == "exact"
        assert backend.set(request_key(request), poison, 60.0, [])
        assert provider.complete(request).cache is None
        assert provider.complete(request).cache == "exact"
        assert provider.stats().entries == 1
        assert provider.clear() == 1
    assert not (tmp_path / "exploded").exists()
    assert not Path("exploded").exists()


def test_a_removal_without_a_server_is_an_error():
    llmops.configure(shared={"url": "redis://:hush-hush@127.0.0.1:1/0"})
    with with_libraries(), pytest.raises(StoreError, match="try again") as caught:
        invalidate(tag="t")
    assert "hush" not in str(caught.value)


def command(folder: Path, url: str, namespace: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `llmops` with a shared cache and a store of its own; check that it shows no password."""
    done = subprocess.run(
        [sys.executable, "-m", "llmops_sdk", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(_ROOT), library_path()]),
            "LLMOPS_SHARED__URL": url,
            "LLMOPS_SHARED__NAMESPACE": namespace,
            "LLMOPS_STORE__PATH": str(folder / "store"),
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for secret in (PASSWORD, "d/of", "%2Fof"):
        assert secret not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("state", ["well", "away"])
def test_doctor_shows_the_server(tmp_path, server, shared, state):
    url = server.url if state == "well" else server.url.replace(f":{server.port}/", ":1/")
    done = command(tmp_path, url, shared.namespace, "doctor")
    assert done.returncode == (0 if state == "well" else 1), done.stdout + done.stderr
    assert ("answers in" if state == "well" else "127.0.0.1:1") in done.stdout + done.stderr
    assert "the cache redis" not in done.stdout + done.stderr, "limits and budgets may be all that it has"
    assert "the cache postgres" not in done.stdout + done.stderr


def test_the_commands_reach_the_server(tmp_path, shared):
    with llmops.span("one"), llmops.context(user_id="ada"):
        pass
    llmops.configure(
        store={"path": tmp_path / "store"},
        shared={"url": shared.url, "namespace": shared.namespace},
        cache={"exact": True, "tags": ["t"]},
    )
    with llmops.context(user_id="ada"):
        for question in ("One?", "Two?", "Three?"):
            llmops.chat(question, model="offline/echo")
    llmops.shutdown()

    def run(*arguments: str) -> Any:
        done = command(tmp_path, str(shared.url), shared.namespace, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    rows = {row["tier"]: row for row in json.loads(run("cache", "stats", "--format", "json"))}
    assert rows["exact"]["entries"] == 3
    assert rows["functions"]["entries"] == 0
    key = request_key(Request(model="offline/echo", messages=[{"role": "user", "content": "One?"}]))
    assert run("cache", "invalidate", "--key", key[:12]).strip() in {"0 removed", "1 removed"}
    assert "3 answers would be deleted" in run("prune", "--user", "ada", "--dry-run")
    assert "3 answers deleted" in run("prune", "--user", "ada", "--yes")
    assert run("cache", "invalidate", "--tag", "t").strip() == "0 removed"
    assert json.loads(run("cache", "clear", "--format", "json"))[-1]["removed"] == 0
