"""The outbox: a backend that is away gets everything later, once, from whichever process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from otlp_receiver import BlackHole, OtlpReceiver, Reply, unused_port, wait_until
from thorough_cases import thorough

from llmops_sdk.store import StoreSink, prune, query
from llmops_sdk.store.lines._decode import RecordReader
from llmops_sdk.store.lines._encode import Encoder
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.outbox._outbox import SegmentOutbox, outbox_sizes
from llmops_sdk.tracing.interop._convert import SpanConverter
from llmops_sdk.tracing.records._outbox import Position
from llmops_sdk.tracing.records._records import RecordedSpan, Stamp

PROGRAM = """
import json, os, sys
import llmops_sdk as llmops
first, count, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
llmops.configure(store={"path": sys.argv[4]}, export={"metrics": {"exporters": []}, **json.loads(sys.argv[5])})
for number in range(first, first + count):
    with llmops.span(f"n{number}", input={"note": "xyzzy"}):
        pass
    if how == "kill" and number % 50 == 49:
        print(llmops.flush(0.2).stored, flush=True)
report = llmops.flush(30.0 if how == "wait" else 0.5)
print(json.dumps([report.stored, report.exported, report.pending, report.dropped]), flush=True)
if how in ("kill", "stay"):
    sys.stdin.readline()
