"""OTLP requests become records, as another library's span in this process does; no span harms another."""

from __future__ import annotations

import importlib.util
import json
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from otlp_requests import as_json, as_protobuf, simple_request, simple_span

from llmops_sdk.errors import OtlpDecodeError
from llmops_sdk.store import StoreSink
from llmops_sdk.store.lines._encode import Encoder
from llmops_sdk.store.otlp._read import Decoder
from llmops_sdk.tracing.interop._foreign_span import PendingForeignSpan

_START = 1_795_000_000_123_456_789
RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("instrumentor_spans.json").read_text("utf-8"))


def sdk_span(number: int = 0, parent: int = 0, **changes: Any) -> ReadableSpan:
    fields = {
        "name": "work",
        "context": SpanContext(7 << 120, number + 1, is_remote=False, trace_flags=TraceFlags(1)),
        "parent": SpanContext(7 << 120, parent, is_remote=False) if parent else None,
        "resource": Resource({"service.name": "support", "service.instance": 7}),
        "kind": SpanKind.CLIENT,
        "start_time": _START + number,
        "end_time": _START + number + 1_000_000_007,
        "instrumentation_scope": InstrumentationScope("a.library", "1"),
        **changes,
    }
    return ReadableSpan(**fields)


def recorded_spans() -> list[ReadableSpan]:
    """What real instrumentors wrote; each a root, since a call below a call is another matter."""
    return [
        sdk_span(
            number,
            name=one["name"],
            attributes=one["attributes"],
            events=[Event(name, attributes, _START + at) for name, at, attributes in one["events"]],
            kind=SpanKind[one["kind"]],
            status=Status(StatusCode[one["status"][0]], one["status"][1]),
            instrumentation_scope=InstrumentationScope(one["scope"], one["version"]),
        )
        for number, one in enumerate(RECORDED)
    ]


def rich_span() -> ReadableSpan:
    return sdk_span(
        parent=9,
        status=Status(StatusCode.ERROR, "it broke\n\"here\" \U0001f600"),
        attributes={
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 2**53 + 1,
            "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "h\\u00e9"}]}]',
            "session.id": "s1", "user.id": "u1", "llmops.tags": ["a", "b"], "big": 2**63 - 1, "small": -(2**63),
            "half": 0.5, "whole": 2.0, "flag": True, "ints": [1, 2], "texts": [], "nan": math.nan, "inf": math.inf,
            "empty": "",
        },
        events=[
            Event("exception", {"exception.type": "a.b.BrokenError", "exception.message": "it"}, _START + 5),
            Event("other", None, _START + 6),
        ],
        links=[Link(SpanContext(3, 4, is_remote=False), {"why": "because"})],
    )  # fmt: skip


ENCODED = {
    "protobuf": lambda spans: (as_protobuf(spans), "protobuf"),
    "json": lambda spans: (as_json(spans), "json"),
    "base64 ids": lambda spans: (as_json(spans, hex_ids=False), "json"),
    "snake case": lambda spans: (as_json(spans, hex_ids=False, snake=True), "json"),
}


@pytest.mark.parametrize("form", ENCODED)
@pytest.mark.parametrize("name", ["instrumentors", "everything"])
def test_a_span_over_the_wire_is_the_row_of_the_same_span_in_this_process(form, name, store, tmp_path, ask):
    spans = recorded_spans() if name == "instrumentors" else [rich_span()]
    decoded = Decoder().traces(*ENCODED[form](spans))
    assert (len(decoded.spans), decoded.rejected, decoded.problems) == (len(spans), 0, [])

    def rows(records: list[Any], folder: Path) -> list[dict[str, Any]]:
        from llmops_sdk.store import connect

        sink = StoreSink(folder)
        assert sink.write(records) == len(spans)
        sink.close(1.0)
        with connect(path=folder) as connection:
            cursor = connection.execute("FROM store.spans ORDER BY start_ns")
            names = [column[0] for column in cursor.description]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        # The order of keys in JSON is the encoding's matter.
        for row in found:
            row["attributes"] = json.loads(row["attributes"] or "{}")
        return found

    own = rows([PendingForeignSpan(span).to_record() for span in spans], tmp_path / "own")
    assert rows(decoded.spans, tmp_path / "wire") == own
    if name == "everything":
        assert (own[0]["error_type"], own[0]["session_id"], own[0]["tags"]) == ("BrokenError", "s1", ["a", "b"])
        assert (own[0]["duration_ns"], own[0]["parent_span_id"]) == (1_000_000_007, f"{9:016x}")


