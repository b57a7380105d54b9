"""A large compacted store, and one ideal Parquet file with the same rows, both made in bounded time.

Ten million spans of 4.4 KB are 44 GB of lines. So spans for one file, 100,000 of them, go the real way (sink, segments,
compaction), which gives a Parquet file with the store's own columns, types, compression and row groups. DuckDB then
writes it as often as there are files to be, each with its own ids and times: the ids are hashed with the file's number,
parents and children alike, and the times of the first file are moved into the file's share of the days. Each comes into
the store by the functions of the manifest that compaction uses, so that a reader sees what many compactions would have
left. Within a file text repeats no more than in the real one; between files it does, which no compression sees, since
each is compressed for itself.

The ideal file is what somebody would make by hand for these very queries: all rows sorted by time, the same compression
and row groups, the start as a TIMESTAMP and the duration in milliseconds as columns.
"""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import duckdb
from store_processes import ROOM
from store_spans import DAY_NS, FIRST_NS, MIXED, Spans, Texts

from llmops_sdk.store._sink import StoreSink
from llmops_sdk.store.duck._provenance import KEY, FileProvenance
from llmops_sdk.store.duck._views_file import write_views
from llmops_sdk.store.files._layout import create_store
from llmops_sdk.store.files._manifest import DataFile, commit, read_manifest
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.schema._views import SCHEMA_VERSION

DAYS = 30
FILE_SPANS = 100_000
_FIRST_MS = FIRST_NS // 1_000_000
_GROUP_ROWS = 20_480
_COPY = f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 4, ROW_GROUP_SIZE {_GROUP_ROWS}{{more}})"
_IDEAL = """SELECT make_timestamp(start_ns // 1000) AS start_time, duration_ns / 1e6 AS duration_ms,
    * EXCLUDE (start_time, weight) REPLACE (coalesce(model, request_model) AS model) FROM ({rows})"""


def write_first(folder: Path, spans: int, *, days: float) -> Path:
    """Write the first file with real spans, spread over `days`, and return its path.

    Args:
        folder: Where a store for it may be made.
        spans: How many.
        days: From the first to the last.
    """
    store = folder / "first"
    sink = StoreSink(store, compaction="manual", max_bytes=ROOM)
    made = Spans(Texts(), MIXED, between_ns=int(days * DAY_NS) * 4 // spans)
    written = sum(sink.write(batch) for batch in made.batches(spans))
    sink.close(0.0)
    done = compact_store(store)
    assert written == spans == done.rows, (written, done)
    manifest = read_manifest(store)
    assert manifest is not None
    files = [store / file.name for file in manifest.files if file.stream == "spans"]
    out = folder / "first.parquet"
    with duckdb.connect() as connection:
        listed = ", ".join(f"'{file}'" for file in files)
        # In the order of the spans' ends, as they came: that of the ideal file is made of it.
        copied = connection.execute(
            f"COPY (SELECT * FROM read_parquet([{listed}])) TO '{out}' {_COPY.format(more='')}"
        ).fetchone()
        assert copied is not None
        assert copied[0] == spans, copied
    return out


def _moved(source: Path, number: int, files: int, first_ms: int) -> str:
    """Return SQL that turns the rows of the first file into those of another."""
    # A trace id begins with the milliseconds of the trace's begin.
    share_ms = DAYS * DAY_NS // 1_000_000 // files
    begun = "('0x' || trace_id[:12])::BIGINT"
    moved = f"({first_ms + number * share_ms} + ({begun} - {_FIRST_MS}))"
    return f"""SELECT * REPLACE (
        printf('%012x', {moved}) || md5(trace_id || '{number}')[:20] AS trace_id,
        md5(span_id || '{number}')[:16] AS span_id,
        md5(parent_span_id || '{number}')[:16] AS parent_span_id,
        start_ns + ({moved} - {begun}) * 1000000 AS start_ns,
        start_time + to_milliseconds({moved} - {begun}) AS start_time) FROM read_parquet('{source}')"""


def build(folder: Path, first: Path, files: int, spans_a_file: int) -> tuple[Path, Path]:
    """Create a store of that many files, and the ideal file.

    Args:
        folder: Where they go.
        first: The first file, whose spans lie within the share of the days that one of the files has.
        files: How many times it is written.
        spans_a_file: Its rows.
    """
    store, ideal = folder / "store", folder / "ideal.parquet"
    made = build_store(store, first, files, spans_a_file)
    with duckdb.connect(config={"preserve_insertion_order": True}) as connection:
        _write_ideal(connection, made, ideal)
    return store, ideal


def build_store(store: Path, first: Path, files: int, spans_a_file: int, *, first_ns: int = FIRST_NS) -> list[Path]:
    """Create a store of that many files, and return the files.

    Args:
        store: Its folder.
        first: The first file, as for `build`.
        files: How many times it is written.
        spans_a_file: Its rows.
        first_ns: When the first span begins, in nanoseconds since the epoch.
    """
    manifest = create_store(store)
    (store / "spans").mkdir(exist_ok=True)
    now = time.time()
    made: list[DataFile] = []
    with duckdb.connect(config={"preserve_insertion_order": True}) as connection:
        for number in range(files):
            origin = FileProvenance(
                generation=manifest.generation + 1, stream="spans", version=SCHEMA_VERSION, level=0, written=now
            )
            out = store / "spans" / f"L0-{origin.generation:08}-{uuid4().hex}.parquet"
            more = f", KV_METADATA {{{KEY}: '{origin.encode()}'}}"
            rows = _moved(first, number, files, first_ns // 1_000_000)
            connection.execute(f"COPY ({rows}) TO '{out}' {_COPY.format(more=more)}")
            made.append(
                DataFile(
                    name=f"spans/{out.name}",
                    stream="spans",
                    version=SCHEMA_VERSION,
                    level=0,
                    rows=spans_a_file,
                    bytes=out.stat().st_size,
                    written=now,
                )
            )
        manifest = commit(store, manifest.next(time=now, add=made))
        write_views(store, manifest)
    return [store / file.name for file in made]


def _write_ideal(connection: duckdb.DuckDBPyConnection, files: list[Path], out: Path) -> None:
    # Sorted a file at a time, since each has times of its own; all rows at once would not fit into memory. By one
    # thread: two keep what comes too early, 19 GB of ten million spans.
    connection.execute("SET threads = 1")
    rows = " UNION ALL ".join(f"(SELECT * FROM read_parquet('{file}') ORDER BY start_ns)" for file in files)
    connection.execute(f"COPY ({_IDEAL.format(rows=rows)}) TO '{out}' {_COPY.format(more='')}")
