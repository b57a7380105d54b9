"""What writing to the store costs, and what happens while it is compacted beside.

- Rates: one and four processes, small spans and chats, through the store's sink in batches of 512, as the pipeline's
  thread writes, without the calls that make the spans. Each process is its own, all begin together, and the time runs
  from the first begin to the last end. The spans were made before; their ids are renewed between two writes, a
  hundredth of the time. A flush is a batch's `write`.
- Visible after: from the moment when `write` returned to the end of the first query that finds the batch, in another
  process that has been asking before.
- Memory of a writer over a long run of small spans.
- Compaction beside a writer of chats that writes as fast as it can for a while, then at a tenth of that pace: how much
  waits, and when it is worked off.

Every span is counted in the end. Run it with `make bench-store`; `WRITE_SPANS` (400,000), `MEMORY_SPANS` (10,000,000),
`BESIDE_SECONDS` (60) and `VISIBLE_ROUNDS` (50) of the environment set its scale.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from store_processes import (
    ROOM,
    Child,
    cpu_of_children,
    hear,
    medians,
    memory_mb,
    parquet_bytes,
    percentile,
    scale,
    tell,
    together,
    waiting_bytes,
)
from store_spans import BATCH, LARGE, SMALL, Spans, Texts, renewed

from llmops_sdk import query
from llmops_sdk.store._sink import StoreSink
from llmops_sdk.tracing.records._records import RecordedSpan

WRITE_SPANS = scale("WRITE_SPANS", 400_000)
MEMORY_SPANS = scale("MEMORY_SPANS", 10_000_000)
BESIDE_SECONDS = scale("BESIDE_SECONDS", 60)
VISIBLE_ROUNDS = scale("VISIBLE_ROUNDS", 50)
PROCESSES = (1, 4)
ROUNDS = 3
PREPARED = 20
"""Batches that a writer has and writes again and again under new ids."""
DUE = 32 * 1024**2
"""So much waits at least before a compaction is begun."""
WORKED_OFF_WITHIN = 600.0


def prepared(size: str, seed: int) -> Iterator[Sequence[RecordedSpan]]:
    """Batches without end."""
    made = list(Spans(Texts(), size, seed=seed).batches(PREPARED * BATCH))
    return (renewed(batch) for batch in itertools.cycle(made))


def write(store: str, size: str, seed: str, count: str) -> None:
    """Write spans, as one of several processes."""
    batches = prepared(size, int(seed))
    sink = StoreSink(Path(store), compaction="manual", max_bytes=ROOM)
    sink.write([])
    tell("ready")
    hear()
    took: list[float] = []
    written = 0
    cpu, begin = time.process_time(), time.monotonic()
    while written < int(count):
        batch = next(batches)
        start = time.perf_counter()
        written += sink.write(batch)
        took.append(time.perf_counter() - start)
    sink.close(0.0)
    tell(
        {
            "begin": begin,
            "end": time.monotonic(),
            "cpu": time.process_time() - cpu,
            "written": written,
            "p99": percentile(took, 0.99),
        }
    )


def rates(processes: int, size: str) -> dict[str, float]:
    """Measure several writers of one store."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        each = WRITE_SPANS // processes
        said = together(__file__, [("write", store, size, number, each) for number in range(processes)])
        spans = sum(one["written"] for one in said)
        stored = query("SELECT count(*), count(DISTINCT span_id) FROM spans", path=store).rows()
        assert stored == [(spans, spans)], (stored, spans)
        seconds = max(one["end"] for one in said) - min(one["begin"] for one in said)
        on_disk = waiting_bytes(store)
        return {
            "rate": spans / seconds,
            "mb": on_disk / seconds / 1e6,
            "cpu": sum(one["cpu"] for one in said) / spans * 1e6,
            "bytes": on_disk / spans,
            "p99": max(one["p99"] for one in said) * 1e3,
        }


def look(store: str) -> None:
    """Query until a number of spans is visible, and report the time."""
    asked = "SELECT count(*) FROM spans"
    query(asked, path=store)
    tell("ready")
    while wanted := hear():
        while query(asked, path=store).scalar() < wanted:
            pass
        tell(time.monotonic())


def visible() -> dict[str, float]:
    """Milliseconds from `write` to the first query that sees it."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        batches = prepared(SMALL, 0)
        sink = StoreSink(store, compaction="manual", max_bytes=ROOM)
        written = sink.write(next(batches))
        reader = Child(__file__, "look", store)
        assert reader.read() == "ready"
        after: list[float] = []
        for _ in range(VISIBLE_ROUNDS):
            written += sink.write(next(batches))
            returned = time.monotonic()
            reader.say(written)
            after.append((reader.read() - returned) * 1e3)
        reader.say(0)
        reader.end()
        sink.close(0.0)
        return {"median": percentile(after, 0.5), "p99": percentile(after, 0.99), "tail": waiting_bytes(store) / 1e6}


def long_run(store: str) -> None:
    """Write spans and report the memory after a tenth, a half and all of them."""
    batches = prepared(SMALL, 0)
    sink = StoreSink(Path(store), compaction="manual", max_bytes=ROOM)
    tell("ready")
    hear()
    written, at = 0, [MEMORY_SPANS // 10, MEMORY_SPANS // 2, MEMORY_SPANS]
    memory: list[float] = []
    while at:
        written += sink.write(next(batches))
        if written >= at[0]:
            memory.append(memory_mb())
            at.pop(0)
    sink.close(0.0)
    tell({"written": written, "memory": memory})


def memory() -> list[float]:
    """Megabytes of a writer after a tenth, a half and all of its spans."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        (said,) = together(__file__, [("long_run", store)])
        stored = query("SELECT count(*) FROM spans", path=store).scalar()
        assert stored == said["written"], (stored, said)
        return said["memory"]