def test_the_spans_of_one_process_share_its_attributes_over_requests():
    decoder = Decoder()
    first, second = (decoder.traces(as_protobuf([sdk_span(number)]), "protobuf").spans[0] for number in (1, 2))
    assert first.resource is second.resource
    assert decoder.traces(as_json([sdk_span(3)]), "json").spans[0].resource is first.resource


def test_a_call_that_two_libraries_describe_is_the_outer_ones():
    chat = {"gen_ai.operation.name": "chat"}
    body = as_protobuf([sdk_span(2, parent=2, attributes=chat), sdk_span(1, attributes=chat), sdk_span(5, parent=2)])
    assert [span.kind for span in Decoder().traces(body, "protobuf").spans] == ["chain", "llm", "chain"]


BAD_SPANS = {
    "zero trace id": simple_span(traceId="0" * 32),
    "no span id": simple_span(spanId=""),
    "short id": simple_span(spanId="12"),
    "no hex": simple_span(traceId="g" * 32),
    "spaces in hex": simple_span(traceId="  " + "1" * 28 + "  "),
    "negative time": simple_span(startTimeUnixNano="-5"),
    "time after 2262": simple_span(endTimeUnixNano=str(2**63)),
    "time is text": simple_span(startTimeUnixNano="noon"),
    "time of an event": simple_span(events=[{"timeUnixNano": str(2**64 - 1), "name": "e"}]),
    "name is a number": simple_span(name=7),
    "attributes are no list": {**simple_span(), "attributes": {}},
    "an attribute is no object": {**simple_span(), "attributes": [7]},
    "a value is no object": {**simple_span(), "attributes": [{"key": "k", "value": "v"}]},
    "a string is none": {**simple_span(), "attributes": [{"key": "k", "value": {"stringValue": 7}}]},
    "an int is none": {**simple_span(), "attributes": [{"key": "k", "value": {"intValue": "x"}}]},
    "no span at all": "span",
    "null": None,
}


@pytest.mark.parametrize("bad", BAD_SPANS)
def test_a_bad_span_is_counted_and_loses_no_other(bad):
    body = json.dumps(simple_request([simple_span(1), BAD_SPANS[bad], simple_span(2)])).encode()
    decoded = Decoder().traces(body, "json")
    assert [span.span_id for span in decoded.spans] == [1, 2]
    assert decoded.rejected == 1
    assert decoded.losses == {("span", "not_decodable"): 1}
    assert decoded.problems[0].startswith("resourceSpans[0].scopeSpans[0].spans[1]: ")