"""


def start(first: int, count: int, store: Path, export: dict[str, Any], how: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(first), str(count), how, str(store), json.dumps(export)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ran(first: int, count: int, store: Path, export: dict[str, Any], how: str = "") -> list[int]:
    with start(first, count, store, export, how) as running:
        out, err = running.communicate(timeout=90)
    assert running.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def staying(first: int, count: int, store: Path, backend: OtlpReceiver, until: Callable[[], bool]) -> None:
    """A process that lives until something has arrived, and what others left is done with."""
    with start(first, count, store, {"endpoint": backend.url}, "stay") as running:
        assert running.stdin is not None
        backend.wait_until(until, "all of them")
        wait_until(lambda: len(list((store / "outbox").rglob("*.ndjson"))) <= 1, "the adopted segments' end")
        running.communicate("\n", timeout=90)
    assert running.returncode == 0


def names(count: int, first: int = 0) -> Counter[str]:
    return Counter(f"n{number}" for number in range(first, first + count))


def received(backend: OtlpReceiver) -> Counter[str]:
    return Counter(span.name for span in backend.spans)


def nothing_waits(store: Path) -> bool:
    return not [file for file in (store / "outbox").rglob("*") if file.suffix in {".ndjson", ".cursor"}]


def test_what_the_backend_took_does_not_stay(store):
    with OtlpReceiver() as backend:
        assert ran(0, 100, store, {"endpoint": backend.url}, "wait") == [100, 100, 0, 0]
        assert received(backend) == names(100)
    assert nothing_waits(store)


@pytest.mark.parametrize("away", ["dead", *map(thorough, ("black hole", "503", "429"))])
def test_a_backend_that_was_away_for_a_whole_run_gets_everything_from_the_next(store, away):
    with BlackHole() as hole, OtlpReceiver(port=unused_port()) as backend:
        url = {"dead": f"http://127.0.0.1:{unused_port()}", "black hole": hole.url}.get(away, backend.url)
        if away.isdecimal():
            backend.always = Reply(int(away), {"Retry-After": "1"} if away == "429" else {})
        runs = 2 if away == "dead" else 1
        for run in range(runs):
            stored, exported, pending, dropped = ran(100 * run, 100, store, {"endpoint": url})
            assert (stored, exported, pending, dropped) == (100, 0, 100, 0)
        assert received(backend) == Counter()
        backend.always = None
        # The same destination, under another address now.
        staying(100 * runs, 10, store, backend, lambda: received(backend) == names(100 * runs + 10))
    assert nothing_waits(store)
    assert query("SELECT what, reason FROM losses", path=store).rows() == []


def test_one_that_comes_back_during_the_run_gets_everything_in_order(store):
    port = unused_port()
    with start(0, 200, store, {"endpoint": f"http://127.0.0.1:{port}", "timeout": 1.0}, "kill") as one:
        assert one.stdout is not None
        assert one.stdin is not None
        while not (line := one.stdout.readline()).startswith("["):
            assert line
        with OtlpReceiver(port=port) as backend:
            backend.wait_until(lambda: received(backend) == names(200), "all of them")
            assert [span.name for span in backend.spans] == list(names(200))
            one.stdin.write("\n")
            one.stdin.flush()
            one.wait(30)
    assert nothing_waits(store)


def test_a_full_queue_loses_nothing(store):
    from llmops_sdk.export._destinations import Destination
    from llmops_sdk.export._span_sink import OtlpSink

    with OtlpReceiver() as backend:
        backend.always = Reply(503)
        lost: list[tuple[object, ...]] = []
        kept = StoreSink(store, destinations=["default"], segment_bytes=20_000)
        sink = OtlpSink(
            Destination(endpoint=backend.url + "/v1/traces", headers={}, content=True),
            max_spans=50,
            lose=lambda *what: lost.append(what),
        )
        sink.use_outboxes(kept.outboxes)
        for first in range(0, 1000, 20):
            batch = [span(number) for number in range(first, first + 20)]
            assert kept.write(batch) == 20
            assert sink.write(batch) == 20
        assert sink.pending == 1000
        backend.always = None
        assert sink.flush(60.0)
        assert received(backend) == names(1000)
        assert (sink.exported, sink.pending, sink.dropped, lost) == (1000, 0, 0, [])
        sink.close(5.0)
        kept.close(1.0)
    assert nothing_waits(store)


def test_a_killed_sender_is_adopted_and_nothing_is_missing(store):
    with OtlpReceiver() as backend:
        total = 0
        for number in range(rounds := 3):
            with start(total, 500, store, {"endpoint": backend.url}, "kill") as running:
                assert running.stdout is not None
                for _ in range(number + 1):
                    acknowledged = running.stdout.readline()
                running.send_signal(signal.SIGKILL)
                running.wait(30)
            done = int(acknowledged)
            stored = query("SELECT count(*) FROM spans", path=store).scalar()
            assert stored >= done
            total += 500
        expected = Counter(dict(query("SELECT name, count(*) FROM spans GROUP BY ALL", path=store).rows()))
        staying(total, 1, store, backend, lambda: received(backend).keys() >= expected.keys())
        # Twice only what was under way when its sender was killed.
        assert sum(received(backend).values()) - len(received(backend)) <= rounds * 512
    assert nothing_waits(store)


def test_two_destinations_each_with_its_own_rule_and_pace(store):
    with OtlpReceiver() as whole, OtlpReceiver() as errors, BlackHole() as hole:
        export = {
            "endpoint": whole.url,
            "destinations": {
                "errors": {"endpoint": errors.url, "content": True, "filter": {"names": ["n1*"]}},
                "hole": {"endpoint": hole.url},
            },
        }
        report = ran(0, 100, store, export)
        whole.wait_until(lambda: received(whole) == names(100), "all of them")
        errors.wait_until(lambda: received(errors) == Counter(f"n{n}" for n in (1, *range(10, 20))), "all of them")
        assert report[3] == 0
        assert all("input.value" not in span.attributes for span in whole.spans)
        assert all("xyzzy" in span.attributes["input.value"] for span in errors.spans)
    sizes = outbox_sizes(store)
    assert (sizes["default"], sizes["errors"]) == (0, 0)
    assert sizes["hole"] > 0


def test_a_destination_gets_only_what_was_recorded_since_it_is_configured(store):
    with OtlpReceiver() as backend:
        ran(0, 10, store, {})
        ran(10, 10, store, {"endpoint": backend.url}, "wait")
        assert received(backend) == names(10, 10)


def test_a_sample_is_the_same_everywhere_and_keeps_errors(store):
    from llmops_sdk.config import ExportFilter
    from llmops_sdk.export._filter import filter_of

    passes = filter_of(ExportFilter(sample=0.25, keep_slower_than=1.0, keep_costlier_than=0.5))
    assert passes is not None
    import random

    random.seed(5)
    ids = [random.getrandbits(128) for _ in range(4000)]
    kept = [number for number in ids if passes(span(1, trace_id=number)) is not None]
    assert 800 < len(kept) < 1200
    assert {passes(span(1, trace_id=number)) for number in kept} == {0.25}
    out = next(number for number in ids if number not in kept)
    assert passes(span(1, trace_id=out, status="error")) == 1.0
    assert passes(span(1, trace_id=out, duration_ns=2 * 10**9)) == 1.0
    assert passes(span(1, trace_id=out, attributes={"gen_ai.usage.cost": 0.75})) == 1.0
    assert filter_of(ExportFilter()) is None
    made = SpanConverter(content=False, passes=passes)(span(1, trace_id=kept[0]))
    assert (made.attributes or {})["llmops.export.sample"] == 0.25


@pytest.mark.thorough
def test_compaction_and_pruning_leave_and_reach_what_waits(store):
    url = f"http://127.0.0.1:{unused_port()}"
    ran(0, 20, store, {"endpoint": url})
    compact_store(store, grace=0.0)
    compact_store(store, grace=0.0)
    assert not list((store / "wal").glob("*.v*.ndjson"))
    trace = query("SELECT trace_id FROM spans WHERE name = 'n7'", path=store).scalar()
    prune(trace_id=trace, path=store)
    with OtlpReceiver() as backend:
        staying(20, 1, store, backend, lambda: received(backend) == names(21) - Counter(["n7"]))


def test_what_is_too_much_or_too_old_is_given_up_and_counted(store, make_span):
    sink = StoreSink(store, destinations=["away"], outbox_bytes=12_000, segment_bytes=4_000, compaction="manual")
    for number in range(100):
        sink.write([make_span(span_id=number + 1)])
    sink.close(1.0)
    assert outbox_sizes(store)["away"] <= 16_000
    lost = dict(query("SELECT reason, sum(count) FROM losses WHERE what = 'export' GROUP BY ALL", path=store).rows())
    left = sum(
        line.startswith(b'{"trace_id"')
        for file in (store / "outbox" / "away").glob("*.ndjson")
        for line in file.read_bytes().splitlines()
    )
    assert lost["outbox_full"] + left == 100
    for file in (store / "outbox" / "away").glob("*.ndjson"):
        os.utime(file, (1.0, 1.0))
    again = StoreSink(store, destinations=["away"], compaction="manual")
    again.write([make_span()])
    again.close(1.0)
    lost = dict(query("SELECT reason, sum(count) FROM losses WHERE what = 'export' GROUP BY ALL", path=store).rows())
    assert lost["outbox_expired"] == left


def test_where_no_link_can_be_made_it_is_said_once_and_the_memory_is_what_there_is(store, make_span, caplog):
    (store / "outbox").mkdir(parents=True)
    (store / "outbox" / "default").write_text("in the way")
    sink = StoreSink(store, destinations=["default"])
    assert sink.write([make_span()]) == 1
    assert sink.outboxes["default"].position() is None
    assert "cannot keep segments for export" in caplog.text
    sink.close(1.0)


def test_a_living_process_s_sealed_segments_are_not_adopted(store, make_span):
    sink = StoreSink(store, destinations=["d"], segment_bytes=1, compaction="manual")
    for number in (1, 2, 3):
        sink.write([make_span(span_id=number)])
    rival = SegmentOutbox(store, "d", max_bytes=10**9, max_days=1.0, lose=lambda *_: None)
    assert rival.adopt() is None
    sink.close(1.0)
    begin = rival.adopt()
    assert begin is not None
    assert begin.offset == 0
    third = SegmentOutbox(store, "d", max_bytes=10**9, max_days=1.0, lose=lambda *_: None)
    assert third.adopt() is None  # one at a time
    rival.release()
    assert third.adopt() == begin


def test_an_adopted_segment_goes_on_behind_what_was_acknowledged(store, make_span):
    sink = StoreSink(store, destinations=["d"], compaction="manual")
    sink.write([make_span(span_id=1)])
    first = sink.outboxes["d"].position()
    assert first is not None
    sink.outboxes["d"].acknowledge(first)
    sink.write([make_span(span_id=2), make_span(span_id=3)])
    sink.close(1.0)
    next_one = SegmentOutbox(store, "d", max_bytes=10**9, max_days=1.0, lose=lambda *_: None)
    begin = next_one.adopt()
    assert begin == first
    piece = next_one.read_adopted(begin, 10**6)
    assert piece is not None
    assert [record.span_id for record in piece.records] == [2, 3]
    assert next_one.read_adopted(piece.end, 10**6) is None
    assert nothing_waits(store)


def span(number: int, **more: Any) -> RecordedSpan:
    fields: dict[str, Any] = {
        "name": f"n{number}", "kind": "chain", "trace_id": number + 1, "span_id": number + 1, "start_ns": number,
        "duration_ns": 1, "status": "ok", "resource": {"service.name": "tests"},
    }  # fmt: skip
    return RecordedSpan(**{**fields, **more})


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.one_of(
    texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
keys = texts.map("x.".__add__)
nested = st.recursive(
    st.none() | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
payloads = st.none() | nested.map(lambda value: json.dumps(value).encode())
lists = st.lists(texts, max_size=3) | st.lists(st.integers(-9, 9), max_size=3)
attributes = st.dictionaries(keys, plain | lists, max_size=4)
tags = st.lists(texts, max_size=2, unique=True).map(tuple)
known = st.fixed_dictionaries({}, optional={
    "gen_ai.request.model": texts, "gen_ai.response.model": texts, "gen_ai.usage.input_tokens": st.integers(0, 2**40),
    "gen_ai.usage.cost": st.floats(0, 10), "gen_ai.response.finish_reasons": st.lists(texts, min_size=1, max_size=2),
    "gen_ai.input.messages": st.just(b'[{"role":"user","parts":[{"type":"text","content":"\\u00e9"}]}]'),
    "gen_ai.output.messages": st.just(b'[{"role":"assistant","parts":[],"finish_reason":"stop"}]'),
    "gen_ai.tool.definitions": st.just(b'[{"type":"function","name":"f"}]'), "llmops.simulated": st.booleans(),
})  # fmt: skip
stamps = st.none() | st.builds(
    Stamp, session_id=st.none() | texts, user_id=st.none() | texts, tags=tags,
    metadata=st.none() | st.dictionaries(texts, texts, max_size=2), prompt_name=st.none() | texts,
)  # fmt: skip


@given(
    st.builds(
        span, st.just(1), name=texts, kind=st.sampled_from(["chain", "llm", "tool", "agent"]),
        parent_id=st.integers(0, 9), trace_id=st.integers(1, 2**128 - 1),
        status=st.sampled_from(["ok", "error", "cancelled", "closed", "unset"]),
        status_message=st.none() | texts, error_type=st.none() | texts, input=payloads, output=payloads,
        attributes=st.none() | st.builds(lambda a, b: {**a, **b}, attributes, known), stamp=stamps,
        events=st.none() | st.lists(st.tuples(texts, st.integers(0, 2**60), attributes), max_size=2),
        links=st.none() | st.lists(st.tuples(st.integers(1, 2**128 - 1), st.integers(1, 9), attributes), max_size=2),
        otel_kind=st.sampled_from(["internal", "client"]),
    ),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=150)
def test_what_is_read_back_reaches_the_backend_as_it_would_have_from_memory(record, content):
    (line,) = Encoder().span_lines([record])
    again = RecordReader().record(line)
    assert again is not None
    convert = SpanConverter(content=content)
    assert comparable(convert(again)) == comparable(convert(record))


def comparable(made: Any) -> Any:
    return json.loads(made.to_json())


def test_lines_that_are_no_spans_are_passed_over():
    lines = [b'{"seal":3}', b'{"pruned":1,"seal":0}   ', b"", b"\0\0", b'{"trace_id":"1', b"[1]", b'{"trace_id":"xyz"}']
    assert RecordReader().records(lines) == []


def test_a_position_in_a_segment_that_is_gone_ends_the_reading(store, make_span):
    sink = StoreSink(store, destinations=["d"], compaction="manual")
    sink.write([make_span()])
    outbox = sink.outboxes["d"]
    until = outbox.position()
    assert until is not None
    (store / "outbox" / "d" / until.segment).unlink()
    assert outbox.read(None, until, 100) is None
    assert outbox.read(Position("gone", 5), until, 100) is None
    sink.close(1.0)
