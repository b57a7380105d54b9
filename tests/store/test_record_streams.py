"""A new record stream needs one entry in the table: every part of the store then takes it along."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass

import pytest
from thorough_cases import thorough

from llmops_sdk.store import StoreSink, compact, export, import_file, prune, query, snapshot
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.schema._views import RECORD_STREAMS, VIEWS, Column, RecordStream, StoredColumn, View

START = 1_795_000_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    trace_id: str | None
    name: str
    amount: int | None
    share: float
    good: bool
    detail: bytes
    time_ns: int


COLUMNS = (
    StoredColumn("trace_id", "VARCHAR", "The trace."),
    StoredColumn("name", "VARCHAR", "The toy.", default=""),
    StoredColumn("amount", "BIGINT", "How many."),
    StoredColumn("share", "DOUBLE", "Of all."),
    StoredColumn("good", "BOOLEAN", "Whether it is whole."),
    StoredColumn("detail", "JSON", "More."),
    StoredColumn("time_ns", "BIGINT", "When."),
)
SHOWN = "trace_id, name, amount, share, good, detail"
TOYS = RecordStream(
    name="toys",
    columns=COLUMNS,
    segment_folder="toys",
    parquet_folder="toys",
    required="name",
    identifying=("amount", "good"),
    same_record="name || time_ns // 1000",
    record_type=Toy,
    view=View(
        "toys",
        "Every toy.",
        (*(Column(one.name, one.type, one.doc) for one in COLUMNS[:-1]), Column("time", "TIMESTAMP", "When.")),
        f"SELECT {SHOWN}, make_timestamp(time_ns // 1000) AS time FROM store.toys",
        "SELECT name FROM toys",
    ),
)


@pytest.fixture(autouse=True)
def toys():
    RECORD_STREAMS["toys"] = TOYS
    VIEWS.append(TOYS.view)
    yield
    VIEWS.remove(TOYS.view)
    del RECORD_STREAMS["toys"]


@pytest.fixture
def filled(store, make_span):
    sink = StoreSink(store, compaction="manual")
    detail = b'{"a": [1,\n 2]}'
    sink.write(
        [
            make_span(trace_id=1, start_ns=START),
            Toy(trace_id=f"{1:032x}", name="ball", amount=3, share=0.5, good=True, detail=detail, time_ns=START),
            Toy(trace_id=None, name="kite", amount=None, share=float("nan"), good=False, detail=b"[]", time_ns=START),
        ]
    )
    sink.close(1.0)
    return store


def rows(path):
    found = query(f"SELECT {SHOWN} FROM toys ORDER BY name", path=path).rows()
    return [(*row[:-1], json.loads(row[-1])) for row in found]


ROWS = [(f"{1:032x}", "ball", 3, 0.5, True, {"a": [1, 2]}), (None, "kite", None, None, False, [])]


def test_records_are_read_from_lines_parquet_and_snapshot(filled, tmp_path):
    assert rows(filled) == ROWS
    assert query("SELECT what, reason, count FROM losses", path=filled).rows() == [("share", "not_finite", 1)]
    assert compact(path=filled).rows == 4
    assert rows(filled) == ROWS
    with duckdb.connect(str(filled / "traces.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM toys").fetchone() == (2,)
    with duckdb.connect(str(snapshot(tmp_path / "all.duckdb", path=filled).file)) as connection:
        assert connection.execute("SELECT count(*) FROM toys").fetchone() == (2,)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("compacted", [False, True], ids=["lines", "Parquet"])
def test_export_and_import_bring_records_to_another_store(filled, tmp_path, form, compacted):
    if compacted:
        compact(path=filled)
    file = tmp_path / f"toys.{form}"
    assert export(file, what="toys", path=filled).rows == 2
    other = tmp_path / "other"
    assert import_file(file, path=other).others == {"toys": 2}
    assert rows(other) == ROWS
    again = import_file(file, path=other)
    assert (again.others, again.present) == ({"toys": 0}, 2)


@pytest.mark.parametrize("compacted", [False, True], ids=["lines", "Parquet"])
@pytest.mark.parametrize(
    ("what", "left"),
    [
        ({"trace_id": f"{1:032x}"}, ["kite"]),
        thorough({"older_than": datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)}, []),
        ({"older_than": datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)}, ["ball", "kite"]),
    ],
)
def test_prune_removes_records_by_trace_and_by_age(filled, compacted, what, left):
    if compacted:
        compact(path=filled)
    prune(path=filled, **what)
    assert [row[1] for row in rows(filled)] == left
