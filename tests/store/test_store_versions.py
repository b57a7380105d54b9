"""Files of an older schema beside those of a newer one. (A newer one than ours is refused: test_store_segments.py.)"""

from __future__ import annotations

from dataclasses import replace

import duckdb

from llmops_sdk.store.duck._parquet import ParquetWriter
from llmops_sdk.store.duck._provenance import FileProvenance
from llmops_sdk.store.duck._sql import lines_sql, rows_sql
from llmops_sdk.store.files._manifest import DataFile
from llmops_sdk.store.schema._views import RECORD_STREAMS, SPAN_COLUMNS, VIEWS, StoredColumn

SPANS = RECORD_STREAMS["spans"]
MOOD = StoredColumn("mood", "VARCHAR", "How it felt.", since=5)
NEWER = replace(SPANS, columns=(*SPAN_COLUMNS, MOOD))


def test_every_column_has_a_known_schema_version():
    assert {key.since for stream in RECORD_STREAMS.values() for key in stream.columns} == {1, 2, 3, 4}


def test_older_files_read_NULL_for_newer_columns(tmp_path):
    wal = tmp_path / "wal"
    wal.mkdir()
    (tmp_path / "spans").mkdir()
    for name, line in (
        ("old", '{"trace_id":"a","span_id":"1","start_ns":1000,"name":"old"}'),
        ("new", '{"trace_id":"b","span_id":"2","start_ns":2000,"name":"new","mood":"glad"}'),
        ("older_lines", '{"trace_id":"c","span_id":"3","start_ns":3000,"name":"older lines"}'),
        ("lines", '{"trace_id":"d","span_id":"4","start_ns":4000,"name":"lines","mood":"calm"}'),
    ):
        (wal / f"{name}.ndjson").write_text(line + "\n")
    writer = ParquetWriter()
    files: list[DataFile] = []
    for version, stream, name in ((4, SPANS, "old"), (5, NEWER, "new")):
        out = tmp_path / "spans" / f"{name}.parquet"
        origin = FileProvenance(generation=1, stream="spans", version=version, level=0, written=0.0)
        rows = writer.write_lines(stream, [wal / f"{name}.ndjson"], out, origin)
        files.append(
            DataFile(name=f"spans/{name}.parquet", stream="spans", version=version, level=0, rows=rows,
                     bytes=out.stat().st_size, written=0.0)
        )  # fmt: skip
    writer.close()
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA store")
        lines = lines_sql(NEWER, [wal / "older_lines.ndjson", wal / "lines.ndjson"])
        connection.execute(f"CREATE VIEW store.spans_lines AS {lines}")
        connection.execute(f"CREATE VIEW store.spans AS {rows_sql(NEWER, tmp_path, files)}")
        connection.execute(f"CREATE VIEW spans AS {VIEWS[0].sql}")
        rows = connection.execute("SELECT name, mood FROM store.spans ORDER BY start_time").fetchall()
        assert rows == [("old", None), ("new", "glad"), ("older lines", None), ("lines", "calm")]
        assert connection.execute("SELECT count(*) FROM spans").fetchone() == (4,)
