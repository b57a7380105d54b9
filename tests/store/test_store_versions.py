"""Files of an older schema beside those of a newer one. (A newer one than ours is refused: test_store_segments.py.)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb

from llmops_sdk.store.duck._parquet import ParquetWriter
from llmops_sdk.store.duck._provenance import FileProvenance
from llmops_sdk.store.duck._sql import lines_sql, rows_sql
from llmops_sdk.store.files._manifest import DataFile
from llmops_sdk.store.schema._views import RECORD_STREAMS, SPAN_COLUMNS, VIEWS, RecordStream, StoredColumn

SPANS = RECORD_STREAMS["spans"]
MOOD = StoredColumn("mood", "VARCHAR", "How it felt.", since=5)
NEWER = replace(SPANS, columns=(*SPAN_COLUMNS, MOOD))


def test_every_column_has_a_known_schema_version():
    assert {key.since for stream in RECORD_STREAMS.values() for key in stream.columns} == {1, 2, 3, 4, 5, 6, 7}


def write_files(tmp_path: Path, *wanted: tuple[int, RecordStream, str]) -> list[DataFile]:
    writer = ParquetWriter()
    files: list[DataFile] = []
    for version, stream, name in wanted:
        out = tmp_path / "spans" / f"{name}.parquet"
        origin = FileProvenance(generation=1, stream="spans", version=version, level=0, written=0.0)
        rows = writer.write_lines(stream, [tmp_path / "wal" / f"{name}.ndjson"], out, origin)
        files.append(
            DataFile(name=f"spans/{name}.parquet", stream="spans", version=version, level=0, rows=rows,
                     bytes=out.stat().st_size, written=0.0)
        )  # fmt: skip
    writer.close()
    return files


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
    files = write_files(tmp_path, (4, SPANS, "old"), (5, NEWER, "new"))
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA store")
        lines = lines_sql(NEWER, [wal / "older_lines.ndjson", wal / "lines.ndjson"])
        connection.execute(f"CREATE VIEW store.spans_lines AS {lines}")
        connection.execute(f"CREATE VIEW store.spans AS {rows_sql(NEWER, tmp_path, files)}")
        connection.execute(f"CREATE VIEW spans AS {VIEWS[0].sql}")
        rows = connection.execute("SELECT name, mood FROM store.spans ORDER BY start_time").fetchall()
        assert rows == [("old", None), ("new", "glad"), ("older lines", None), ("lines", "calm")]
        assert connection.execute("SELECT count(*) FROM spans").fetchone() == (4,)


def test_files_of_version_3_beside_version_4_have_no_deployment_and_no_traffic(tmp_path):
    wal = tmp_path / "wal"
    wal.mkdir()
    (tmp_path / "spans").mkdir()
    event = '{"name":"llmops.traffic","time_ns":5,"attributes":{"policy":"hedge","decision":"won","limit":2}}'
    for name, more in (("old", ""), ("new", f',"deployment":"east","events":[{event}],"traffic_events":1')):
        line = (
            f'{{"trace_id":"a","span_id":"{name}","start_ns":1000,"duration_ns":1,"name":"{name}","kind":"llm"{more}}}'
        )
        (wal / f"{name}.ndjson").write_text(line + "\n")
    older = replace(SPANS, columns=tuple(column for column in SPAN_COLUMNS if column.since < 4))
    assert {column.name for column in SPAN_COLUMNS if column.since == 4} == {"deployment", "traffic_events"}
    files = write_files(tmp_path, (3, older, "old"), (4, SPANS, "new"))
    views = {view.name: view.sql for view in VIEWS}
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA store")
        connection.execute(f"CREATE VIEW store.spans_lines AS {lines_sql(SPANS, [])}")
        connection.execute(f"CREATE VIEW store.spans AS {rows_sql(SPANS, tmp_path, files)}")
        calls = connection.execute(f"SELECT name, deployment FROM ({views['llm_calls']}) ORDER BY name").fetchall()
        assert calls == [("new", "east"), ("old", None)]
        traffic = f"SELECT span_id, policy, decision, limit_value FROM ({views['traffic']})"
        assert connection.execute(traffic).fetchall() == [("new", "hedge", "won", 2.0)]
