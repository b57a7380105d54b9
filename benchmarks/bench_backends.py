"""The same spans in a real Phoenix, in a real MLflow and in our store: until they can be queried, and then.

Traces of an agent, a retriever and two chats, over thirty days, go to each server over OTLP (HTTP, protobuf, content
included) through the SDK's own exporter, as fast as the server takes them, after one trace that is not timed (the first
that MLflow takes costs it 20 s). The time runs until the server's own interface counts them all, asked each second.
Ours are written by the SDK's store in a process of its own, until `llmops.query` counts them all there, and compacted
then. Disk is what lies in the server's folder and in the store; memory is what the server's processes hold in the end,
and by how much the process that writes ours has grown.

The query is model × day with the number of calls and the 95th percentile of their duration: MLflow groups by name and
day in its interface for metrics, and a call's name has the model in it, so that is two requests for all spans; Phoenix
has no such grouping in its interfaces, so its SQLite file is asked, with SQL by hand. Each must count every call.

Run it with `make bench-backends`, which installs the servers at first (some 1 GB, kept in `.integration` or
`LLMOPS_TEST_BACKENDS`); `BACKEND_SPANS` (100,000) of the environment sets its scale.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from real_backends import Backend, serve_mlflow, serve_phoenix
from store_files import DAYS
from store_processes import ROOM, hear, memory_mb, scale, tell, timed, together
from store_spans import DAY_NS, FIRST_NS, MIXED, Spans, Texts

from llmops_sdk import query
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.store._sink import StoreSink
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.tracing.records._records import RecordedSpan

BACKEND_SPANS = scale("BACKEND_SPANS", 100_000) // 4 * 4
CALLS = BACKEND_SPANS // 2
WITHIN = 3_600.0
ASK_EVERY = 1.0
QUERIES = 5
MARK = "BENCH_BACKEND"

PHOENIX_COUNT = {"query": "{ projects { edges { node { name recordCount } } } }"}
PHOENIX_SQL = """WITH calls AS (SELECT json_extract(attributes, '$.llm.model_name') AS model, date(start_time) AS day,
        (julianday(end_time) - julianday(start_time)) * 86400000 AS ms, llm_token_count_prompt AS tokens
    FROM spans WHERE span_kind = 'LLM'),
ranked AS (SELECT *, row_number() OVER (PARTITION BY model, day ORDER BY ms) AS place,
    count(*) OVER (PARTITION BY model, day) AS calls FROM calls)
SELECT model, day, calls, max(ms) FILTER (WHERE place <= 0.95 * calls + 1), sum(tokens)
FROM ranked GROUP BY model, day"""
OURS_SQL = """SELECT model, start_time::DATE AS day, count(*), quantile_cont(duration_ms, 0.95), sum(input_tokens)
    FROM llm_calls GROUP BY ALL"""
MLFLOW_METRICS = "/api/3.0/mlflow/traces/metrics"


def spans() -> list[list[RecordedSpan]]:
    """Return the batches that every backend receives."""
    between = DAYS * DAY_NS * 4 // BACKEND_SPANS
    return list(Spans(Texts(), MIXED, between_ns=between).batches(BACKEND_SPANS))


def phoenix_count(backend: Backend) -> int:
    """Return the number of spans that Phoenix reports."""
    answer = requests.post(f"{backend.url}/graphql", json=PHOENIX_COUNT, timeout=60)
    answer.raise_for_status()
    return sum(edge["node"]["recordCount"] for edge in answer.json()["data"]["projects"]["edges"])


def phoenix_query(_: Backend, folder: Path) -> int:
    """Model × day in Phoenix's database; the calls that it counts."""
    with closing(sqlite3.connect(f"file:{folder / 'phoenix.db'}?mode=ro", uri=True)) as connection:
        return sum(row[2] for row in connection.execute(PHOENIX_SQL).fetchall())


def mlflow_metrics(backend: Backend, metric: str, aggregations: list[dict[str, Any]], **more: Any) -> list[Any]:
    """Return the points of a span metric, from all pages."""
    asked = {"experiment_ids": ["0"], "view_type": 2, "metric_name": metric, "aggregations": aggregations, **more}
    points: list[Any] = []
    while True:
        answer = requests.post(f"{backend.url}{MLFLOW_METRICS}", json=asked, timeout=600)
        assert answer.ok, answer.text
        said = answer.json()
        points += said.get("data_points", [])
        if not said.get("next_page_token"):
            return points
        asked["page_token"] = said["next_page_token"]


def mlflow_count(backend: Backend) -> int:
    """Return the number of spans that MLflow reports."""
    return int(sum(sum(point["values"].values()) for point in mlflow_metrics(backend, "span_count", [_COUNT])))


