"""The connection that stays open between two queries: never in the way of what a query finds."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from llmops_sdk.errors import QueryError, StoreError
from llmops_sdk.store import StoreSink, query
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.reading import _warm
from llmops_sdk.store.schema._views import RECORD_STREAMS


@pytest.fixture(autouse=True)
def nothing_idle(monkeypatch):
    """No connection of another test; nor one that a slow machine takes for slow."""
    monkeypatch.setattr(_warm, "_SECONDS", 60.0)
    gc.collect()
    _warm._idle.clear()
    yield
    _warm._idle.clear()


def idle() -> object | None:
    """Return the connection that is used next."""
    return _warm._idle.kept[-1].connection if _warm._idle.kept else None


def count(store: Path, view: str = "spans") -> int:
    return query(f"SELECT count(*) FROM {view}", path=store).scalar()


def test_a_second_query_has_the_connection_of_the_first(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    assert count(store) == 1
    first = idle()
    assert first is not None
    assert query("SELECT name, $1 FROM spans", [7], path=store).rows() == [(make_span().name, 7)]
    assert idle() is first
    assert count(store, "traces") == 1
    second = idle()
    assert second is not first
    assert [count(store), count(store, "traces")] == [1, 1]
    assert idle() is second


def test_it_sees_what_was_written_meanwhile_wherever(store, make_span):
    sinks = [StoreSink(store, compaction="manual") for _ in range(2)]
    written = 0
    for number in range(3):
        for sink in sinks:
            written += sink.write([make_span(span_id=written + 1)])
            assert count(store) == written
        if number == 1:
            sinks[0].close(1.0)
            compact_store(store, grace=0.0)
            assert count(store) == written
    for sink in sinks:
        sink.close(1.0)
    compact_store(store, grace=0.0)
    assert count(store) == written == 6


def test_results_do_not_share_it(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    first = query("SELECT 'first' FROM spans", path=store)
    second = query("SELECT 'second' FROM spans", path=store)
    rows = iter(first)
    del first
    assert [query("SELECT 'third' FROM spans", path=store).scalar(), next(rows), second.rows()] == [
        "third", ("first",), [("second",)],
    ]  # fmt: skip


def test_rows_that_are_still_being_read_stay_those_of_their_result(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    frame = query("SELECT range AS n FROM range(50000), spans", path=store).arrow()
    assert query("SELECT 1 AS other FROM spans", path=store).rows() == [(1,)]
    assert sum(frame["n"].to_pylist()) == sum(range(50_000))


def test_of_two_stores_each_has_its_own(tmp_path, make_span):
    for name in ("one", "two"):
        sink = StoreSink(tmp_path / name)
        sink.write([make_span(name=name)])
        sink.close(1.0)
    for name in ("one", "two", "one", "one"):
        assert query("SELECT name FROM spans", path=tmp_path / name).scalar() == name


def test_what_names_what_is_behind_the_views_has_another(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    assert count(store) == 1
    first = idle()
    assert query("SELECT count(*) FROM store.spans", path=store).scalar() == 1
    assert ("traces",) in query("SELECT view_name FROM duckdb_views()", path=store).rows()
    with pytest.raises(QueryError, match="result"):
        query("FROM store.result", path=store)
    assert idle() is first


def test_one_that_failed_or_took_long_is_not_kept(store, sink, make_span, monkeypatch):
    sink.write([make_span(span_id=1)])
    with pytest.raises(QueryError):
        query("SELECT error('no') FROM spans", path=store)
    assert idle() is None
    with pytest.raises(QueryError, match="took longer"):
        query("SELECT sum(a.range) FROM range(10000000000) a, range(10000) b, spans", path=store, timeout=0.2)
    assert idle() is None
    monkeypatch.setattr(_warm, "_SECONDS", 0.0)
    assert count(store) == 1
    assert idle() is None


def test_a_view_that_cannot_be_read_is_in_the_way_of_none_but_its_own(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    assert [count(store), count(store, "scores")] == [1, 0]
    folder = RECORD_STREAMS["scores"].segment_folder
    broken = store / folder / "host-1-x-1.v1.ndjson"
    broken.write_bytes(bytes(40_000_000))  # a line that is longer than DuckDB reads
    with pytest.raises(StoreError):
        count(store, "scores")
    assert count(store) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_takes_none_along(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    assert count(store) == 1
    held = query("SELECT 'held' FROM spans", path=store)
    assert count(store) == 1
    pid = os.fork()
    if not pid:
        try:
            os._exit(0 if idle() is None and count(store) == 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [idle(), held.scalar(), count(store)] == [None, "held", 1]
