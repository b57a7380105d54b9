"""Queries on a large store, as ratios to SQL written by hand over one ideal Parquet file with the same rows.

`store_files.py` says how the store and the ideal file are made. By hand means: DuckDB with as many threads, the columns
named that are needed, a column `start_time` to filter on; the file is opened anew for each query, as `llmops.query`
opens the store. Each round asks ours and the other in turn, after one round that is not counted (but for queries of
more than ten seconds); the figure is the median of the rounds' ratios. Both must give the same rows. A third column
asks a connection of `llmops.connect()` that stays open, as a notebook has.

Then, on the first size: the command line in a process of its own, against a script of python and duckdb; the page of
traces; and what segments cost that are not compacted yet.

Run it with `make bench-store`; `STORE_SPANS` (1000000,10000000) and `QUERY_ROUNDS` (9) of the environment set its
scale. Ten million spans take some 14 GB in the folder for temporary files (`TMPDIR`), and are removed in the end.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
from store_files import DAYS, FILE_SPANS, build, write_first
from store_processes import ROOM, parquet_bytes, scale, timed, waiting_bytes
from store_spans import DAY_NS, FIRST_NS, MIXED, Spans, Texts

import llmops_sdk as llmops
from llmops_sdk.store._sink import StoreSink

STORE_SPANS = [int(count) for count in os.environ.get("STORE_SPANS", "1000000,10000000").split(",")]
ROUNDS = scale("QUERY_ROUNDS", 9)
LEAST_ROUNDS = 3
SECONDS = 60.0
"""After which a query is asked no more, if it was often enough."""
SLOW = 10.0
"""Seconds of a query whose first round counts too: what it read was warm before it had ended."""
TAILS_MB = (0, 8, 32)
RUNS = 5
"""Of each command."""

Rows: TypeAlias = list[tuple[Any, ...]]
_DAY = f"make_timestamp({(FIRST_NS + DAYS // 2 * DAY_NS) // 1000})"
_ONE_DAY = f"start_time >= {_DAY} AND start_time < {_DAY} + INTERVAL 1 DAY"
_LIKE = "'%direct debit%'"
_TENANT = "attributes->>'$.\"llmops.metadata.tenant\"'"
_CALL = "kind IN ('llm', 'embedding')"


@dataclass(frozen=True)
class Query:
    """The same question twice."""

    name: str
    ours: str
    by_hand: str
    """`{file}` is the ideal file, and in both `{trace}` a trace's id."""


