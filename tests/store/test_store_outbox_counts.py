"""The outbox's counts and bounds where a destination wants little, or the store could not keep a batch."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from functools import partial
from typing import Any

import pytest
from otlp_receiver import OtlpReceiver, Reply, wait_until

import llmops_sdk as llmops
from llmops_sdk.config import ExportFilter
from llmops_sdk.errors import StoreError
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._filter import filter_of
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.store import StoreSink, query, replay
from llmops_sdk.store.lines._decode import RecordReader
from llmops_sdk.store.lines._encode import Encoder
from llmops_sdk.store.outbox._outbox import SegmentOutbox
from llmops_sdk.tracing.interop._convert import SpanConverter
from llmops_sdk.tracing.records._records import RecordedSpan


def span(number: int, **more: Any) -> RecordedSpan:
    fields: dict[str, Any] = {
        "name": f"n{number}", "kind": "chain", "trace_id": number + 1, "span_id": number + 1, "start_ns": number,
        "duration_ns": 1, "status": "ok", "resource": {"service.name": "tests"},
    }  # fmt: skip
    return RecordedSpan(**{**fields, **more})


def names(first: int, last: int) -> Counter[str]:
    return Counter(f"n{number}" for number in range(first, last))


def received(backend: OtlpReceiver) -> Counter[str]:
    return Counter(span.name for span in backend.spans)


def is_acknowledged(kept: StoreSink) -> bool:
    """Whether nothing waits for the destination up to the latest batch."""
    outbox = kept.outboxes["default"]
    at = outbox.position()
    return at is not None and outbox._cursor(at.segment)[0] == at.offset


def opened(kept: StoreSink, backend: OtlpReceiver, lost: list[tuple[object, ...]], **more: Any) -> OtlpSink:
    fields = {"endpoint": backend.url + "/v1/traces", "headers": {}, "passes": more.pop("passes", None)}
    sink = OtlpSink(Destination(**fields), lose=lambda *what: lost.append(what), **more)
    sink.use_outboxes(kept.outboxes)
    return sink


def test_what_a_filter_keeps_back_does_not_wait(store):
    with OtlpReceiver() as backend:
        kept = StoreSink(store, destinations=["default"], segment_bytes=2_000, compaction="manual")
        sink = opened(kept, backend, [], passes=filter_of(ExportFilter(kinds=("llm",))))
        for number in range(200):
            kept.write([span(number)])
            sink.write([span(number)])
        folder = store / "outbox" / "default"
        wait_until(lambda: len(list(folder.glob("*.ndjson"))) <= 1, "the segments' end", 10)
        assert sink._backlog is not None
        assert len(sink._backlog._marks) <= 1
        sink.close(2.0)
        kept.close(1.0)
        assert not list(folder.glob("*.ndjson"))


def test_what_a_filter_keeps_back_is_not_counted_as_lost(store, make_span):
    sink = StoreSink(store, destinations=["default"], outbox_bytes=12_000, segment_bytes=4_000, compaction="manual")
    with OtlpReceiver() as backend:
        lost: list[tuple[object, ...]] = []
        out = opened(sink, backend, lost, passes=filter_of(ExportFilter(kinds=("llm",))))
        for number in range(100):
            sink.write([make_span(span_id=number + 1)])
            out.write([make_span(span_id=number + 1)])
            wait_until(partial(is_acknowledged, sink), "the acknowledgement")
        out.close(1.0)
        sink.close(1.0)
        assert lost == []
    assert query("SELECT what, reason FROM losses WHERE what = 'export'", path=store).rows() == []


def test_a_batch_that_the_store_could_not_keep_is_sent_from_memory_or_counted(store, monkeypatch):
    with OtlpReceiver() as backend:
        backend.always = Reply(503)
        lost: list[tuple[object, ...]] = []
        kept = StoreSink(store, destinations=["default"], compaction="manual")
        sink = opened(kept, backend, lost, max_spans=10)
        for first in range(0, 40, 10):
            batch = [span(number) for number in range(first, first + 10)]
            if first == 20:

                def full(*_: object) -> None:
                    raise StoreError("the disk is full", path=str(store))

                monkeypatch.setattr(kept._writers["spans"], "append", full)
                with pytest.raises(StoreError):
                    kept.write(batch)
                monkeypatch.undo()
            else:
                kept.write(batch)
            sink.write(batch)
        backend.always = None
        done = sink.flush(30.0)
        gone = sum(entry[2] for entry in lost)
        assert sum(received(backend).values()) + gone == 40
        assert received(backend) >= names(0, 20) + names(30, 40)
        assert (sink.exported, sink.pending, sink.dropped) == (40 - gone, 0, gone)
        assert done
        sink.write([])
        assert sink.flush(5.0)
        sink.close(2.0)
        kept.close(1.0)


def test_a_flush_ends_where_what_waited_was_given_up(store):
    with OtlpReceiver() as backend:
        backend.always = Reply(503)
        kept = StoreSink(store, destinations=["default"], compaction="manual", segment_bytes=4_000, outbox_bytes=9_000)
        sink = opened(kept, backend, [], max_spans=10)
        for first in range(0, 200, 10):
            batch = [span(number) for number in range(first, first + 10)]
            kept.write(batch)
            sink.write(batch)
        backend.always = None
        sink.flush(30.0)
        assert sink.pending == 0
        batch = [span(500)]
        kept.write(batch)
        sink.write(batch)
        assert sink.flush(10.0)
        assert sink.exported + sink.dropped == 201
        sink.close(2.0)
        kept.close(1.0)


def test_that_no_link_can_be_made_is_said_once(store, make_span, caplog):
    (store / "outbox").mkdir(parents=True)
    (store / "outbox" / "default").write_text("in the way")
    sink = StoreSink(store, destinations=["default"], segment_bytes=1, compaction="manual")
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            sink.write([make_span(span_id=number + 1)])
    assert caplog.text.count("cannot keep segments for export") == 1
    sink.close(1.0)


def test_where_hard_links_do_not_work_nothing_is_left_behind(store, make_span, monkeypatch):
    link = os.link

    def no_link(source: Any, target: Any, **more: Any) -> None:
        if "outbox" in str(target):
            raise OSError(18, "Invalid cross-device link")
        link(source, target, **more)

    monkeypatch.setattr(os, "link", no_link)
    sink = StoreSink(store, destinations=["default"], segment_bytes=1, compaction="manual")
    for number in range(5):
        sink.write([make_span(span_id=number + 1)])
    sink.close(1.0)
    left = [path.name for path in (store / "outbox" / "default").iterdir() if path.suffix in {".cursor", ".ndjson"}]
    assert left == []


@pytest.mark.parametrize(
    "value",
    ["\ud800x", 2**70, -(2**63), 2**63 - 1, 1e300, 0.1, -0.0, True, [], [1, 2], [1.0, 2.5],
     ["a", "\udfff"], [True, False], b'{"a":1}', "", "null", "\x00", "\u2028"],
)  # fmt: skip
def test_odd_attributes_are_read_back_as_they_were(value):
    record = span(1, attributes={"x.y": value})
    (line,) = Encoder().span_lines([record])
    again = RecordReader().record(line)
    assert again is not None
    convert = SpanConverter(content=True)
    assert repr((convert(again).attributes or {}).get("x.y")) == repr((convert(record).attributes or {}).get("x.y"))


def test_a_flush_after_the_end_does_not_wait_for_a_backend_that_is_away(store):
    with OtlpReceiver() as backend:
        backend.always = Reply(503)
        llmops.configure(store={"path": store}, export={"endpoint": backend.url, "metrics": {"exporters": []}})
        with llmops.span("work"):
            pass
        report = llmops.shutdown(0.5)
        assert (report.pending, report.dropped) == (1, 0)
        done = threading.Event()

        def flush() -> None:
            llmops.flush(600.0)
            done.set()

        threading.Thread(target=flush, daemon=True).start()
        assert done.wait(60)


def test_a_replay_of_large_spans_sends_requests_that_a_backend_takes(store):
    llmops.configure(store={"path": store}, capture={"max_bytes": 2_000_000})
    for number in range(12):
        with llmops.span(f"n{number}", input={"text": "x" * 900_000}):
            pass
    llmops.shutdown()
    with OtlpReceiver() as backend:
        (done,) = replay(to=backend.url, content=True, path=store)
        assert (done.sent, done.left) == (12, 0)
        assert received(backend) == names(0, 12)
        assert max(map(len, backend.bodies)) < 4 * 1024**2


def test_the_folder_is_not_listed_again_for_each_segment_that_is_adopted(store, make_span, monkeypatch):
    sink = StoreSink(store, destinations=["d"], segment_bytes=1, compaction="manual")
    for number in range(20):
        sink.write([make_span(span_id=number + 1)])
    sink.close(1.0)
    outbox = SegmentOutbox(store, "d", max_bytes=10**9, max_days=1.0, lose=lambda *_: None)
    listed: list[int] = []
    by_age = outbox._by_age
    monkeypatch.setattr(outbox, "_by_age", lambda: listed.append(1) or by_age())
    adopted: list[int] = []
    while (begin := outbox.adopt()) is not None:
        while (piece := outbox.read_adopted(begin, 10**6)) is not None:
            adopted += [record.span_id for record in piece.records]
            outbox.acknowledge(piece.end)
            begin = piece.end
    assert adopted == list(range(1, 21))
    assert len(listed) == 2  # the second finds that nothing has come meanwhile


def test_what_comes_while_others_are_adopted_is_adopted_too(store, make_span):
    def left(span_id: int) -> None:
        sink = StoreSink(store, destinations=["d"], compaction="manual")
        sink.write([make_span(span_id=span_id)])
        sink.close(1.0)

    left(1)
    outbox = SegmentOutbox(store, "d", max_bytes=10**9, max_days=1.0, lose=lambda *_: None)
    first = outbox.adopt()
    left(2)
    assert first is not None
    outbox._remove(first.segment)
    second = outbox.adopt()
    assert second is not None
    piece = outbox.read_adopted(second, 10**6)
    assert piece is not None
    assert [record.span_id for record in piece.records] == [2]