def beside(folder: str) -> None:
    """Write with a compactor running, at full speed and then at a tenth of it."""
    store = Path(folder)
    batches = prepared(LARGE, 0)
    sink = StoreSink(store, max_bytes=ROOM)
    tell("ready")
    hear()
    children, cpu, begin = cpu_of_children(), time.process_time(), time.monotonic()
    written = 0
    while (fast := time.monotonic() - begin) < BESIDE_SECONDS:
        written += sink.write(next(batches))
    said: dict[str, float] = {
        "written": written,
        "rate": written / fast,
        "cpu": (time.process_time() - cpu) / written * 1e6,
        "backlog": waiting_bytes(store),
        "compacted": _rows(store) / fast,
    }
    pause = 10 * BATCH * fast / written
    while waiting_bytes(store) > DUE and time.monotonic() - begin - fast < WORKED_OFF_WITHIN:
        written += sink.write(next(batches))
        time.sleep(pause)
    said["worked_off"] = time.monotonic() - begin - fast
    said["left"] = waiting_bytes(store)
    while sink._compaction.is_running():
        time.sleep(0.05)
    said["compactor"] = (cpu_of_children() - children) / max(_rows(store), 1) * 1e6
    said["spans"] = written
    sink.close(0.0)
    tell(said)


def _rows(store: Path) -> int:
    from llmops_sdk.store.files._manifest import Manifest, read_manifest

    return sum(file.rows for file in (read_manifest(store) or Manifest()).files if file.stream == "spans")


def compaction_beside() -> dict[str, float]:
    """Measure a writer and its compactor."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        (said,) = together(__file__, [("beside", store)])
        stored = query("SELECT count(*), count(DISTINCT span_id) FROM spans", path=store).rows()
        assert stored == [(said["spans"], said["spans"])], (stored, said)
        return {**said, "parquet": parquet_bytes(store) / max(_rows(store), 1)}


def main() -> None:
    """Measure everything and print the tables."""
    print(f"Text: {Texts().source}; {WRITE_SPANS:,} spans a round.\n")
    print("| writing | processes | spans a second | MB a second | µs of CPU a span | flush p99, ms | bytes a span |")
    print("|---|---|---|---|---|---|---|")
    for size in (SMALL, LARGE):
        for processes in PROCESSES:
            row = medians([rates(processes, size) for _ in range(ROUNDS)])
            print(
                f"| {size} | {processes} | {row['rate']:,.0f} | {row['mb']:.0f} | {row['cpu']:.1f} | {row['p99']:.1f} "
                f"| {row['bytes']:.0f} |",
                flush=True,
            )
    row = visible()
    print(
        f"\n| a batch is seen after, ms; beside up to {row['tail']:.0f} MB of segments | median | p99 |\n|---|---|---|"
    )
    print(f"| by a query in another process | {row['median']:.0f} | {row['p99']:.0f} |", flush=True)
    tenth, half, all_ = memory()
    print(f"\n| memory of a writer of {MEMORY_SPANS:,} small spans, MB | 10 % | 50 % | 100 % |\n|---|---|---|---|")
    print(f"| resident | {tenth:.0f} | {half:.0f} | {all_:.0f} |", flush=True)
    row = compaction_beside()
    print(f"\n| compaction beside one writer of chats, {BESIDE_SECONDS} s as fast as it goes | |\n|---|---|")
    print(f"| written, spans a second | {row['rate']:,.0f} |")
    print(f"| compacted meanwhile, spans a second | {row['compacted']:,.0f} |")
    print(f"| CPU of the writer, of the compactor, µs a span | {row['cpu']:.1f}, {row['compactor']:.1f} |")
    print(f"| waiting at the end of it, MB | {row['backlog'] / 1e6:,.0f} |")
    print(f"| less than {DUE / 1e6:.0f} MB wait after, s, at a tenth of the pace | {row['worked_off']:.1f} |")
    print(f"| waiting then, MB | {row['left'] / 1e6:,.0f} |")
    print(f"| bytes of Parquet a span | {row['parquet']:.0f} |")


if __name__ == "__main__":
    parts: dict[str, Callable[..., None]] = {"write": write, "look": look, "long_run": long_run, "beside": beside}
    if len(sys.argv) > 1:
        parts[sys.argv[1]](*sys.argv[2:])
    else:
        main()