QUERIES = (
    Query(
        "model × day, p95",
        "SELECT model, start_time::DATE AS day, count(*), sum(input_tokens), sum(cost::DECIMAL(18, 9)), "
        "quantile_cont(duration_ms, 0.95) FROM llm_calls GROUP BY ALL ORDER BY ALL",
        "SELECT model, start_time::DATE AS day, count(*), sum(input_tokens), sum(cost::DECIMAL(18, 9)), "
        f"quantile_cont(duration_ms, 0.95) FROM '{{file}}' WHERE {_CALL} GROUP BY ALL ORDER BY ALL",
    ),
    Query(
        "LIKE over all",
        f"SELECT count(*), min(start_time) FROM llm_calls WHERE input_messages LIKE {_LIKE}",
        f"SELECT count(*), min(start_time) FROM '{{file}}' WHERE {_CALL} AND input_messages LIKE {_LIKE}",
    ),
    Query(
        "LIKE over one day",
        f"SELECT count(*), min(start_time) FROM llm_calls WHERE {_ONE_DAY} AND input_messages LIKE {_LIKE}",
        f"SELECT count(*), min(start_time) FROM '{{file}}' WHERE {_CALL} AND {_ONE_DAY} "
        f"AND input_messages LIKE {_LIKE}",
    ),
    Query(
        "one trace",
        "SELECT span_id, parent_span_id, name, start_time, duration_ms, input, output FROM spans "
        "WHERE trace_id = '{trace}' ORDER BY span_id",
        "SELECT span_id, parent_span_id, name, start_time, duration_ms, coalesce(input, input_messages), "
        "coalesce(output, output_messages) FROM '{file}' WHERE trace_id = '{trace}' ORDER BY span_id",
    ),
    Query(
        "group by an attribute",
        f"SELECT {_TENANT} AS tenant, count(*), sum(cost::DECIMAL(18, 9)) FROM llm_calls GROUP BY ALL ORDER BY ALL",
        f"SELECT {_TENANT} AS tenant, count(*), sum(cost::DECIMAL(18, 9)) FROM '{{file}}' WHERE {_CALL} "
        "GROUP BY ALL ORDER BY ALL",
    ),
    Query(
        "one hour",
        f"SELECT count(*), avg(duration_ms)::DECIMAL(18, 4) FROM spans WHERE start_time >= {_DAY} "
        f"AND start_time < {_DAY} + INTERVAL 1 HOUR",
        f"SELECT count(*), avg(duration_ms)::DECIMAL(18, 4) FROM '{{file}}' WHERE start_time >= {_DAY} "
        f"AND start_time < {_DAY} + INTERVAL 1 HOUR",
    ),
)
BY_HAND = """import duckdb
print(duckdb.sql("SELECT count(*) FROM '{file}'").fetchall())"""
TRACES_BY_HAND = """import duckdb
print(duckdb.sql(\"\"\"SELECT trace_id, min(start_time) AS start_time, max(epoch_ms(start_time) + duration_ms)
    - min(epoch_ms(start_time)), arg_min(name, start_time) FILTER (parent_span_id IS NULL), count(*),
    sum(input_tokens), sum(output_tokens), sum(cost), bool_or(simulated), count(*) FILTER (status = 'error'),
    arg_min(status, start_time) FILTER (parent_span_id IS NULL), arg_min(session_id, start_time),
    arg_min(user_id, start_time) FROM '{file}' GROUP BY trace_id ORDER BY start_time DESC LIMIT 20\"\"\").fetchall())"""
ERRORS_BY_HAND = TRACES_BY_HAND.replace("GROUP BY trace_id", "GROUP BY trace_id HAVING status = 'error'").replace(
    "arg_min(status, start_time) FILTER (parent_span_id IS NULL)",
    "arg_min(status, start_time) FILTER (parent_span_id IS NULL) AS status",
)


