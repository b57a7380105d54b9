"""Traces that the follower has to look up in the store: those that began before it, and those that lost spans."""

from __future__ import annotations

import time

import pytest
from span_writer import PlainSpan

from llmops_sdk.store import StoreSink
from llmops_sdk.store.reading import _ended
from llmops_sdk.store.reading._ended import EndedSpans
from llmops_sdk.store.reading._filters import Filter


class SlowClock:
    """A clock that a look-up in the store moves by a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def followed(store, monkeypatch):
    """A store, and a follower of its traces that holds four spans."""
    clock, looked_up = SlowClock(), []
    sink = StoreSink(store, compaction="manual")
    sink.write([PlainSpan(trace_id=1, span_id=1)])
    own_rows = _ended.own_rows

    def counted(*args: object):
        clock.now += 1.0
        found = own_rows(*args)
        looked_up.append(sorted(int(row[0], 16) for row in found.rows))
        return found

    monkeypatch.setattr(_ended, "own_rows", counted)
    ended = EndedSpans(Filter(), spans=False, columns="trace_id, spans", folder=store, clock=clock, max_spans=4)
    yield sink, ended, clock, looked_up
    ended.close()
    sink.close(1.0)


def shown(ended: EndedSpans) -> dict[int, int]:
    return {int(trace, 16): spans for rows in ended.step() for trace, spans in rows}


def test_old_traces_wait_until_the_store_has_rested(followed):
    sink, ended, clock, looked_up = followed
    sink.write([PlainSpan(trace_id=2, span_id=2)])
    assert (shown(ended), ended.is_waiting) == ({2: 1}, False)
    sink.write([PlainSpan(trace_id=3, span_id=3)])
    sink.write([PlainSpan(trace_id=4, span_id=4)])
    assert (shown(ended), ended.is_waiting) == ({}, True)
    assert shown(ended) == {}
    clock.now += 60.0
    assert (shown(ended), ended.is_waiting) == ({3: 1, 4: 1}, False)
    assert looked_up == [[2], [3, 4]]


def test_only_traces_that_lost_spans_are_looked_up_after_an_eviction(followed):
    sink, ended, _, looked_up = followed
    now = time.time_ns() + 10**12
    # Trace 9 loses its first span before its root ends; the others began before the evicted spans, and lost none.
    sink.write([PlainSpan(trace_id=9, span_id=90, parent_id=91, start_ns=now + 50)])
    assert shown(ended) == {}
    sink.write([PlainSpan(trace_id=one, span_id=one, start_ns=now + one) for one in range(10, 18)])
    assert shown(ended) == dict.fromkeys(range(10, 18), 1)
    sink.write([PlainSpan(trace_id=20, span_id=20, start_ns=now), PlainSpan(trace_id=9, span_id=91, start_ns=now + 49)])
    assert shown(ended) == {20: 1, 9: 2}
    assert looked_up == [[9]]
