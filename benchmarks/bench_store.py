"""What the store costs: writing from one and from four processes, and the views against SQL written by hand.

Writing goes through the store's sink in batches, as the pipeline's thread does it, without the calls that make the
spans. Each process is its own, all begin together, and the time runs from the first begin to the last end. The query
is measured in turn with the same statement written by hand over the same files, with only the columns that it needs;
the figure is the median of the ratios. Every span is counted in the end, and both queries must give the same rows.

Run it with `make bench-store`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from llmops_sdk import query
from llmops_sdk._util._ids import new_span_id, new_trace_id
from llmops_sdk.store._sink import StoreSink
from llmops_sdk.tracing import _semconv as sc
from llmops_sdk.tracing._records import RecordedSpan

BATCH = 512
SPANS = 20 * BATCH
"""Of each process."""
CONTENT = {"0.8 KB": 330, "4.4 KB": 3_930}
"""Bytes of text in a span of each size; the rest is ids, times, names and attributes."""
PROCESSES = (1, 4)
ROUNDS = 3

CALLS = 60_000
DAYS = 30
MODELS = ("offline/echo", "openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-5")
QUERIES = 9
FIRST_NS = 1_790_000_000_000_000_000
DAY_NS = 86_400_000_000_000
RESOURCE = {"service.name": "bench"}

SELECT = """SELECT model, start_time::DATE AS day, count(*), sum(input_tokens), sum(cost),
    quantile_cont(duration_ms, 0.95) FROM {calls} GROUP BY ALL ORDER BY ALL"""
BY_HAND = """(SELECT model, make_timestamp(start_ns // 1000) AS start_time, duration_ns / 1e6 AS duration_ms,
    input_tokens, cost FROM read_json('{files}', format = 'newline_delimited', columns = {{kind: 'VARCHAR',
    model: 'VARCHAR', start_ns: 'BIGINT', duration_ns: 'BIGINT', input_tokens: 'BIGINT', cost: 'DOUBLE'}})
    WHERE kind = 'llm')"""


def span(number: int, content: bytes) -> RecordedSpan:
    """A call to a model, as the pipeline hands it to the sink."""
    model = MODELS[number % len(MODELS)]
    return RecordedSpan(
        name="chat",
        kind="llm",
        trace_id=new_trace_id(),
        span_id=new_span_id(),
        parent_id=new_span_id(),
        start_ns=FIRST_NS + number * (DAYS * DAY_NS // CALLS),
        duration_ns=1_000_000 + number % 997 * 1_000,
        status="ok",
        input=content,
        output=b'"Cards take three to five working days."',
        attributes={
            sc.OPERATION: "chat",
            sc.PROVIDER: model.partition("/")[0],
            sc.REQUEST_MODEL: model,
            sc.RESPONSE_MODEL: model,
            sc.INPUT_TOKENS: 100 + number % 50,
            sc.OUTPUT_TOKENS: 20,
            sc.COST: 0.25,
        },
        resource=RESOURCE,
    )


def batches(count: int, size: int) -> list[list[RecordedSpan]]:
    content = json.dumps("x" * size).encode()
    return [[span(number, content) for number in range(at, min(at + BATCH, count))] for at in range(0, count, BATCH)]


def write(store: Path, made: Sequence[Sequence[RecordedSpan]]) -> dict[str, float]:
    """Write the batches; when it began and ended on the machine's clock, and the CPU seconds between."""
    sink = StoreSink(store)
    cpu, begin = time.process_time(), time.monotonic()
    written = sum(sink.write(batch) for batch in made)
    sink.close(0.0)
    end = {"begin": begin, "end": time.monotonic(), "cpu": time.process_time() - cpu}
    assert written == sum(map(len, made)), written
    return end


def writer(store: str, size: str) -> None:
    """One of the processes: make the spans, say so, wait for the word, write."""
    made = batches(SPANS, int(size))
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(write(Path(store), made)))


def together(processes: int, size: int) -> dict[str, float]:
    """What it took `processes` writers to write their spans into one store."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        command = [sys.executable, str(Path(__file__).resolve()), "writer", str(store), str(size)]
        running = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        for child in running:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in running:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [json.loads(child.communicate()[0]) for child in running]
        assert [child.returncode for child in running] == [0] * processes
        spans = processes * SPANS
        stored = query("SELECT count(*), count(DISTINCT span_id) FROM spans", path=store).rows()
        assert stored == [(spans, spans)], stored
        seconds = max(one["end"] for one in said) - min(one["begin"] for one in said)
        size_on_disk = sum(file.stat().st_size for file in (store / "wal").iterdir())
        return {
            "rate": spans / seconds,
            "mb": size_on_disk / seconds / 1e6,
            "cpu": sum(one["cpu"] for one in said) / spans * 1e6,
            "bytes": size_on_disk / spans,
        }


def seconds(act: Callable[[], list[tuple[Any, ...]]]) -> tuple[float, list[tuple[Any, ...]]]:
    begin = time.perf_counter()
    rows = act()
    return time.perf_counter() - begin, rows


def views() -> dict[str, float]:
    """Model × day over the calls, through the views and by hand; seconds of each and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        write(store, batches(CALLS, CONTENT["0.8 KB"]))
        by_hand = SELECT.format(calls=BY_HAND.format(files=store / "wal" / "*.ndjson"))

        def hand() -> list[tuple[Any, ...]]:
            with duckdb.connect() as connection:
                return connection.execute(by_hand).fetchall()

        pairs: list[tuple[float, float]] = []
        for _ in range(QUERIES):
            ours, rows = seconds(lambda: query(SELECT.format(calls="llm_calls"), path=store).rows())
            theirs, expected = seconds(hand)
            assert rows == expected
            assert sum(row[2] for row in rows) == CALLS, rows
            assert {row[0] for row in rows} == set(MODELS)
            pairs.append((ours, theirs))
        return {
            "ours": statistics.median(pair[0] for pair in pairs),
            "hand": statistics.median(pair[1] for pair in pairs),
            "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        }


def main() -> None:
    """Measure everything and print the tables."""
    print("| writing | processes | spans a second | MB a second | µs of CPU a span | bytes a span |")
    print("|---|---|---|---|---|---|")
    for name, size in CONTENT.items():
        for processes in PROCESSES:
            rounds = [together(processes, size) for _ in range(ROUNDS)]
            row = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
            print(
                f"| {name} | {processes} | {row['rate']:,.0f} | {row['mb']:.0f} | {row['cpu']:.1f} "
                f"| {row['bytes']:.0f} |"
            )
    measured = views()
    print(f"\n| model × day over {CALLS:,} calls | ms | ratio |\n|---|---|---|")
    print(f"| `llmops.query`, the view `llm_calls` | {measured['ours'] * 1e3:.0f} | {measured['ratio']:.2f} |")
    print(f"| by hand over the same files | {measured['hand'] * 1e3:.0f} | 1 |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["writer"]:
        writer(*sys.argv[2:])
    else:
        main()