def test_a_bad_span_in_protobuf_is_counted_and_loses_no_other():
    request = ExportTraceServiceRequest()
    request.ParseFromString(as_protobuf([sdk_span(number) for number in range(5)]))
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[0].trace_id = bytes(16)
    spans[1].span_id = b"\1\2"
    spans[2].end_time_unix_nano = 2**64 - 1
    decoded = Decoder().traces(request.SerializeToString(), "protobuf")
    assert [span.span_id for span in decoded.spans] == [4, 5]
    assert (decoded.rejected, len(decoded.problems)) == (3, 3)
    assert "resource_spans[0].scope_spans[0].spans[1]: span_id has 2 bytes" in decoded.problems[1]


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (b"", "json", "no JSON"),
        (b'{"resourceSpans": [', "json", "no JSON"),
        (b"[]", "json", "is no object"),
        (b'{"resourceSpans": {}}', "json", "resourceSpans is no list"),
        (b'{"resourceSpans": [{"scopeSpans": [1]}]}', "json", r"resourceSpans\[0\].scopeSpans\[0\] is no object"),
        (b"[" * 100_000, "json", "no JSON"),
        (b"\xff\xff", "json", "no JSON"),
        (b"not protobuf", "protobuf", "ExportTraceServiceRequest"),
        (as_protobuf([sdk_span()])[:-3], "protobuf", "ExportTraceServiceRequest"),
    ],
)
def test_what_is_no_request_is_an_error_that_says_where(body, encoding, says):
    with pytest.raises(OtlpDecodeError, match=says) as caught:
        Decoder().traces(body, encoding)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_a_reader_does_not_know_is_passed_over():
    span = simple_span(
        flags=1, traceState="a=b", droppedAttributesCount=3, brandNew={"x": [1]}, kind="SPAN_KIND_SERVER"
    )
    span["status"] = {"code": "STATUS_CODE_ERROR", "more": 1}
    span["attributes"] = [{"key": "k", "value": {"newValue": 1}, "more": 2}]
    request = {**simple_request([span]), "later": True}
    (found,) = Decoder().traces(json.dumps(request).encode(), "json").spans
    assert (found.otel_kind, found.status, found.attributes) == ("server", "error", {"k": None})
    assert Decoder().traces(b"{}", "json").spans == []
    assert Decoder().traces(b"", "protobuf").spans == []


def test_hostile_values_are_kept_in_bounds(sink, ask):
    deep: dict[str, Any] = {"stringValue": "bottom"}
    for _ in range(60):
        deep = {"kvlistValue": {"values": [{"key": "k", "value": deep}]}}
    span = simple_span(name="\ud800 half")
    span["attributes"] = [
        {"key": "deep", "value": deep},
        {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "bare", "value": {"doubleValue": math.inf}},
        {"key": "huge", "value": {"intValue": str(2**90)}},
        {"key": "bytes", "value": {"bytesValue": "AQI="}},
        {"key": "long", "value": {"stringValue": "x" * 9_000_000}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}, {"stringValue": "x"}]}}},
    ]
    decoded = Decoder().traces(json.dumps(simple_request([span, simple_span(2)])).encode(), "json")
    assert decoded.losses == {("attribute", "too_deep"): 1}
    assert sink.write(decoded.spans) == 2
    rows = ask("SELECT name, attributes FROM spans ORDER BY start_ns").rows()
    assert [name for name, _ in rows] == ["\ufffd half", "work"]
    assert json.loads(rows[0][1]) == {"llmops.truncated": True, "bytes": pytest.approx(9_000_400, abs=400)}

    span["attributes"] = [one for one in span["attributes"] if one["key"] != "long"]
    kept = Encoder()
    line = orjson.loads(kept.span_line(Decoder().traces(json.dumps(simple_request([span])).encode(), "json").spans[0]))
    assert line["attributes"].pop("deep")["k"]["k"]
    assert line["attributes"] == {
        "nan": "NaN", "bare": "Infinity", "huge": str(2**90), "bytes": "AQI=", "map": {"a": 1}, "list": [1, None, "x"],
    }  # fmt: skip


def test_two_spans_of_the_largest_times_break_no_view(sink, ask):
    late = {"startTimeUnixNano": str(2**63 - 2), "endTimeUnixNano": str(2**63 - 1)}
    early = {"startTimeUnixNano": "0", "endTimeUnixNano": str(2**63 - 1)}
    back = {"startTimeUnixNano": "10", "endTimeUnixNano": "5"}
    tokens = [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(2**63 - 1)}}]
    spans = [
        {**simple_span(number, **times, traceId="1" * 32), "attributes": [*tokens, *kind]}
        for number, times in enumerate((late, early, back), 1)
        for kind in [[{"key": "openinference.span.kind", "value": {"stringValue": "LLM"}}]]
    ]
    decoded = Decoder().traces(json.dumps(simple_request(spans)).encode(), "json")
    assert [span.duration_ns for span in decoded.spans] == [1, 2**63 - 1, 0]
    sink.write(decoded.spans)
    assert [(row["spans"], row["errors"]) for row in ask("FROM traces").dicts()] == [(3, 0)]
    assert len(ask("FROM spans").rows()) == 3
    assert len(ask("FROM llm_calls").rows()) == 3


