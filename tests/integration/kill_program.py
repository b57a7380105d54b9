"""The processes that the kill tests kill. One process imports everything and forks them, so a thousand are cheap.

As a program, it reads orders as lines of JSON from standard input and answers each with a line: see `serve`.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import mmap
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from span_writer import PlainSpan

import llmops_sdk as llmops
from llmops_sdk.config import current
from llmops_sdk.store import StoreSink, connect, query
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._retention import drop_old
from llmops_sdk.store.schema._user_columns import current_views

Ack = Callable[[int, int], None]
"""Called with a range of stored span ids: the first, and their number."""

SMALL = {"segment_bytes": 6_000, "segment_seconds": 3_600.0, "compaction": "manual"}


def write_life(store: Path, first: int, ack: Ack) -> None:
    """Write several segments and close."""
    sink = StoreSink(store, **SMALL)
    for start in range(first, first + 60, 12):
        sink.write([PlainSpan(span_id=number, input=b'"' + b"x" * 150 + b'"') for number in range(start, start + 12)])
        ack(start, 12)
    sink.close(1.0)


def write_on(store: Path, first: int, ack: Ack) -> None:
    """Write until killed."""
    sink = StoreSink(store, **SMALL)
    for start in itertools.count(first, 5):
        sink.write([PlainSpan(span_id=number) for number in range(start, start + 5)])
        ack(start, 5)


def write_in_threads(store: Path, first: int, ack: Ack) -> None:
    """Run three writers with own sinks in one process until killed."""
    threads = [threading.Thread(target=write_on, args=(store, first + n * 1_000_000, ack)) for n in range(3)]
    for thread in threads:
        thread.start()
    threads[0].join()


def write_and_fork(store: Path, first: int, ack: Ack) -> None:
    """Write, and fork further writers, until killed."""
    sink = StoreSink(store, **SMALL)
    sink.write([PlainSpan(span_id=first)])
    ack(first, 1)
    for number in itertools.count(1):
        child = os.fork()
        if child == 0:
            begin = first + number * 1_000
            for start in range(begin, begin + 30, 5):
                sink.write([PlainSpan(span_id=one) for one in range(start, start + 5)])
                ack(start, 5)
            os._exit(0)
        sink.write([PlainSpan(span_id=first + number * 1_000 + 500)])
        ack(first + number * 1_000 + 500, 1)
        os.waitpid(child, 0)


def write_by_the_api(store: Path, first: int, ack: Ack) -> None:
    """Record spans with the public API until killed, acknowledged by `flush`; the name has the number."""
    llmops.configure(store={"path": str(store), "compaction": "manual", "segment_bytes": 6_000})
    done = 0
    for start in itertools.count(first, 4):
        for number in range(start, start + 4):
            with llmops.span(f"api-{number}"):
                pass
        report = llmops.flush()
        done += 4
        if report.stored == done and not report.pending and not report.dropped:
            ack(start, 4)


def compact_once(store: Path, first: int, ack: Ack) -> None:
    """Compact once, and remove unread files at once."""
    compact_store(store, grace=0.0)


def compact_on(store: Path, first: int, ack: Ack) -> None:
    """Compact until killed; acknowledge each compaction that ran."""
    while True:
        if not compact_store(store, grace=0.0).busy:
            ack(0, 0)


def retain_on(store: Path, first: int, ack: Ack) -> None:
    """Apply retention until killed, with limits that nothing exceeds."""
    while True:
        drop_old(store, max_bytes=10**12, older_than=time.time() - 86_400.0)


def retain_once(store: Path, first: int, ack: Ack) -> None:
    """Limit the store to half its size: the sink drops and counts the rest."""
    size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    StoreSink(store, max_bytes=size // 2, compaction="manual").close(1.0)


def read_on(store: Path, first: int, ack: Ack) -> None:
    """Query until killed; acknowledge each count as `first`."""
    while True:
        ack(query("SELECT count(*) FROM spans", path=store).scalar(), 0)


def read_connected(store: Path, first: int, ack: Ack) -> None:
    """Open connections until killed, across compactions and with their leases."""
    while True:
        connection = connect(path=store)
        for _ in range(3):
            ack(connection.execute("SELECT count(*) FROM spans").fetchall()[0][0], 0)
        connection.close()


def read_views(store: Path, first: int, ack: Ack) -> None:
    """Open traces.duckdb with DuckDB until killed: the file is never incomplete."""
    while True:
        if (store / "traces.duckdb").exists():
            with duckdb.connect(str(store / "traces.duckdb"), read_only=True) as connection:
                ack(connection.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall()[0][0], 0)


ROLES: dict[str, Callable[[Path, int, Ack], None]] = {
    role.__name__: role
    for role in (
        write_life, write_on, write_in_threads, write_and_fork, write_by_the_api,
        compact_once, compact_on, retain_on, retain_once, read_on, read_connected, read_views,
    )
}  # fmt: skip


def become(
    role: str,
    store: Path,
    first: int,
    output: int,
    *,
    shim: Any = None,
    at: int = 0,
    half: bool = False,
    counts: int = -1,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Run a role as a forked child; with `at` 0 nothing kills it, and it writes its number of calls to `counts`."""

    def ack(start: int, count: int) -> None:
        told()
        os.write(output, b"%d %d %b\n" % (start, count, role.encode()))  # one write: whole, or not there

    status = 1
    try:
        if shim is not None:
            shim.kill_arm(at, half)
        ROLES[role](store, first, ack)
        if shim is not None:
            os.write(counts, str(shim.kill_count()).encode())
        status = 0
    except BaseException as error:
        os.write(
            output, f"! {role}: {type(error).__name__}: {str(error)[:500]}\n".encode().replace(b"\n", b" ") + b"\n"
        )
    finally:
        os._exit(status)


