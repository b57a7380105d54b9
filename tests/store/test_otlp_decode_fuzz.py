"""Any input is read or raises OtlpDecodeError, and never harms the store or another span."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings
from otlp_requests import simple_request, simple_span

from llmops_sdk.errors import OtlpDecodeError
from llmops_sdk.store import StoreSink, query
from llmops_sdk.store.otlp._read import Decoder
from llmops_sdk.store.schema._views import VIEWS

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
scalars |= st.sampled_from(
    ["NaN", "1" * 32, "2" * 16, "\ud800", "9" * 5_000, "[", '{"a":1}', "LLM", "chat", "-1", "AQ=="]
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["key", "value", "stringValue", "kvlistValue", "arrayValue", "values", "x"]), inner
        )
    ),
    max_leaves=8,
)
names = st.sampled_from([
    "input.value", "output.value", "gen_ai.input.messages", "gen_ai.prompt", "gen_ai.prompt.0.content", "llmops.kind",
    "llmops.status", "llmops.export.added", "llmops.export.text", "llmops.tags", "openinference.span.kind",
    "gen_ai.response.finish_reasons", "gen_ai.usage.input_tokens", "llm.input_messages.0.message.role", "session.id",
    "error.type", "gen_ai.usage.cost", "llm.invocation_parameters", "llmops.export.kept.session.id", "input.mime_type",
])  # fmt: skip
texts = st.text(max_size=5) | st.sampled_from(["", "llm", "chat", '{"a":1}', "[1]", "[{}]", "\ud800", "text/plain"])
values = st.fixed_dictionaries({}, optional={
    "stringValue": texts,
    "intValue": st.integers(-(2**66), 2**66).map(str),
    "arrayValue": st.fixed_dictionaries({"values": st.lists(st.just({"stringValue": "input.value"}), max_size=2)}),
    "kvlistValue": st.just({"values": [{"key": "a", "value": {"doubleValue": "NaN"}}]}),
})  # fmt: skip
attributes = st.lists(st.fixed_dictionaries({"key": names, "value": values}), max_size=6)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    node[path[0]] = put(node[path[0]], path[1:], value)
    return node


def test_any_json_is_read_or_raises_and_harms_no_view():
    whole = simple_request([
        simple_span(1, events=[{"name": "llmops.attempt", "timeUnixNano": "5", "attributes": []}],
                    links=[{"traceId": "1" * 32, "spanId": "2" * 16}], status={"code": 2, "message": "m"},
                    attributes={"k": "v", "openinference.span.kind": "LLM"}),
        simple_span(2),
    ])  # fmt: skip
    good = simple_span(3)
    with tempfile.TemporaryDirectory() as folder:
        sink, decoder, kept = StoreSink(Path(folder)), Decoder(), 0

        @settings(max_examples=100)
        @given(place=st.sampled_from(places(whole)), value=anything, more=attributes)
        def check(place: tuple[Any, ...], value: Any, more: list[Any]) -> None:
            nonlocal kept
            request = copy.deepcopy(whole)
            request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] += more
            changed = put(request, place, value)
            body = json.dumps(changed).encode("utf-8", "surrogatepass")
            try:
                decoded = decoder.traces(body, "json")
            except OtlpDecodeError:
                decoded = decoder.traces(json.dumps(simple_request([good])).encode(), "json")
            assert sink.write(decoded.spans) == len(decoded.spans)
            kept += len(decoded.spans)

        check()
        sink.close(1.0)
        for view in VIEWS:
            query(f"FROM {view.name}", path=folder)
        assert query("SELECT count(*) FROM spans", path=folder).scalar() == kept
        assert query("SELECT count(*) FROM losses WHERE what = 'line'", path=folder).scalar() == 0


@settings(max_examples=200)
@given(data=st.data())
def test_any_bytes_are_read_or_raise(data: st.DataObject):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, name="n")
    span.attributes.add(key="k").value.array_value.values.add().kvlist_value.values.add(key="a")
    body = bytearray(message.SerializeToString())
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=4)):
        body[at] = value
    try:
        decoded = Decoder().traces(bytes(body[: data.draw(st.integers(0, len(body)))]), "protobuf")
    except OtlpDecodeError:
        return
    assert len(decoded.spans) + decoded.rejected <= 1
