from __future__ import annotations

import json

import pytest
from otlp_receiver import ReceivedSpan, _spans
from otlp_samples import sample_span

from llmops_sdk._version import __version__
from llmops_sdk.tracing.records._records import RecordedSpan, Stamp

INPUT_MESSAGES = b'[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]'
OUTPUT_MESSAGES = b'[{"role":"assistant","parts":[{"type":"text","content":"Hello"}],"finish_reason":"stop"}]'


def encoded(*records: RecordedSpan, content: bool = True) -> list[ReceivedSpan]:
    """Return a span as the official encoder sends it and a backend reads it."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from llmops_sdk.tracing.interop._convert import SpanConverter

    convert = SpanConverter(content=content)
    message = encode_spans([convert(record) for record in records])
    return _spans(ExportTraceServiceRequest.FromString(message.SerializeToString()))


def llm_span(**changes: object) -> RecordedSpan:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1-mini",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cost": 0.00042,
        "gen_ai.input.messages": INPUT_MESSAGES,
        "gen_ai.output.messages": OUTPUT_MESSAGES,
        "llmops.attempts": 2,
    }
    fields: dict[str, object] = {
        "name": "chat gpt-4.1-mini",
        "kind": "llm",
        "otel_kind": "client",
        "attributes": attributes,
        "output": b'"Hello"',
    }
    return sample_span(**{**fields, **changes})


def test_model_span_has_the_attributes_that_backends_read() -> None:
    stamp = Stamp(
        session_id="s-1",
        user_id="u-1",
        tags=("beta", "eu"),
        metadata={"plan": "pro", "seats": 3},
        prompt_name="greeting",
        prompt_version="7",
    )
    (span,) = encoded(llm_span(stamp=stamp))
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1-mini",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cost": 0.00042,
        "operation.cost": 0.00042,
        "gen_ai.input.messages": INPUT_MESSAGES.decode(),
        "gen_ai.output.messages": OUTPUT_MESSAGES.decode(),
        "output.value": "Hello",
        "output.mime_type": "text/plain",
        "openinference.span.kind": "LLM",
        "llmops.kind": "llm",
        "llmops.attempts": 2,
        "session.id": "s-1",
        "gen_ai.conversation.id": "s-1",
        "user.id": "u-1",
        "llmops.tags": ["beta", "eu"],
        "tag.tags": ["beta", "eu"],
        "llmops.metadata.plan": "pro",
        "llmops.metadata.seats": 3,
        "metadata": '{"plan": "pro", "seats": 3}',
        "gen_ai.prompt.name": "greeting",
        "gen_ai.prompt.version": "7",
    }


def test_ids_times_kind_resource_and_scope_arrive() -> None:
    record = llm_span(
        parent_id=0x1234,
        trace_id=0xABC,
        span_id=0xDEF,
        events=[("llmops.attempt", 1_790_000_000_000_000_500, {"attempt": 1, "status": "ok"})],
        links=[(0x77, 0x88, {"why": "retry"})],
    )
    (span,) = encoded(record)
    assert (span.trace_id, span.span_id, span.parent_id) == (f"{0xABC:032x}", f"{0xDEF:016x}", f"{0x1234:016x}")
    assert (span.name, span.kind, span.status, span.message) == ("chat gpt-4.1-mini", "client", "ok", "")
    assert (span.start_ns, span.end_ns) == (1_790_000_000_000_000_000, 1_790_000_000_001_500_000)
    assert span.events == [("llmops.attempt", 1_790_000_000_000_000_500, {"attempt": 1, "status": "ok"})]
    assert span.links == [(f"{0x77:032x}", f"{0x88:016x}", {"why": "retry"})]
    assert span.resource == {
        "service.name": "tests",
        "deployment.environment.name": "ci",
        "openinference.project.name": "tests",
    }
    assert (span.scope, span.scope_version) == ("llmops_sdk", __version__)


def test_resource_can_set_the_phoenix_project() -> None:
    (span,) = encoded(sample_span(resource={"service.name": "a", "openinference.project.name": "b"}))
    assert span.resource["openinference.project.name"] == "b"


@pytest.mark.parametrize(
    ("payload", "value", "mime_type"),
    [
        (b'{"question": "2+2"}', '{"question": "2+2"}', "application/json"),
        (b'"2+2 \\u00e9"', "2+2 é", "text/plain"),
        (b"[1,2]", "[1,2]", "application/json"),
        (b"null", "null", "application/json"),
    ],
)
def test_input_and_output_have_value_and_mime_type(payload: bytes, value: str, mime_type: str) -> None:
    (span,) = encoded(sample_span(kind="tool", input=payload, output=payload))
    assert span.attributes["openinference.span.kind"] == "TOOL"
    assert (span.attributes["input.value"], span.attributes["input.mime_type"]) == (value, mime_type)
    assert (span.attributes["output.value"], span.attributes["output.mime_type"]) == (value, mime_type)


def test_model_span_without_messages_shows_its_input() -> None:
    (span,) = encoded(sample_span(kind="llm", input=b'{"prompt":"Hi"}'))
    assert span.attributes["input.value"] == '{"prompt":"Hi"}'


@pytest.mark.parametrize(
    ("messages", "value", "mime_type"),
    [
        (OUTPUT_MESSAGES, "Hello", "text/plain"),
        (b'[{"role":"assistant","parts":[{"type":"tool_call","name":"f"}]}]', None, "application/json"),
        (b'{"not": "the shape"}', None, "application/json"),
        (b"no json", None, "application/json"),
    ],
)
def test_answer_comes_from_messages_if_there_is_no_output(
    messages: bytes, value: str | None, mime_type: str
) -> None:
    (span,) = encoded(llm_span(output=None, attributes={"gen_ai.output.messages": messages}))
    expected = value if value is not None else messages.decode()
    assert (span.attributes["output.value"], span.attributes["output.mime_type"]) == (expected, mime_type)


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        ("ok", "ok", None),
        ("unset", "unset", None),
        ("error", "error", None),
        ("cancelled", "unset", "cancelled"),
        ("closed", "unset", "closed"),
    ],
)
def test_status_maps_to_otel_code_and_our_attribute(status: str, code: str, ours: str | None) -> None:
    (span,) = encoded(sample_span(status=status, status_message="why", error_type="ValueError"))
    assert (span.status, span.attributes.get("llmops.status")) == (code, ours)
    assert span.message == ("why" if status == "error" else "")
    assert span.attributes["error.type"] == "ValueError"


def test_attributes_of_other_libraries_win() -> None:
    attributes = {"openinference.span.kind": "AGENT", "session.id": "theirs", "output.value": "x", "input.value": "y"}
    (span,) = encoded(
        sample_span(
            attributes=attributes, stamp=Stamp(session_id="ours"), input=b"1", output=b"2", scope="other.library"
        )
    )
    assert attributes.items() <= span.attributes.items()
    assert (span.scope, span.scope_version) == ("other.library", "")


def test_more_than_128_attributes_arrive() -> None:
    many = {f"flattened.{number}": number for number in range(500)}
    (span,) = encoded(llm_span(attributes={"gen_ai.operation.name": "chat", **many}))
    assert span.attributes["gen_ai.operation.name"] == "chat"
    assert many.items() <= span.attributes.items()


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        ((1, 2**70), ["1", str(2**70)]),
        ("lone \ud83d surrogate", "lone \ufffd surrogate"),
        ("whole \U0001f600 pair", "whole \U0001f600 pair"),
        (("a", "\udc80"), ["a", "\ufffd"]),
        (True, True),
        ((True, False), [True, False]),
        ((1, 2.5), [1.0, 2.5]),
        ((1, "a", True), ["1", "a", "true"]),
        ((), []),
        ({"nested": [1]}, '{"nested": [1]}'),
        (([1], [2]), "[[1], [2]]"),
        (b'{"as":"it is"}', '{"as":"it is"}'),
        (b"\xff", "\ufffd"),
        (3 + 4j, "(3+4j)"),
        (range(2), [0, 1]),
    ],
)
def test_values_that_protobuf_cannot_hold_become_text(value: object, arrives: object) -> None:
    (span,) = encoded(sample_span(attributes={"key": value, "after": 1}, events=[("e", 1, {"key": value})]))
    assert (span.attributes["key"], span.attributes["after"]) == (arrives, 1)
    assert span.events[0][2] == {"key": arrives}


def test_lone_surrogates_do_not_lose_the_span() -> None:
    bad, good = "n\udcff", "n\ufffd"
    record = sample_span(
        name=bad,
        status="error",
        status_message=bad,
        scope=bad,
        attributes={bad: 1},
        stamp=Stamp(session_id=bad, tags=(bad,), metadata={bad: bad}),
        resource={"service.name": bad},
    )
    (span,) = encoded(record)
    assert (span.name, span.message, span.scope, span.resource["service.name"]) == (good, good, good, good)
    assert span.attributes[good] == 1
    assert (span.attributes["session.id"], span.attributes["tag.tags"]) == (good, [good])
    assert json.loads(span.attributes["metadata"]) == {good: good}


def test_none_values_are_left_out() -> None:
    (span,) = encoded(sample_span(attributes={"a": None, "b": (None, "x")}))
    assert "a" not in span.attributes
    assert span.attributes["b"] == ["x"]
