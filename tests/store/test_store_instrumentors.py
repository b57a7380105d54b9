"""Spans of the real instrumentors, recorded once from calls to servers on loopback, in our columns.

`instrumentor_spans.json` has what openinference-instrumentation-openai 0.1.66, -anthropic 3.1.0, -langchain 0.1.80,
opentelemetry-instrumentation-openai 0.62.4 and the client anthropic 2.12.0 wrote; `make test-integration` runs them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from llmops_sdk.tracing.interop._foreign_span import PendingForeignSpan

_RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("instrumentor_spans.json").read_text("utf-8"))
_START = 1_795_000_000_000_000_000
_RESOURCE = Resource({"service.name": "support"})
_ANSWER = "Good day to you."
_PROMPT = [("system", "You answer for a bank."), ("user", "Where is my card?")]

Take = Callable[[str, str], list[dict[str, Any]]]


def _span(number: int, recorded: dict[str, Any]) -> ReadableSpan:
    code, description = recorded["status"]
    return ReadableSpan(
        name=recorded["name"],
        context=SpanContext(1, number + 1, is_remote=False, trace_flags=TraceFlags(1)),
        resource=_RESOURCE,
        attributes=recorded["attributes"],
        events=[Event(name, attributes, _START + at) for name, at, attributes in recorded["events"]],
        kind=SpanKind[recorded["kind"]],
        status=Status(StatusCode[code], description),
        start_time=_START + number,
        end_time=_START + number + 1_000_000_000,
        instrumentation_scope=InstrumentationScope(recorded["scope"], recorded["version"]),
    )


@pytest.fixture
def calls(sink: Any, ask: Any) -> Take:
    """The rows of `llm_calls` of one library by name, in order."""

    def take(scope: str, name: str) -> list[dict[str, Any]]:
        sink.write([PendingForeignSpan(_span(number, one)).to_record() for number, one in enumerate(_RECORDED)])
        rows = ask("FROM llm_calls ORDER BY start_ns").dicts()
        return [row for row in rows if row["scope"].endswith(scope) and row["name"] == name]

    return take


def _figures(row: dict[str, Any]) -> tuple[Any, ...]:
    names = "operation provider request_model model input_tokens output_tokens cache_read_tokens finish_reason"
    return tuple(row[name] for name in names.split())


def _texts(messages: str | None) -> list[tuple[str, str]]:
    return [
        (message["role"], "".join(part["content"] for part in message["parts"]))
        for message in json.loads(messages or "[]")
    ]


_GPT = ("chat", "openai", "gpt-4.1-mini", "gpt-4.1-mini-served")
_CLAUDE = ("chat", "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-served")


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("openinference.instrumentation.openai", "ChatCompletion"),
        ("opentelemetry.instrumentation.openai.v1", "openai.chat"),
        ("openinference.instrumentation.langchain", "ChatOpenAI"),
    ],
)
def test_three_libraries_tell_the_same_of_a_call(calls: Take, scope: str, name: str):
    row = calls(scope, name)[0]
    assert _figures(row) == (*_GPT, 11, 7, 4, "stop")
    assert (row["reasoning_tokens"], row["kind"], row["service"]) == (2, "llm", "support")
    assert _texts(row["input_messages"]) == _PROMPT
    assert _texts(row["output_messages"]) == [("assistant", _ANSWER)]
    assert json.loads(row["output_messages"])[0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("openinference.instrumentation.openai", "ChatCompletion"),
        ("opentelemetry.instrumentation.openai.v1", "openai.chat"),
    ],
)
def test_a_stream_an_embedding_tool_calls_and_an_error(calls: Take, scope: str, name: str):
    _, stream, tools, failed = calls(scope, name)
    assert _figures(stream) == (*_GPT, 11, 7, 4, "stop")
    assert 0 < stream["ttft_ms"] < 1000
    assert tools["finish_reason"] == "tool_calls"
    call = {"type": "tool_call", "name": "weather"}
    asked, answered = json.loads(tools["input_messages"])[1:]
    assert asked["parts"] == [{**call, "id": "c0", "arguments": {}}]
    assert answered["role"] == "tool"
    assert answered["parts"] == [{"type": "tool_call_response", "id": "c0", "response": "cold"}]
    (answer,) = json.loads(tools["output_messages"])
    assert answer["parts"] == [{**call, "id": "call_0", "arguments": {"city": "Oslo"}}]
    assert answer["finish_reason"] == "tool_calls"
    assert (failed["status"], failed["error_type"]) == ("error", "RateLimitError")
    assert (failed["request_model"], failed["model"], failed["input_tokens"]) == ("gpt-4.1-mini", "gpt-4.1-mini", None)
    assert _texts(failed["input_messages"]) == _PROMPT


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("openinference.instrumentation.openai", "CreateEmbeddings"),
        ("opentelemetry.instrumentation.openai.v1", "openai.embeddings"),
    ],
)
def test_an_embedding(calls: Take, scope: str, name: str):
    (row,) = calls(scope, name)
    assert (row["kind"], row["operation"], row["provider"], row["input_tokens"]) == (
        "embedding",
        "embeddings",
        "openai",
        5,
    )
    assert row["request_model"] == row["model"] == "text-embedding-3-small"


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("openinference.instrumentation.anthropic", "messages.create"),
        ("com.anthropic.sdk.python", "anthropic.messages.create"),
    ],
)
def test_anthropic_by_its_instrumentor_and_by_its_own_client(calls: Take, scope: str, name: str):
    first = calls(scope, name)[0]
    assert _figures(first) == (*_CLAUDE, 11, 7, 4, "stop")
    tools = calls(scope, name)[-1]
    assert tools["finish_reason"] == "tool_calls"
    if first["scope"].startswith("openinference"):
        assert _texts(first["input_messages"]) == _PROMPT
        assert _texts(first["output_messages"]) == [("assistant", _ANSWER)]
        (answer,) = json.loads(tools["output_messages"])
        assert answer["parts"] == [
            {"type": "text", "content": "Let me see."},
            {"type": "tool_call", "id": "toolu_0", "name": "weather", "arguments": {"city": "Oslo"}},
        ]


def test_langchain_s_steps_are_of_their_kinds(calls: Take, ask: Any):
    calls("", "")
    kinds = dict(ask("SELECT name, kind FROM spans WHERE scope LIKE '%langchain' GROUP BY ALL").rows())
    assert kinds == {
        "ChatOpenAI": "llm",
        "ChatPromptTemplate": "chain",
        "RunnableSequence": "chain",
        "weather": "tool",
    }
    assert ask("SELECT input->>'$', output->>'$' FROM spans WHERE name = 'weather'").rows() == [("Oslo", "cold")]


def test_messages_as_events_of_the_conventions_before_1_37(sink: Any, ask: Any):
    body = "gen_ai.event.content"
    events: list[Any] = [
        ["gen_ai.system.message", 1, {"content": "Be kind."}],
        ["gen_ai.user.message", 2, {body: '{"content": "Hi"}'}],
        ["gen_ai.choice", 3, {body: '{"index": 0, "finish_reason": "end_turn", "message": {"content": "Hello"}}'}],
    ]
    attributes = {"gen_ai.system": "az.ai.openai", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    recorded = {"name": "chat m", "kind": "CLIENT", "scope": "other", "version": "1", "status": ["UNSET", None]}
    sink.write([PendingForeignSpan(_span(0, {**recorded, "attributes": attributes, "events": events})).to_record()])
    (row,) = ask("FROM llm_calls").dicts()
    assert (row["provider"], row["model"]) == ("azure.ai.openai", "m")
    assert _texts(row["input_messages"]) == [("system", "Be kind."), ("user", "Hi")]
    assert _texts(row["output_messages"]) == [("assistant", "Hello")]
    assert json.loads(row["attributes"])["gen_ai.system"] == "az.ai.openai"


def test_messages_in_one_event_or_attribute_of_the_first_conventions(sink: Any, ask: Any):
    recorded = {"name": "chat m", "kind": "CLIENT", "scope": "other", "version": "1", "status": ["UNSET", None]}
    in_event = {
        "attributes": {"gen_ai.operation.name": "chat"},
        "events": [
            ["gen_ai.content.prompt", 1, {"gen_ai.prompt": '[{"role": "user", "content": "Hi"}]'}],
            ["gen_ai.content.completion", 2, {"gen_ai.completion": '[{"role": "assistant", "content": "Hello"}]'}],
        ],
    }
    as_text = {
        "attributes": {
            "gen_ai.operation.name": "completion",
            "gen_ai.prompt": "Hi",
            "gen_ai.completion": "Hello",
            "gen_ai.user": "user-7",
            "gen_ai.conversation.id": "session-7",
        },
        "events": [],
    }
    made = [{**recorded, **one} for one in (in_event, as_text)]
    sink.write([PendingForeignSpan(_span(number, one)).to_record() for number, one in enumerate(made)])
    rows = ask("FROM llm_calls ORDER BY start_ns").dicts()
    assert [row["operation"] for row in rows] == ["chat", "text_completion"]
    assert [(row["session_id"], row["user_id"]) for row in rows] == [(None, None), ("session-7", "user-7")]
    for row in rows:
        assert _texts(row["input_messages"]) == [("user", "Hi")]
        assert _texts(row["output_messages"]) == [("assistant", "Hello")]


@pytest.mark.parametrize(
    "attributes",
    [
        {"llm.input_messages.0.message.contents": 3, "llm.input_messages.0.message.contents.0.x": 1},
        {"llm.input_messages.99999999.message.role": "user"},
        {"llm.input_messages.0.message.tool_calls.0": 7, "llm.input_messages.0.message.tool_calls.1.tool_call": 8},
        {"gen_ai.prompt.0.content": '[{"no type": 1}]', "gen_ai.prompt.0.role": 5},
        {"gen_ai.prompt": "[1, 2", "gen_ai.completion": "[3]"},
        {"llm.invocation_parameters": "[]", "llm.finish_reason": 4, "llm.system": 9},
        {"gen_ai.output.messages": "no JSON", "gen_ai.response.finish_reasons": ["stop", 3]},
        {"llm.cost.prompt": True, "llm.cost.completion": "much", "gen_ai.output.messages": '[1, {"role": 2}]'},
    ],
)
def test_what_fits_no_vocabulary_is_kept_and_breaks_nothing(sink: Any, ask: Any, attributes: dict[str, Any]):
    recorded = {"name": "odd", "kind": "CLIENT", "scope": "other", "version": "1", "status": ["UNSET", None]}
    attributes = {"openinference.span.kind": "LLM", **attributes}
    sink.write([PendingForeignSpan(_span(0, {**recorded, "attributes": attributes, "events": []})).to_record()])
    (row,) = ask("FROM llm_calls").dicts()
    assert (row["operation"], row["kind"]) == ("chat", "llm")
    # Letters and digits alone: what was JSON may stand in other JSON now.
    kept = re.sub(r"\W", "", json.dumps({key: value for key, value in row.items() if isinstance(value, str)}))
    for value in attributes.values():
        assert re.sub(r"\W", "", str(value))[:5] in kept or not isinstance(value, str)


def test_the_parts_of_an_expensive_call_add_up(sink: Any, ask: Any):
    attributes = {"openinference.span.kind": "LLM", "llm.cost.prompt": 0.25, "llm.cost.completion": 0.5}
    recorded = {"name": "priced", "kind": "CLIENT", "scope": "other", "version": "1", "status": ["OK", None]}
    sink.write([PendingForeignSpan(_span(0, {**recorded, "attributes": attributes, "events": []})).to_record()])
    assert ask("SELECT cost, status FROM llm_calls").rows() == [(0.75, "ok")]
