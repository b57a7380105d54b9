"""What compaction costs, and what a span takes on the disk afterwards.

The spans are written through the store's sink, then compacted in a process of their own by `compact_store`, one thread;
its CPU is counted from the call on, without the import of DuckDB (some 0.3 s a process). Once all segments are there
when it begins, as after a burst; once it is called whenever 256 MB of them wait, as beside an application that writes
as fast as it can; and once whenever 32 MB do, as beside one that takes a minute for these, whose small files are put
together later: those merges are counted too. Every span is counted afterwards.

Run it with `make bench-store`; `COMPACT_SPANS` (200,000) of the environment sets its scale.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from store_processes import ROOM, hear, medians, parquet_bytes, scale, tell, together, waiting_bytes
from store_spans import LARGE, MIXED, SMALL, Spans, Texts

from llmops_sdk import query
from llmops_sdk.store._sink import StoreSink
from llmops_sdk.store.maintenance._background import _BURST, _BYTES
from llmops_sdk.store.maintenance._compact import compact_store

COMPACT_SPANS = scale("COMPACT_SPANS", 200_000)
ROUNDS = 3
SLOW = _BYTES
FAST = _BURST * _BYTES


def compact(folder: str, size: str, step: str) -> None:
    """Write, and compact at the end or in steps; the CPU and the bytes."""
    from llmops_sdk.store.duck import _parquet as _duck_parquet  # noqa: F401 - its import is not what is measured

    store = Path(folder)
    sink = StoreSink(store, compaction="manual", max_bytes=ROOM)
    tell("ready")
    hear()
    cpu, lines, merged, calls = 0.0, 0, 0, 0
    waiting = 0
    spans = Spans(Texts(), size)
    for batch in spans.batches(COMPACT_SPANS):
        sink.write(batch)
        waiting += sum(map(_size, batch))
        if int(step) and waiting >= int(step):
            sink.close(0.0)
            waiting, lines = 0, lines + waiting_bytes(store)
            begin = time.process_time()
            merged += compact_store(store).merged
            cpu, calls = cpu + time.process_time() - begin, calls + 1
    sink.close(0.0)
    lines += waiting_bytes(store)
    begin = time.process_time()
    merged += compact_store(store).merged
    cpu += time.process_time() - begin
    tell({"cpu": cpu, "lines": lines, "merged": merged, "calls": calls + 1, "peak": _peak_mb()})


def _size(span: object) -> int:
    """Bytes of a span's line, nearly."""
    content = [
        getattr(span, "input", None),
        getattr(span, "output", None),
        *(getattr(span, "attributes", None) or {}).values(),
    ]
    return 500 + sum(len(value) for value in content if isinstance(value, bytes))


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measured(size: str, step: int) -> dict[str, float]:
    """Figures of a span."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        (said,) = together(__file__, [("compact", store, size, step)])
        stored = query("SELECT count(*), count(DISTINCT span_id) FROM spans", path=store).rows()
        assert stored == [(COMPACT_SPANS, COMPACT_SPANS)], stored
        assert waiting_bytes(store) == 0
        return {
            "cpu": said["cpu"] / COMPACT_SPANS * 1e6,
            "mb": said["lines"] / said["cpu"] / 1e6,
            "before": said["lines"] / COMPACT_SPANS,
            "after": parquet_bytes(store) / COMPACT_SPANS,
            "merged": said["merged"],
            "peak": said["peak"],
        }


def main() -> None:
    """Measure everything and print the table."""
    print(f"Text: {Texts().source}; {COMPACT_SPANS:,} spans, zstd.\n")
    print("| compaction | µs of CPU a span | MB a second | bytes a span before | after | files merged | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for name, size, step, rounds in (
        (f"{SMALL}, all at once", SMALL, 0, ROUNDS),
        (f"{LARGE}, all at once", LARGE, 0, ROUNDS),
        (f"{MIXED}, all at once", MIXED, 0, 1),
        (f"{LARGE}, whenever 256 MB wait", LARGE, FAST, 1),
        (f"{LARGE}, whenever 32 MB wait", LARGE, SLOW, 1),
    ):
        row = medians([measured(size, step) for _ in range(rounds)])
        print(
            f"| {name} | {row['cpu']:.1f} | {row['mb']:.0f} | {row['before']:.0f} | {row['after']:.0f} "
            f"| {row['merged']:.0f} | {row['peak']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    parts: dict[str, Callable[..., None]] = {"compact": compact}
    if len(sys.argv) > 1:
        parts[sys.argv[1]](*sys.argv[2:])
    else:
        main()
