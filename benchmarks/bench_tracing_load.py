"""How tracing behaves under load: many threads, an event loop that must not stall, and a long run with a burst.

- 24 threads: calls a second of a traced function, as a ratio to those of one thread, in turns.
- An event loop: how late a timer fires while 10,000 traced calls a second run in the loop, with tracing and without.
- A soak: calls at a share of the pace that the pipeline sustains, then a burst as fast as it goes. Memory at the end
  is compared with that after the first tenth; every call is in the store or counted in `losses`.

Run it with `make bench-tracing-load`; the soak takes `SOAK_SECONDS` (600) and `BURST_SECONDS` (60) of the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 9
THREADS = 24
CALLS = 1_000
"""By each of the threads in a round: all of a round's spans fit into the queue."""
LOOP_SECONDS = 20.0
LOOP_RATE = 10_000
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
BURST_SECONDS = float(os.environ.get("BURST_SECONDS", "60"))
SHARE = 0.8


def threads() -> dict[str, float]:
    """Measure calls per second with one and with many threads, and the median ratio."""
    import llmops_sdk as llmops

    @llmops.trace
    def small(a: int) -> int:
        return a

    def rate(count: int, calls: int) -> float:
        go = threading.Barrier(count + 1)

        def work() -> None:
            go.wait()
            for number in range(calls):
                small(number)

        running = [threading.Thread(target=work) for _ in range(count)]
        for thread in running:
            thread.start()
        go.wait()
        begin = time.perf_counter()
        for thread in running:
            thread.join()
        took = time.perf_counter() - begin
        report = llmops.flush(60)
        assert (report.pending, report.dropped) == (0, 0), report
        return count * calls / took

    total = THREADS * CALLS
    rate(1, total)
    pairs = [(rate(1, total), rate(THREADS, CALLS)) for _ in range(ROUNDS)]
    stored = llmops.query("SELECT count(*) FROM spans").scalar()
    assert stored == total * (2 * ROUNDS + 1), stored
    return {
        "one": statistics.median(one for one, _ in pairs),
        "many": statistics.median(many for _, many in pairs),
        "ratio": statistics.median(many / one for one, many in pairs),
    }


def loop(traced: bool) -> dict[str, float]:
    """Milliseconds by which a timer is late in a loop that makes 10,000 calls a second."""
    import llmops_sdk as llmops

    def small(a: int) -> int:
        return a

    call: Callable[[int], int] = llmops.trace(small) if traced else small
    late: list[float] = []

    async def timer(until: float) -> None:
        while (begin := time.perf_counter()) < until:
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - begin - 0.001) * 1e3)

    async def work(until: float) -> int:
        done, begin = 0, time.perf_counter()
        while (now := time.perf_counter()) < until:
            for _ in range(int((now - begin) * LOOP_RATE) - done):
                call(done)
                done += 1
            await asyncio.sleep(0.001)
        return done

    async def main() -> int:
        call(0)
        await llmops.aflush()
        until = time.perf_counter() + LOOP_SECONDS
        return (await asyncio.gather(work(until), timer(until)))[0]

    made = asyncio.run(main()) + 1
    if traced:
        report = llmops.flush(60)
        assert (report.stored, report.dropped) == (made, 0), (report, made)
    late.sort()
    return {"p50": late[len(late) // 2], "p99.9": late[int(len(late) * 0.999)], "calls": made / LOOP_SECONDS}


def soak() -> dict[str, float]:
    """Memory of the process over a long run and a burst, and what became of every call."""
    import llmops_sdk as llmops

    @llmops.trace
    def small(a: int) -> int:
        return a

    def paced(seconds: float, rate: float) -> int:
        begin, made = time.perf_counter(), 0
        while (now := time.perf_counter() - begin) < seconds:
            for _ in range(int(now * rate) - made):
                small(made)
                made += 1
            time.sleep(0.002)
        return made

    made = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < 5.0:
        for _ in range(30_000):
            small(made)
            made += 1
        assert llmops.flush(60).dropped == 0
    sustained = made / (time.perf_counter() - begin)
    made += paced(SOAK_SECONDS / 10, SHARE * sustained)
    llmops.flush(60)
    first = _memory()
    made += paced(SOAK_SECONDS * 9 / 10, SHARE * sustained)
    report = llmops.flush(60)
    last, dropped_before = _memory(), report.dropped
    until = time.perf_counter() + BURST_SECONDS
    while time.perf_counter() < until:
        for _ in range(1_000):
            small(made)
            made += 1
    peak = _memory()
    report = llmops.flush(60)
    llmops.shutdown(60)
    lost = llmops.query("SELECT coalesce(sum(count), 0) FROM losses WHERE what = 'span'").scalar()
    assert report.pending == 0, report
    assert lost == report.dropped, (lost, report)
    # `report` counts what was written: a store of this size may have dropped its oldest segments since.
    assert report.stored + report.dropped == made, (report, made)
    return {
        "sustained": sustained,
        "first": first,
        "last": last,
        "peak": peak,
        "dropped": dropped_before,
        "dropped_in_burst": report.dropped - dropped_before,
        "made": made,
    }


def _memory() -> float:
    """Megabytes of the process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _child(part: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LLMOPS_STORE__PATH": str(Path(folder) / "store")}
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), part],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)


def main() -> None:
    """Measure everything, each part in a process of its own, and print the tables."""
    row = _child("threads")
    print("| calls a second | one thread | 24 threads | ratio |\n|---|---|---|---|")
    print(f"| traced, stored on disk | {row['one']:,.0f} | {row['many']:,.0f} | {row['ratio']:.2f} |")
    print("\n| a timer of 1 ms in an event loop is late by, ms | p50 | p99.9 | calls a second |\n|---|---|---|---|")
    for part, name in (("loop-traced", "traced calls"), ("loop-plain", "plain calls")):
        row = _child(part)
        print(f"| {name} | {row['p50']:.2f} | {row['p99.9']:.2f} | {row['calls']:,.0f} |")
    row = _child("soak")
    print(f"\n| soak: {SOAK_SECONDS:.0f} s at {SHARE:.0%} of what is sustained, then {BURST_SECONDS:.0f} s burst | |")
    print("|---|---|")
    print(f"| sustained, spans a second | {row['sustained']:,.0f} |")
    print(f"| memory after a tenth, at the end, in the burst, MB | {row['first']:.0f}, {row['last']:.0f}, ", end="")
    print(f"{row['peak']:.0f} |")
    print(f"| dropped and counted at the pace, in the burst | {row['dropped']:,}, {row['dropped_in_burst']:,} |")
    print(f"| calls, all accounted for | {row['made']:,} |")


if __name__ == "__main__":
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "threads": threads,
        "loop-traced": lambda: loop(True),
        "loop-plain": lambda: loop(False),
        "soak": soak,
    }
    if len(sys.argv) > 1:
        print(json.dumps(parts[sys.argv[1]]()))
    else:
        main()
