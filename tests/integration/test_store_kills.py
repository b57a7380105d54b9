"""Kill -9 at every point: what was acknowledged is found exactly once, and no read fails. Needs Linux and a C compiler.

Two ways. The sweeps load a library that ends a process at its n-th call that changes a file, for every n, with the
writes whole or half done. The rampage kills processes of every kind at random moments, of which the seed is printed
(LLMOPS_TEST_SEED repeats one).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmops_sdk.store import query
from llmops_sdk.store.maintenance._compact import compact_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
SEED = int(os.environ.get("LLMOPS_TEST_SEED") or random.randrange(2**32))  # before the environment is emptied
KILLED = 9
FIRST_OF_THE_LATER = 5_000


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("killer") / "killer.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", built, HERE / "killer.c", "-ldl"], check=True, timeout=60)
    return built


class Killer:
    """Runs roles of `kill_program.py` that die at a given call."""

    def __init__(self, shim: Path, acks: Path) -> None:
        self.kills = 0
        self._acks = acks
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "kill_program.py")],
            env={**os.environ, "LD_PRELOAD": str(shim)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, role: str, store: Path, *, first: int = 1, at: int = 0, half: bool = False) -> dict[str, Any]:
        """How it ended, and the ids that it acknowledged."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._acks.unlink(missing_ok=True)
        order = {"role": role, "store": str(store), "first": first, "at": at, "half": half, "output": str(self._acks)}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        done = json.loads(self._server.stdout.readline())
        self.kills += done["status"] == KILLED
        return {**done, "acknowledged": acknowledged(self._acks)}

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)
        assert self._server.stdout is not None
        self._server.stdout.close()


@pytest.fixture
def killer(shim: Path, tmp_path: Path) -> Iterator[Killer]:
    killer = Killer(shim, tmp_path / "acks")
    yield killer
    killer.close()


def acknowledged(acks: Path) -> set[int]:
    """The ids in a file of acknowledgements; a line that says that a role failed is a failure here."""
    ids: set[int] = set()
    for line in acks.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            continue  # killed while it told
        assert not line.startswith("!"), line
        start, count, _ = line.split()
        ids.update(range(int(start), int(start) + int(count)))
    return ids


def found(store: Path) -> Counter[int]:
    """How often each span is there."""
    return Counter(int(one, 16) for (one,) in query("SELECT span_id FROM spans", path=store).rows())


def leftovers(store: Path) -> list[str]:
    """Files that no compaction will ever remove."""
    hidden = [str(file.relative_to(store)) for file in store.rglob(".*") if file.name != ".gitignore"]
    return hidden + [f"readers/{file.name}" for file in (store / "readers").glob("*")]


def assert_once(store: Path, wanted: set[int], where: str) -> None:
    there = found(store)
    assert not (twice := [one for one, count in there.items() if count != 1]), f"{where}: twice {twice[:9]}"
    assert not (lost := wanted - there.keys()), f"{where}: lost {sorted(lost)[:9]}"


def template(killer: Killer, store: Path) -> set[int]:
    """A store with everything that a compaction has to do: seven files of a level, segments, what is to be swept."""
    ids: set[int] = set()
    for number in range(7):
        ids |= killer.run("write_life", store, first=1 + number * 60)["acknowledged"]
        compact_store(store)
    # A writer that was killed inside its life leaves a torn segment.
    ids |= killer.run("write_life", store, first=1_001, at=14, half=True)["acknowledged"]
    return ids | killer.run("write_life", store, first=2_001)["acknowledged"]


def test_a_compactor_killed_at_each_call(killer, tmp_path):
    ids = template(killer, tmp_path / "template")
    shutil.copytree(tmp_path / "template", tmp_path / "counted")
    calls = killer.run("compact_once", tmp_path / "counted")["calls"]
    assert calls > 50
    before = killer.kills
    for at in range(1, calls + 1):
        # A write that has not begun leaves what the call before it left; so of those every third is enough.
        for half in (True, False) if at % 3 == 0 else (True,):
            where = f"call {at} of {calls}, half {half}"
            store = tmp_path / f"killed-{at}-{half}"
            shutil.copytree(tmp_path / "template", store)
            assert killer.run("compact_once", store, at=at, half=half)["status"] == KILLED, where
            assert_once(store, ids, where)
            age_what_was_half_made(store)
            compact_store(store, grace=0.0)
            assert_views_agree(store, where)
            compact_store(store, grace=0.0)
            assert_once(store, ids, f"{where}, compacted")
            assert not leftovers(store), where
            assert_views_agree(store, where)
            shutil.rmtree(store)
    print(f"compactor: {calls} calls, {killer.kills - before} kills")