def serve() -> None:
    """Serve orders {"role", "store", "first", "at", "half", "output"} with answers {"status", "calls"}."""
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.kill_count.restype = ctypes.c_long
    for line in sys.stdin:
        order = json.loads(line)
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        counted, counts = os.pipe()
        child = os.fork()
        if child == 0:
            become(
                order["role"],
                Path(order["store"]),
                order["first"],
                output,
                shim=shim,
                at=order["at"],
                half=order["half"],
                counts=counts,
            )
        os.close(counts)
        os.close(output)
        status = os.waitpid(child, 0)[1]
        calls = int(os.read(counted, 100) or b"0")
        os.close(counted)
        print(json.dumps({"status": status, "calls": calls}), flush=True)


def rampage(store: Path, kills: int, seed: int, seconds: float, acks: Path) -> None:
    """Start every role, then kill and restart random ones until the kills are done or the time is over.

    On a busy machine it goes on, three times as long at most, until every role has acknowledged something.
    """
    chance = random.Random(seed)
    output = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    names = [name for name in ROLES if name.endswith("_on") or name in {"write_in_threads", "write_and_fork"}]
    names += ["write_by_the_api", "read_connected", "read_views", "compact_on"]
    firsts = itertools.count(10_000_000, 10_000_000)
    living: dict[int, int] = {}
    told = mmap.mmap(-1, len(names))
    """The living processes that have acknowledged something, by position in `names`."""
    silent = set(names) - {"retain_on"}  # which acknowledges nothing

    def is_due(child: int) -> bool:
        # Where a dozen processes share two cores a query takes seconds, and a compaction more the more waits: readers
        # are to have read before they are killed, and of the compactors two in three to have compacted.
        name = names[living[child]]
        if name in silent:
            return False
        unbounded = name.startswith("read") or (name == "compact_on" and chance.random() < 0.66)
        return not unbounded or bool(told[living[child]])

    def start(place: int) -> None:
        name, first = names[place], next(firsts)
        told[place] = 0
        if (child := os.fork()) == 0:
            os.setpgid(0, 0)  # killed with its children, as in a stopped container
            become(name, store, first, output, told=lambda: told.__setitem__(place, 1))
        living[child] = place

    # A query loads settings and views. Without this, each child is killed while it imports their modules.
    current()
    current_views()
    for place in range(len(names)):
        start(place)
    done: dict[str, int] = {}
    deadline = time.monotonic() + seconds
    while (sum(done.values()) < kills and time.monotonic() < deadline) or (
        silent and time.monotonic() < deadline + 2 * seconds
    ):
        time.sleep(chance.expovariate(7.0))
        silent -= {names[place] for place in range(len(names)) if told[place]}
        due = [child for child in sorted(living) if is_due(child)]
        if not due:
            continue
        child = chance.choice(due)
        place = living.pop(child)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, 9)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, 9)
        if os.waitpid(child, 0)[1] == 9:
            done[names[place]] = done.get(names[place], 0) + 1
        start(place)
    for child in living:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, 9)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, 9)
        os.waitpid(child, 0)
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        rampage(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
    else:
        serve()
