"""The SDK's own statements see few columns of the store's tables, and find what a query over the views finds."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from span_writer import START_NS, PlainSpan

from llmops_sdk.errors import QueryError
from llmops_sdk.store import StoreSink, connect, prune
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.reading import _warm
from llmops_sdk.store.reading.jobs._own_rows import own_rows
from llmops_sdk.store.reading.jobs._row_groups import RowGroup, latest_slice, row_groups
from llmops_sdk.store.schema._views import VIEWS
from llmops_sdk.tracing.records._records import ScoreRecord
from llmops_sdk.tracing.records._semconv import EVENT_DETAILS


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store with Parquet files and lines of spans, scores and details."""
    folder = tmp_path_factory.mktemp("own") / "store"
    for part in (1, 2):
        sink = StoreSink(folder, compaction="manual")
        sink.write([
            PlainSpan(
                trace_id=part, span_id=part * 10 + number, parent_id=number and part * 10,
                kind="llm" if number else "chain", start_ns=START_NS + part * 10_000 + number,
                status="error" if number == 2 else "ok", input=None if number == 1 else b'"asked"',
                attributes={"user.id": "ada", "gen_ai.request.model": "toy"},
            )
            for number in range(3)
        ])  # fmt: skip
        sink.write([
            ScoreRecord(
                trace_id=f"{part:032x}", span_id=None, name="helpful", value=0.25, label=None, comment=None,
                source="user", time_ns=START_NS,
            ),
        ])  # fmt: skip
        said = {"event": EVENT_DETAILS, "time_ns": START_NS, "provider": "acme", "input_messages": [{"role": "user"}]}
        ids = {"trace_id": f"{part:032x}", "span_id": f"{part * 10 + 1:016x}"}
        (folder / "details" / f"host-1-{part}-1.v7.ndjson").write_bytes(orjson.dumps(ids | said) + b"\n")
        sink.close(1.0)
        if part == 1:
            compact_store(folder, grace=0.0)
    return folder


@pytest.fixture(scope="module")
def views(whole):
    with connect(path=whole) as connection:
        yield connection


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_each_view_has_the_same_rows_however_few_columns_are_named(whole, views, view):
    names = [f'"{column.name}"' for column in view.columns]
    for columns in (["*"], names[-1:], ["count(*)"]):
        sql = f"SELECT {', '.join(columns)} FROM {view.name} ORDER BY ALL"
        found = own_rows(sql, None, whole)
        assert found.rows == views.execute(sql).fetchall()
        assert found.columns == tuple(name for name, *_ in views.description)


def test_it_takes_values_and_refuses_what_a_query_refuses_when_it_is_checked(whole):
    assert own_rows("SELECT count(*) FROM llm_calls WHERE kind = $kind", {"kind": "llm"}, whole).rows == [(4,)]
    assert own_rows("SELECT 1", None, whole, if_no_scores="SELECT 2").rows == [(1,)]
    assert own_rows("SELECT provider FROM llm_calls WHERE provider IS NOT NULL", None, whole).rows == [("acme",)] * 2
    with pytest.raises(QueryError, match="may not call glob"):
        own_rows("SELECT * FROM glob('*')", None, whole, checked=True)
    with pytest.raises(QueryError, match="nothing"):
        own_rows("SELECT nothing FROM spans", None, whole)


def test_a_name_of_a_table_within_a_text_is_text(whole):
    for text in ("store.spans", "store.nothing", "it's store.spans"):
        literal = "'" + text.replace("'", "''") + "'"
        assert own_rows(f"SELECT {literal} FROM spans LIMIT 1", None, whole).rows == [(text,)]


def test_other_sql_runs_in_a_store_without_scores(store, sink, make_span):
    sink.write([make_span(span_id=1)])
    assert own_rows("SELECT 1", None, store, if_no_scores="SELECT 2").rows == [(2,)]


def test_pruned_texts_are_gone_from_a_connection_that_was_open(store):
    sink = StoreSink(store, compaction="manual")
    sink.write(
        [PlainSpan(trace_id=one, span_id=one, input=b'"secret"', attributes={"user.id": f"u{one}"}) for one in (1, 2)]
    )
    sink.close(1.0)
    compact_store(store, grace=0.0)
    sql = "SELECT user_id, input FROM spans ORDER BY user_id"
    assert own_rows(sql, None, store).rows == [("u1", '"secret"'), ("u2", '"secret"')]
    assert _warm._idle.kept
    prune(user_id="u1", path=store)
    assert own_rows(sql, None, store).rows == [("u2", '"secret"')]


def test_row_groups_are_those_of_the_files_and_are_asked_for_only_when_there_are_enough_rows(store):
    for part in range(2):
        sink = StoreSink(store, compaction="manual")
        sink.write([PlainSpan(span_id=one + 1, start_ns=START_NS + part * 100 + one) for one in range(10)])
        sink.close(1.0)
        compact_store(store, grace=0.0)
    found = row_groups(store, "spans", "start_ns", least=1, timeout=None)
    assert sum(group.rows for group in found) == 20
    assert (min(group.oldest for group in found), max(group.newest for group in found)) == (START_NS, START_NS + 109)
    assert row_groups(store, "spans", "start_ns", least=21, timeout=None) == []


GROUPS = st.lists(
    st.tuples(st.integers(1, 500), st.integers(0, 10_000), st.integers(0, 3_000)).map(
        lambda one: RowGroup(one[0], one[1], one[1] + one[2])
    ),
    max_size=8,
)


@given(groups=GROUPS, rows=st.integers(1, 1_000), until=st.none() | st.integers(0, 12_000))
def test_a_slice_has_about_as_many_rows_as_wanted(groups, rows, until):
    end = 20_000 if until is None else until

    def within(start: int) -> float:
        return sum(
            one.rows * max(min(one.newest + 1, end) - max(one.oldest, start), 0) / (one.newest - one.oldest + 1)
            for one in groups
        )

    found = latest_slice(groups, rows, until)
    if found is None:
        assert within(0) < rows + 1e-6
        return
    assert within(found.start - 1) >= rows - 1e-6
    assert within(found.start + 1) <= rows + 1e-6
    assert within(found.start) <= found.most_rows + 1e-6
    assert found.oldest <= found.start <= found.newest + 1