def age_what_was_half_made(store: Path) -> None:
    """So that it is not taken for that of a process which makes the store now."""
    for file in store.rglob(".*"):
        os.utime(file, (1.0, 1.0))


def assert_views_agree(store: Path, where: str) -> None:
    """DuckDB itself, on the file of views, sees what `query` sees."""
    import duckdb

    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as connection:
        count = connection.execute("SELECT count(*) FROM spans").fetchall()[0][0]
    assert count == sum(found(store).values()), f"{where}: traces.duckdb has {count}"


def test_a_writer_killed_at_each_call(killer, tmp_path):
    calls = killer.run("write_life", tmp_path / "counted")["calls"]
    assert calls > 30
    before = killer.kills
    for at in range(1, calls + 1):
        # A write that has not begun leaves what the call before it left; so of those every third is enough.
        for half in (True, False) if at % 3 == 0 else (True,):
            where = f"call {at} of {calls}, half {half}"
            store = tmp_path / f"killed-{at}-{half}"
            ran = killer.run("write_life", store, at=at, half=half)
            assert ran["status"] == KILLED, where
            assert_once(store, ran["acknowledged"], where)
            # Another goes on where this one was killed.
            later = killer.run("write_life", store, first=FIRST_OF_THE_LATER)["acknowledged"]
            assert len(later) == 60, where
            compact_store(store, grace=0.0)
            compact_store(store, grace=0.0)
            assert_once(store, ran["acknowledged"] | later, f"{where}, compacted")
            shutil.rmtree(store)
    print(f"writer: {calls} calls, {killer.kills - before} kills")


def test_the_rampage(tmp_path):
    print(f"LLMOPS_TEST_SEED={SEED}")
    store, acks = tmp_path / "store", tmp_path / "acks"
    command = [sys.executable, str(HERE / "kill_program.py"), str(store), "800", str(SEED), "150", str(acks)]
    # A compactor as the SDK starts it, and a writer of a fresh interpreter, besides the forked ones.
    spawned = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        chance = random.Random(SEED + 1)
        counts = [0]
        while program.poll() is None:
            there = query("SELECT count(*), count(DISTINCT span_id) FROM spans WHERE name = 'work'", path=store).rows()[
                0
            ]
            assert there[0] == there[1]
            assert there[0] >= counts[-1], "a count fell"
            counts.append(there[0])
            compactor = subprocess.Popen(
                [sys.executable, "-m", "llmops_sdk.store.maintenance._compact_process", str(store)]
            )
            try:
                compactor.wait(chance.uniform(0.5, 6.0))
            except subprocess.TimeoutExpired:
                compactor.kill()
                spawned += 1
            compactor.wait()
        assert program.stdout is not None
        kills = json.loads(program.stdout.read())
    print(f"killed: {kills}, all {sum(kills.values())}; {spawned} spawned compactors; {len(counts)} reads beside them")
    assert_all(store, acks, kills)
    age_what_was_half_made(store)
    for _ in range(3):
        compact_store(store, grace=0.0)
    assert_all(store, acks, kills)
    assert not leftovers(store)
    assert sum(kills.values()) >= 300


def assert_all(store: Path, acks: Path, kills: dict[str, int]) -> None:
    """Every acknowledged span, those of the API by their name."""
    there = Counter(
        int(name.removeprefix("api-")) if name.startswith("api-") else int(one, 16)
        for one, name in query("SELECT span_id, name FROM spans", path=store).rows()
    )
    wanted = acknowledged_spans(acks)
    assert not [one for one, count in there.items() if count != 1]
    assert not wanted - there.keys()
    told = Counter(line.split()[2] for line in acks.read_text().splitlines())
    assert not {name for name in kills if name != "retain_on" and not told[name]}


def acknowledged_spans(acks: Path) -> set[int]:
    return {one for one in acknowledged(acks) if one >= 10_000_000}
