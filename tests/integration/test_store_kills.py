"""Kill -9 at every point: acknowledged spans are stored exactly once, and no read fails. Needs Linux and a C compiler.

The sweeps load a library that ends a process at its n-th call that changes a file, for every n, with the
write whole or half done. The rampage kills processes of every role at random times. It prints its seed
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
        """Run a role; return its status, its number of calls and the acknowledged ids."""
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
    """Return the ids in a file of acknowledgements; fail on a line that reports a failed role."""
    ids: set[int] = set()
    for line in acks.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            continue  # killed while it wrote
        assert not line.startswith("!"), line
        start, count, _ = line.split()
        ids.update(range(int(start), int(start) + int(count)))
    return ids


def found(store: Path) -> Counter[int]:
    """Count the stored copies of each span."""
    return Counter(int(one, 16) for (one,) in query("SELECT span_id FROM spans", path=store).rows())


def leftovers(store: Path) -> list[str]:
    """Return files that no compaction removes."""
    hidden = [str(file.relative_to(store)) for file in store.rglob(".*") if file.name != ".gitignore"]
    return hidden + [f"readers/{file.name}" for file in (store / "readers").glob("*")]


def assert_once(store: Path, wanted: set[int], where: str) -> None:
    there = found(store)
    assert not (twice := [one for one, count in there.items() if count != 1]), f"{where}: twice {twice[:9]}"
    assert not (lost := wanted - there.keys()), f"{where}: lost {sorted(lost)[:9]}"


def template(killer: Killer, store: Path) -> set[int]:
    """Make a store with all the work of a compaction: seven files of a level, segments, files to sweep."""
    ids: set[int] = set()
    for number in range(7):
        ids |= killer.run("write_life", store, first=1 + number * 60)["acknowledged"]
        compact_store(store)
    # A killed writer leaves an incomplete segment.
    ids |= killer.run("write_life", store, first=1_001, at=14, half=True)["acknowledged"]
    return ids | killer.run("write_life", store, first=2_001)["acknowledged"]


def test_compactor_killed_at_each_call_loses_nothing(killer, tmp_path):
    ids = template(killer, tmp_path / "template")
    shutil.copytree(tmp_path / "template", tmp_path / "counted")
    calls = killer.run("compact_once", tmp_path / "counted")["calls"]
    assert calls > 50
    before = killer.kills
    for at in range(1, calls + 1):
        # A write that has not begun leaves the state of the call before: every third of those is enough.
        for half in (True, False) if at % 3 == 0 else (True,):
            where = f"call {at} of {calls}, half {half}"
            store = tmp_path / f"killed-{at}-{half}"
            shutil.copytree(tmp_path / "template", store)
            assert killer.run("compact_once", store, at=at, half=half)["status"] == KILLED, where
            assert_once(store, ids, where)
            age_unfinished_files(store)
            compact_store(store, grace=0.0)
            assert_views_agree(store, where)
            compact_store(store, grace=0.0)
            assert_once(store, ids, f"{where}, compacted")
            assert not leftovers(store), where
            assert_views_agree(store, where)
            shutil.rmtree(store)
    print(f"compactor: {calls} calls, {killer.kills - before} kills")


def age_unfinished_files(store: Path) -> None:
    """Age hidden files, so that they do not seem to belong to a process that creates the store now."""
    for file in store.rglob(".*"):
        os.utime(file, (1.0, 1.0))


def assert_views_agree(store: Path, where: str) -> None:
    """Check that DuckDB, through the file of views, sees the spans that `query` sees."""
    import duckdb

    with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as connection:
        count = connection.execute("SELECT count(*) FROM spans").fetchall()[0][0]
    assert count == sum(found(store).values()), f"{where}: traces.duckdb has {count}"


def test_writer_killed_at_each_call_keeps_acknowledged_spans(killer, tmp_path):
    calls = killer.run("write_life", tmp_path / "counted")["calls"]
    assert calls > 30
    before = killer.kills
    for at in range(1, calls + 1):
        # A write that has not begun leaves the state of the call before: every third of those is enough.
        for half in (True, False) if at % 3 == 0 else (True,):
            where = f"call {at} of {calls}, half {half}"
            store = tmp_path / f"killed-{at}-{half}"
            ran = killer.run("write_life", store, at=at, half=half)
            assert ran["status"] == KILLED, where
            assert_once(store, ran["acknowledged"], where)
            # Another writer continues in the same store.
            later = killer.run("write_life", store, first=FIRST_OF_THE_LATER)["acknowledged"]
            assert len(later) == 60, where
            compact_store(store, grace=0.0)
            compact_store(store, grace=0.0)
            assert_once(store, ran["acknowledged"] | later, f"{where}, compacted")
            shutil.rmtree(store)
    print(f"writer: {calls} calls, {killer.kills - before} kills")


def test_random_kills_lose_no_acknowledged_span(tmp_path):
    print(f"LLMOPS_TEST_SEED={SEED}")
    store, acks = tmp_path / "store", tmp_path / "acks"
    command = [sys.executable, str(HERE / "kill_program.py"), str(store), "800", str(SEED), "150", str(acks)]
    # In addition to the forked processes: a compactor, started as the SDK starts it.
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
    age_unfinished_files(store)
    for _ in range(3):
        compact_store(store, grace=0.0)
    assert_all(store, acks, kills)
    assert not leftovers(store)
    assert sum(kills.values()) >= 300


def assert_all(store: Path, acks: Path, kills: dict[str, int]) -> None:
    """Check every acknowledged span; the name of an API span has its number."""
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
