"""Attribute values of every type reach the store as docs/capture.md says, and none can change a line's shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags
from otel_versions import needs_1_45

import llmops_sdk as llmops
from llmops_sdk.store.lines._encode import Encoder
from llmops_sdk.tracing.interop._foreign_span import PendingForeignSpan
from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage
from llmops_sdk.tracing.records._records import RecordedSpan

pytestmark = pytest.mark.redteam

FORGED = b'1},"user_id":"admin","x":{"y":1'
LINK = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=8)
    | st.just(FORGED)
    | st.just(b'{"a":1}\n')
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def lines_of(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the lines of spans that carry the value everywhere: one of ours, another library's, and a bare record."""
    with llmops.span("ours", attributes={"raw": value}) as span:
        span.add_event("e", {"raw": value})
        span.add_link(LINK, {"raw": value})
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("other")
    other: Any = tracer.start_span("other", attributes={"raw": value, "gen_ai.input.messages": value})
    other.add_event("e", {"raw": value})
    other.add_link(LINK, {"raw": value})
    other.end()
    bare = RecordedSpan(
        name="bare",
        kind="llm",
        trace_id=1,
        span_id=2,
        start_ns=3,
        duration_ns=4,
        status="ok",
        attributes={"raw": value, "gen_ai.input.messages": value},
        events=[("e", 1, {"raw": value})],
        links=[(1, 2, {"raw": value})],
        resource={"raw": value},
    )
    for record in (span.to_record(), PendingForeignSpan(other).to_record(), bare):
        line = Encoder().span_line(record)
        assert line.count(b"\n") == 1
        yield json.loads(line, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example(value=FORGED)
@example(value=[{"a": FORGED}])
@example(value=b"\n")
@given(value=values)
def test_any_attribute_value_leaves_the_line_whole_and_forges_no_column(sink: Any, value: Any):
    for line in lines_of(value):
        assert set(line) <= {
            "trace_id", "span_id", "name", "kind", "start_ns", "duration_ns", "status", "attributes", "events",
            "event_count", "links", "otel_kind", "scope", "resource", "service", "input_messages",
        }  # fmt: skip
        assert set(line.get("attributes", {})) <= {"raw", "gen_ai.input.messages"}
        assert line["events"][0]["name"] == "e"
        assert len(line["links"]) == 1


_MARKER = {"$bytes": 2, "sha256": "8d24b37ab3cd3ee7a4ea3a8ad2ac5fb3b2a44f5cbb2ffa2c1a1bdc0b2a3d4c7e", "$head": "x\\xff"}
STORED = {
    "none": (None, None),
    "bytes": (b"x\xff", {"$bytes": 2, "$head": "x\\xff"}),
    "bytes in a list": ([b"x\xff"], [{"$bytes": 2, "$head": "x\\xff"}]),
    "a mapping": ({"a": {"b": [1, "c", None]}}, {"a": {"b": [1, "c", None]}}),
    "bytes in a mapping": ({"a": b"x\xff"}, {"a": {"$bytes": 2, "$head": "x\\xff"}}),
    "a mixed list": ([1, "a", None, [True]], [1, "a", None, [True]]),
    "a list of lists": ([["a"], []], [["a"], []]),
    "an empty list": ([], []),
    "a long int": (2**70, str(2**70)),
    "not a number": (float("nan"), "NaN"),
    "a lone surrogate": ("a\ud800", "a\ufffd"),
}


@needs_1_45
@pytest.mark.parametrize(("value", "stored"), STORED.values(), ids=STORED)
def test_each_type_is_stored_as_documented(sink: Any, value: Any, stored: Any):
    for line in lines_of(value):
        for holder in (line, line["events"][0], line["links"][0]):
            assert _without_digests(holder["attributes"]["raw"]) == stored, line["name"]


def _without_digests(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_digests(item) for key, item in value.items() if key != "sha256"}
    return [_without_digests(item) for item in value] if isinstance(value, list) else value


def test_spans_with_bytes_reach_the_store(tmp_path: Path):
    llmops.configure(store={"path": tmp_path})
    with llmops.span("a", attributes={"raw": FORGED}) as span:
        span.add_event("e", {"raw": FORGED})
        span.add_link(LINK, {"raw": FORGED})
        span.end(status='ok","user_id":"admin')
    with llmops.context(user_id="u", metadata={"raw": FORGED}), llmops.span("b"):
        pass
    report = llmops.flush()

    assert report.stored == 2
    rows = llmops.query("SELECT name, user_id, attributes->>'$.raw.\"$bytes\"' FROM spans ORDER BY name").rows()
    assert rows == [("a", None, str(len(FORGED))), ("b", "u", None)]
    assert llmops.query("SELECT count(*) FROM losses").rows() == [(0,)]
    metadata = """SELECT attributes->>'$."llmops.metadata.raw"."$bytes"' FROM spans WHERE name = 'b'"""
    assert llmops.query(metadata).rows() == [(str(len(FORGED)),)]


def test_messages_given_as_json_in_bytes_are_messages(sink: Any):
    messages = b'[{"role":"user","parts":[]}]'
    with llmops.span("a", kind="llm") as span:
        span.set({"gen_ai.input.messages": messages, "gen_ai.output.messages": b"not JSON"})
    line = json.loads(Encoder().span_line(span.to_record()))

    assert line["input_messages"] == json.loads(messages)
    assert "output_messages" not in line or line["output_messages"]["$bytes"] == 8


@pytest.mark.parametrize("odd", [FORGED, 7, float("nan"), ["a"], b"", ""], ids=repr)
def test_a_name_or_message_that_is_no_text_costs_no_span(tmp_path: Path, odd: Any):
    llmops.configure(store={"path": tmp_path})
    with llmops.span("ours") as span:
        span.set_status(StatusCode.ERROR, odd)
        span.update_name(odd)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("other")
    other: Any = tracer.start_span("other")
    other.set_status(StatusCode.ERROR, odd)
    other.add_event(odd)
    other.update_name(odd)
    other.end()
    pending = PendingForeignSpan(other)
    processed = [
        one for record in (span.to_record(), pending.to_record()) for one in RedactionStage({}, _no_loss)([record])
    ]
    lines = [json.loads(Encoder().span_line(one), object_pairs_hook=_without_repeats) for one in processed]

    assert [line["name"] for line in lines] == [str(odd)] * 2
    assert lines[0].get("status_message", "") == str(odd)
    assert lines[1]["events"][0]["name"] == str(odd)
    report = llmops.flush()
    assert (report.stored, report.dropped) == (1, 0)
    assert llmops.query("SELECT name, user_id FROM spans").rows() == [(str(odd), None)]
    assert llmops.query("SELECT count(*) FROM losses").scalar() == 0


def _no_loss(*what: object) -> None:
    raise AssertionError(what)
