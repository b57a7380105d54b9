"""The pages of the latest traces have the rows of the view `traces`, in its order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from span_writer import START_NS, PlainSpan

from llmops_sdk.store import StoreSink, query
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._thinning import ThinningPolicy
from llmops_sdk.store.reading import _latest, _warm
from llmops_sdk.store.reading._filters import Filter, ScoreTest, trace_filter
from llmops_sdk.store.reading._latest import TraceFilter, TraceKey, TraceTexts, latest_traces, trace_texts
from llmops_sdk.tracing.records._records import ScoreRecord

COLUMNS = "trace_id, start_time, duration_ms, name, spans, cost, errors, status, user_id"


def moment(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(microseconds=(START_NS + ns) // 1000)


def in_view(folder: Path, wanted: Filter) -> list[tuple[object, ...]]:
    where = wanted.where("traces")
    sql = f"SELECT {COLUMNS} FROM traces WHERE {where.sql} ORDER BY start_time DESC, trace_id"
    return query(sql, where.params, path=folder).rows()


def by_pages(folder: Path, chosen: TraceFilter, limit: int) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    after = None
    while True:
        page = latest_traces(folder, COLUMNS, limit=limit, chosen=chosen, after=after)
        assert len(page.rows) == limit or page.next is None
        rows += page.rows
        after = page.next
        if after is None:
            return rows


@pytest.fixture(scope="module", autouse=True)
def small_slices():
    """Slices of a few spans, so that a small store has several of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_latest, "_SLICE_SPANS", 1)
        patch.setattr(_latest, "_GROWTH", 2)
        yield


# Few traces, few times: spans straddle slices, roots are missing or late, starts are equal or within a microsecond.
SPANS = st.lists(
    st.builds(
        PlainSpan,
        trace_id=st.integers(1, 12),
        span_id=st.integers(1, 2**63),
        parent_id=st.sampled_from([0, 0, 7]),
        start_ns=st.integers(0, 40).map(lambda step: START_NS + step * 400),
        duration_ns=st.integers(0, 5_000),
        status=st.sampled_from(["ok", "error"]),
        kind=st.sampled_from(["chain", "llm"]),
        attributes=st.sampled_from(
            [
                {"user.id": "ada"},
                {"user.id": "bob", "gen_ai.request.model": "toy", "gen_ai.usage.cost": 0.5},
                {"note": "needle"},
            ]
        ),
    ),
    min_size=1,
    max_size=40,
)
FILTERS = st.builds(
    Filter,
    since=st.none() | st.integers(0, 16_000).map(moment),
    until=st.none() | st.integers(0, 16_000).map(moment),
    status=st.none() | st.just("error"),
    user=st.none() | st.sampled_from(["ada", "nobody"]),
    model=st.none() | st.just("toy"),
    kind=st.none() | st.just("llm"),
    search=st.none() | st.just("NEEDLE"),
    scores=st.sampled_from([(), (ScoreTest("helpful"),), (ScoreTest("helpful", "<", value=0.5),)]),
)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(spans=SPANS, compacted=st.integers(0, 40), wanted=FILTERS, limit=st.integers(1, 6), scored=st.integers(0, 12))
def test_pages_have_the_rows_of_the_view(spans, compacted, wanted, limit, scored):
    with TemporaryDirectory() as name:
        folder = Path(name) / "store"
        if compacted:
            sink = StoreSink(folder, compaction="manual")
            sink.write(spans[:compacted])
            sink.close(1.0)
            compact_store(folder, grace=0.0)
        sink = StoreSink(folder, compaction="manual")
        score = ScoreRecord(
            trace_id=f"{scored:032x}", span_id=None, name="helpful", value=0.25, label=None, comment=None,
            source="user", time_ns=START_NS,
        )  # fmt: skip
        sink.write([*spans[compacted:], *([score] if scored else [])])
        sink.close(1.0)
        for one in (Filter(), wanted):
            assert by_pages(folder, trace_filter(one), limit) == in_view(folder, one)


def test_pages_of_sampled_parquet_files_and_live_lines_have_the_rows_of_the_view(store):
    sink = StoreSink(store, compaction="manual")
    sink.write(
        [
            PlainSpan(
                trace_id=trace, span_id=trace * 10 + span, parent_id=span and 1, start_ns=START_NS + trace * 1000 + span
            )
            for trace in range(1, 40)
            for span in range(3)
        ]
    )
    sink.close(1.0)
    compact_store(store, grace=0.0, thinning=ThinningPolicy(share=0.5, after_days=0.0))
    sink.write(
        [
            PlainSpan(trace_id=trace, span_id=trace * 10 + 5, parent_id=1, start_ns=START_NS + 50_000)
            for trace in (3, 38, 41)
        ]
    )
    sink.close(1.0)
    assert by_pages(store, TraceFilter(), 5) == in_view(store, Filter())


def test_a_trace_without_a_start_is_on_the_last_page(store):
    sink = StoreSink(store, compaction="manual")
    sink.write([PlainSpan(trace_id=trace) for trace in range(1, 5)])
    sink.close(1.0)
    (store / "wal" / "host-1-a-1.v1.ndjson").write_bytes(b'{"trace_id":"a","span_id":"b","name":"no start"}\n')
    assert by_pages(store, TraceFilter(), 2) == in_view(store, Filter())


def test_a_span_of_another_age_is_in_the_way_of_no_page(store):
    sink = StoreSink(store, compaction="manual")
    starts = [1_000, *(START_NS + trace * 1_000_000 for trace in range(2, 60)), START_NS * 2]
    sink.write([PlainSpan(trace_id=trace, start_ns=start) for trace, start in enumerate(starts, 1)])
    sink.close(1.0)
    compact_store(store, grace=0.0)
    assert by_pages(store, TraceFilter(), 7) == in_view(store, Filter())


def test_an_empty_store_has_one_empty_page(tmp_path):
    assert latest_traces(tmp_path, "trace_id", limit=3) == ([], None)


def test_texts_are_read_without_an_open_connection(store):
    sink = StoreSink(store, compaction="manual")
    sink.write([PlainSpan(trace_id=7, input=b'"asked"', output=b'"said"')])
    sink.close(1.0)
    [key] = [
        TraceKey(START_NS // 1_000 * 1_000, trace_id)
        for (trace_id,) in query("SELECT trace_id FROM traces", path=store).rows()
    ]
    _warm._idle.clear()
    assert trace_texts(store, [key], 100) == {key.trace_id: TraceTexts('"asked"', '"said"')}