def compare(query: Query, store: Path, ideal: Path, expected_calls: int) -> dict[str, float]:
    """Ours, the other and the open connection, in turns."""
    with duckdb.connect() as connection:
        count, middle = "SELECT count(*) FROM '{file}'", "SELECT trace_id FROM '{file}' OFFSET {at} LIMIT 1"
        rows = connection.execute(count.format(file=ideal)).fetchone()
        assert rows is not None
        found = connection.execute(middle.format(file=ideal, at=rows[0] // 3)).fetchone()
        assert found is not None
    ours = query.ours.format(trace=found[0])
    by_hand = query.by_hand.format(file=ideal, trace=found[0])

    def hand() -> Rows:
        with duckdb.connect() as connection:
            return connection.execute(by_hand).fetchall()

    rounds: list[dict[str, float]] = []
    with llmops.connect(path=store) as open_connection:
        begin = time.monotonic()
        for number in range(ROUNDS + 1):
            mine, rows_of_ours = timed(lambda: llmops.query(ours, path=store).rows())
            theirs, expected = timed(hand)
            kept, rows_of_kept = timed(lambda: open_connection.execute(ours).fetchall())
            assert rows_of_ours == rows_of_kept == expected, (query.name, rows_of_ours[:3], expected[:3])
            assert expected, query.name
            if query is QUERIES[0]:
                assert sum(row[2] for row in expected) == expected_calls, expected
            if number or mine > SLOW:
                rounds.append({"ours": mine, "hand": theirs, "ratio": mine / theirs, "kept": kept / theirs})
            if len(rounds) >= LEAST_ROUNDS and time.monotonic() - begin > SECONDS:
                break
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def command(*words: str, says: str = "") -> float:
    """Seconds that a process takes, all in all; the median."""
    took: list[float] = []
    for _ in range(RUNS):
        seconds, done = timed(lambda: subprocess.run(words, capture_output=True, text=True, check=True))
        assert says in done.stdout, done.stdout
        took.append(seconds)
    return statistics.median(took)


def commands(store: Path, ideal: Path, spans: int) -> None:
    """Print a table that compares the command line with scripts."""
    program = str(Path(sys.executable).with_name("llmops"))
    asked = "SELECT count(*) FROM spans"
    pairs = (
        (
            f"`llmops sql '{asked}'`",
            command(program, "sql", asked, "--store", str(store), "--format", "csv", says=str(spans)),
            command(sys.executable, "-c", BY_HAND.format(file=ideal), says=str(spans)),
        ),
        (
            "`llmops traces`",
            command(program, "traces", "--store", str(store), "--format", "csv", says="support.answer"),
            command(sys.executable, "-c", TRACES_BY_HAND.format(file=ideal), says="support.answer"),
        ),
        (
            "`llmops traces --status error`",
            command(program, "traces", "--status", "error", "--store", str(store), "--format", "csv", says="error"),
            command(sys.executable, "-c", ERRORS_BY_HAND.format(file=ideal), says="error"),
        ),
    )
    print(
        f"\n| a process of its own, {spans:,} spans | ms | python and duckdb by hand, ms | ratio |\n|---|---|---|---|"
    )
    for name, ours, theirs in pairs:
        print(f"| {name} | {ours * 1e3:.0f} | {theirs * 1e3:.0f} | {ours / theirs:.2f} |", flush=True)


def tails(store: Path, spans: int) -> None:
    """Model × day while some megabytes of segments wait, as a table."""
    print("\n| segments that wait, MB | model × day, ms | more than without, ms |\n|---|---|---|")
    sink = StoreSink(store, compaction="manual", max_bytes=ROOM)
    batches = Spans(Texts(), MIXED, seed=1).batches(1_000_000)
    without = 0.0
    for size in TAILS_MB:
        while waiting_bytes(store) < size * 1_000_000:
            spans += sink.write(next(batches))
        took: list[float] = []
        for _ in range(ROUNDS):
            seconds, _ = timed(lambda: llmops.query(QUERIES[0].ours, path=store).rows())
            took.append(seconds)
        assert llmops.query("SELECT count(*) FROM spans", path=store).scalar() == spans
        here = statistics.median(took)
        without = without or here
        print(f"| {size} | {here * 1e3:.0f} | {(here - without) * 1e3:.0f} |", flush=True)
    sink.close(0.0)


def measure(folder: Path, spans: int, *, more: bool) -> None:
    """Make a store of so many spans and print its tables; with `more` those of the command line and of segments."""
    a_file = min(FILE_SPANS, spans)
    files = spans // a_file
    spans = files * a_file
    begin = time.monotonic()
    store, ideal = build(folder, write_first(folder, a_file, days=DAYS / files), files, a_file)
    print(
        f"\n{spans:,} spans in {files} files of {parquet_bytes(store) / spans:.0f} bytes a span, made in "
        f"{time.monotonic() - begin:.0f} s; the ideal file has {ideal.stat().st_size / spans:.0f}.\n"
    )
    print(f"| {spans:,} spans | `llmops.query`, ms | by hand, ms | ratio | ratio of an open connection |")
    print("|---|---|---|---|---|")
    for query in QUERIES:
        row = compare(query, store, ideal, spans // 2)
        print(
            f"| {query.name} | {row['ours'] * 1e3:.0f} | {row['hand'] * 1e3:.0f} | {row['ratio']:.2f} "
            f"| {row['kept']:.2f} |",
            flush=True,
        )
    if more:
        commands(store, ideal, spans)
        tails(store, spans)


def main() -> None:
    """Measure everything and print the tables."""
    print(f"Text: {Texts().source}; {os.cpu_count()} cores.")
    for number, spans in enumerate(STORE_SPANS):
        with tempfile.TemporaryDirectory() as name:
            measure(Path(name), spans, more=number == 0)


if __name__ == "__main__":
    main()