def mlflow_query(backend: Backend, _: Path) -> int:
    """Model × day in MLflow's interface; the calls that it counts."""
    wanted = {
        "dimensions": ["span_name"],
        "time_interval_seconds": 86_400,
        "start_time_ms": FIRST_NS // 1_000_000,
        "end_time_ms": (FIRST_NS + (DAYS + 1) * DAY_NS) // 1_000_000,
    }
    p95 = mlflow_metrics(backend, "latency", [{"aggregation_type": 4, "percentile_value": 95.0}], **wanted)
    counted = mlflow_metrics(backend, "span_count", [_COUNT], **wanted)
    assert len(p95) == len(counted) > 1, (len(p95), len(counted))
    calls = [point for point in counted if point["dimensions"]["span_name"].startswith("chat ")]
    return int(sum(sum(point["values"].values()) for point in calls))


_COUNT = {"aggregation_type": 1}


def server(
    serve: Callable[[Path], AbstractContextManager[Backend]],
    count: Callable[[Backend], int],
    ask: Callable[[Backend, Path], int],
    batches: list[list[RecordedSpan]],
    headers: dict[str, str],
) -> dict[str, float]:
    """Measure a server that receives the spans."""
    os.environ[MARK] = uuid4().hex
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, serve(Path(name)) as backend:
        folder = Path(name)
        empty = _bytes(folder)
        sink = OtlpSink(Destination(endpoint=f"{backend.url}/v1/traces", headers=headers, timeout=120.0, content=True))
        first = Spans(Texts(), MIXED, seed=1).take(4)
        _send(sink, [first])
        _await(backend, count, len(first))
        begin = time.monotonic()
        _send(sink, batches)
        sent = time.monotonic() - begin
        assert sink.exported == len(first) + BACKEND_SPANS, sink.exported
        _await(backend, count, len(first) + BACKEND_SPANS)
        found = time.monotonic() - begin
        sink.close(1.0)
        took: list[float] = []
        for _ in range(QUERIES):
            seconds, calls = timed(lambda: ask(backend, folder))
            assert calls == CALLS + len(first) // 2, calls
            took.append(seconds)
        return {
            "sent": sent,
            "found": found,
            "disk": _bytes(folder) - empty,
            "memory": memory_of_marked(),
            "query": statistics.median(took),
        }


def _send(sink: OtlpSink, batches: list[list[RecordedSpan]]) -> None:
    for batch in batches:
        sink.write(batch)
        assert sink.flush(WITHIN), "the server did not take a batch"


def _await(backend: Backend, count: Callable[[Backend], int], spans_there: int) -> None:
    begin = time.monotonic()
    while (there := count(backend)) < spans_there:
        assert time.monotonic() - begin < WITHIN, there
        time.sleep(ASK_EVERY)
    assert there == spans_there, there


def ours(folder: str) -> None:
    """Write them into a store, count them, compact it, ask."""
    store = Path(folder)
    batches = spans()
    tell("ready")
    hear()
    sink = StoreSink(store, compaction="manual", max_bytes=ROOM)
    before, begin = memory_mb(), time.monotonic()
    written = sum(sink.write(batch) for batch in batches)
    sink.close(0.0)
    sent, grown = time.monotonic() - begin, memory_mb() - before
    there = query("SELECT count(*) FROM spans", path=store).scalar()
    found = time.monotonic() - begin
    assert written == there == BACKEND_SPANS, (written, there)
    compaction, done = timed(lambda: compact_store(store, grace=0.0))
    assert done.rows == BACKEND_SPANS, done
    compact_store(store, grace=0.0)  # removes the segments, which the last one still left to readers
    took: list[float] = []
    for _ in range(QUERIES):
        seconds, rows = timed(lambda: query(OURS_SQL, path=store).rows())
        assert sum(row[2] for row in rows) == CALLS, rows
        took.append(seconds)
    tell(
        {
            "sent": sent,
            "found": found,
            "disk": _bytes(store),
            "memory": grown,
            "query": statistics.median(took),
            "compaction": compaction,
        }
    )


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def marked() -> list[int]:
    """Return the ids of the processes that bear the mark: a server and its workers."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return found


def memory_of_marked() -> float:
    """Megabytes of the processes that bear the mark."""
    pages = 0
    for process in marked():
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    assert pages, "no process of the server was found"
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure everything and print the table."""
    batches = spans()
    print(f"Text: {Texts().source}.\n")
    print(f"| {BACKEND_SPANS:,} spans | sent, s | all queryable, s | disk, MB | memory, MB | model × day, ms |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        (row,) = together(__file__, [("ours", Path(name) / "store")])
    _print("llmops-sdk", row)
    compaction = row["compaction"]
    _print("MLflow", server(serve_mlflow, mlflow_count, mlflow_query, batches, {"x-mlflow-experiment-id": "0"}))
    _print("Phoenix", server(serve_phoenix, phoenix_count, phoenix_query, batches, {}))
    print(f"\nCompaction took ours {compaction:.1f} s more; its disk and its query are those of the compacted store.")


def _print(name: str, row: dict[str, float]) -> None:
    print(
        f"| {name} | {row['sent']:.1f} | {row['found']:.1f} | {row['disk'] / 1e6:,.0f} | {row['memory']:,.0f} "
        f"| {row['query'] * 1e3:,.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        ours(sys.argv[2])
    else:
        main()