def log_record(**changes: Any) -> dict[str, Any]:
    said = {"gen_ai.evaluation.name": {"stringValue": "good"}, "gen_ai.evaluation.score.value": {"doubleValue": 0.5}}
    said |= changes.pop("said", {})
    return {
        "timeUnixNano": "1795000000000000000",
        "eventName": "gen_ai.evaluation.result",
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "attributes": [{"key": key, "value": value} for key, value in said.items()],
        **changes,
    }


def logs_request(*records: Any) -> bytes:
    scoped = {"scope": {"name": "judge"}, "logRecords": list(records)}
    return json.dumps({"resourceLogs": [{"scopeLogs": [scoped]}]}).encode()


def test_evaluations_are_scores_and_other_logs_are_not():
    named = {"event.name": {"stringValue": "gen_ai.evaluation.result"}, "llmops.score.source": {"stringValue": "me"}}
    decoded = Decoder().logs(
        logs_request(
            log_record(),
            log_record(
                eventName=None, spanId="", said={**named, "gen_ai.evaluation.score.label": {"stringValue": "a"}}
            ),
            log_record(said={"gen_ai.evaluation.score.value": {"intValue": str(10**38)}}),
            {"body": {"stringValue": "a line of a log"}},
            log_record(traceId="", spanId=""),
            log_record(said={"gen_ai.evaluation.name": {"intValue": 1}}),
        ),
        "json",
    )
    assert [(s.trace_id, s.span_id, s.name, s.value, s.label, s.source) for s in decoded.scores] == [
        ("1" * 32, "2" * 16, "good", 0.5, None, "judge"),
        ("1" * 32, None, "good", 0.5, "a", "me"),
        ("1" * 32, "2" * 16, "good", 1e38, None, "judge"),
    ]
    assert (decoded.ignored, decoded.rejected, decoded.losses) == (1, 2, {("score", "not_decodable"): 2})
    assert decoded.scores[0].time_ns == 1_795_000_000_000_000_000


def test_our_own_score_comes_back_as_it_was_sent():
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

    from llmops_sdk.export._scores import ScoreConverter
    from llmops_sdk.tracing.records._records import ScoreRecord

    score = ScoreRecord(trace_id="1" * 32, span_id="2" * 16, name="n", value=0.25, label="l", comment="c",
                        source="user", time_ns=_START)  # fmt: skip
    request: ExportLogsServiceRequest = encode_logs([ScoreConverter(content=True, resource={})(score)])
    assert Decoder().logs(request.SerializeToString(), "protobuf").scores == [score]


def test_our_own_span_comes_back_as_it_was_sent(make_span):
    from llmops_sdk.tracing.interop._convert import SpanConverter
    from llmops_sdk.tracing.records._records import Stamp

    resource = {"service.name": "tests", "openinference.project.name": "tests"}
    spans = [
        make_span(name="a", kind="retriever", input=b'{"a":[1]}', output=b'"text"', resource=resource, attributes={
            "gen_ai.operation.name": "retrieval"}),
        make_span(name="b", status="cancelled", input=b"[]", resource=resource, stamp=Stamp("s", "u", ("t",))),
    ]  # fmt: skip
    body = as_protobuf([SpanConverter(content=True)(span) for span in spans])
    lines = [orjson.loads(Encoder().span_line(span)) for span in spans]
    assert [orjson.loads(Encoder().span_line(one)) for one in Decoder().traces(body, "protobuf").spans] == lines


def test_protobuf_is_imported_when_a_request_in_it_is_read():
    spec = importlib.util.find_spec("llmops_sdk.store.otlp._read")
    assert spec is not None
    program = (
        "import sys, llmops_sdk.store.otlp._read as d; d.Decoder().traces(b'{}', 'json');"
        "assert 'google.protobuf' not in sys.modules, 'protobuf'"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True).stderr == ""
