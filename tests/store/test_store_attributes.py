"""Known attributes of every vocabulary fill columns."""

from __future__ import annotations

import json

import pytest

from llmops_sdk.store.lines._promote import KNOWN
from llmops_sdk.tracing.records._records import Stamp

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4.1",
    "gen_ai.response.model": "gpt-4.1-2025",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 4,
    "gen_ai.usage.reasoning.output_tokens": 5,
    "gen_ai.usage.cost": 0.25,
    "gen_ai.response.time_to_first_chunk": 0.5,
    "gen_ai.response.finish_reasons": ("stop",),
    "llmops.cache": "exact",
    "llmops.attempts": 2,
    "llmops.simulated": True,
    "gen_ai.request.temperature": 0.5,
}


def test_known_attributes_fill_columns_and_others_stay(sink, make_span, ask):
    stamp = Stamp(
        session_id="s", user_id="u", tags=("a",), metadata={"plan": "pro"}, prompt_name="p", prompt_version="2"
    )
    sink.write([make_span(kind="llm", attributes={**CALL, "llmops.tags": ("b", "a")}, stamp=stamp)])
    row = ask("FROM llm_calls").dicts()[0]
    expected = {
        "operation": "chat", "provider": "openai", "request_model": "gpt-4.1", "model": "gpt-4.1-2025",
        "input_tokens": 10, "output_tokens": 20, "cache_read_tokens": 4, "reasoning_tokens": 5, "cost": 0.25,
        "ttft_ms": 500.0, "finish_reason": "stop", "cache": "exact", "attempts": 2, "simulated": True,
        "session_id": "s", "user_id": "u", "tags": ["a", "b"], "prompt_name": "p", "prompt_version": "2",
        "service": "tests",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert json.loads(row["attributes"]) == {"gen_ai.request.temperature": 0.5, "llmops.metadata.plan": "pro"}


def test_span_attributes_win_over_context(sink, make_span, ask):
    sink.write(
        [make_span(attributes={"session.id": 7, "user.id": "own"}, stamp=Stamp(session_id="around", user_id="x"))]
    )
    assert ask("SELECT session_id, user_id FROM spans").rows() == [("7", "own")]


@pytest.mark.parametrize("attribute", [name for name, known in KNOWN.items() if known[1](7) is None])
def test_value_of_wrong_type_stays_an_attribute(sink, make_span, ask, attribute):
    sink.write([make_span(kind="llm", attributes={attribute: 7})])
    assert json.loads(ask("SELECT attributes FROM spans").scalar()) == {attribute: 7}


def test_openinference_attributes_fill_columns(sink, make_span, ask):
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "claude",
        "llm.provider": "anthropic",
        "llm.token_count.prompt": 3,
        "llm.token_count.completion": 4,
        "input.value": '{"q": "hi"}',
        "output.value": "plain answer",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.contents.0.message_content.text": "hi",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "hello",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "find",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{}",
    }
    sink.write([make_span(kind="llm", scope="openinference.instrumentation.anthropic", attributes=attributes)])
    row = ask("FROM llm_calls").dicts()[0]
    assert (row["kind"], row["model"], row["provider"], row["input_tokens"], row["output_tokens"]) == (
        "llm", "claude", "anthropic", 3, 4,
    )  # fmt: skip
    assert (json.loads(row["input"]), json.loads(row["output"])) == ({"q": "hi"}, "plain answer")
    kept = json.loads(row["attributes"])
    assert kept["llm.model_name"] == "claude"
    assert not {"input.value", "output.value"} & set(kept)
    messages = ask("SELECT direction, role, content, tool_calls FROM messages ORDER BY direction").rows()
    assert messages[0] == ("input", "user", "hi", None)
    assert messages[1][:3] == ("output", "assistant", "hello")
    assert json.loads(messages[1][3]) == [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {}}]


def test_traceloop_and_older_gen_ai_names_fill_columns(sink, make_span, ask):
    sink.write([
        make_span(
            name="call",
            kind="llm",
            scope="opentelemetry.instrumentation.openai",
            attributes={
                "gen_ai.system": "openai", "llm.request.type": "chat", "gen_ai.request.model": "gpt-4",
                "gen_ai.usage.prompt_tokens": 3, "gen_ai.usage.completion_tokens": 4,
                "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi",
                "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "yes",
                "gen_ai.completion.0.finish_reason": "stop", "gen_ai.prompt.name": "greet",
            },
        ),
        make_span(
            name="step",
            kind="tool",
            scope="traceloop",
            attributes={
                "traceloop.span.kind": "tool", "traceloop.entity.input": "[1]", "traceloop.entity.output": "two",
            },
        ),
    ])  # fmt: skip
    call = ask("SELECT provider, model, input_tokens, output_tokens, prompt_name FROM llm_calls").rows()
    assert call == [("openai", "gpt-4", 3, 4, "greet")]
    assert ask("SELECT content, finish_reason FROM messages ORDER BY direction").rows() == [
        ("hi", None),
        ("yes", "stop"),
    ]
    assert ask("SELECT kind, input, output FROM spans WHERE name = 'step'").rows() == [("tool", "[1]", '"two"')]


def test_newer_name_wins_in_any_order(sink, make_span, ask):
    older, newer = {"gen_ai.system": "old"}, {"gen_ai.provider.name": "new"}
    sink.write([make_span(kind="llm", attributes=older | newer), make_span(kind="llm", attributes=newer | older)])
    assert ask("SELECT provider, attributes FROM llm_calls").rows() == [("new", '{"gen_ai.system":"old"}')] * 2


def test_second_content_for_a_column_stays_an_attribute(sink, make_span, ask):
    sink.write([make_span(input=b'"ours"', attributes={"input.value": "theirs"})])
    assert ask("SELECT input, attributes FROM spans").rows() == [('"ours"', '{"input.value":"theirs"}')]


def test_view_messages_reads_both_message_shapes(sink, make_span, ask):
    semconv = (
        b'[{"role":"system","parts":[{"type":"text","content":"be"},{"type":"text","content":"kind"}]},'
        b'{"role":"tool","parts":[{"type":"tool_call_response","id":"1","response":"r"}]}]'
    )
    openai = '[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]}]'
    sink.write(
        [
            make_span(kind="llm", name="bytes", attributes={"gen_ai.input.messages": semconv}),
            make_span(kind="llm", name="text", span_id=2, attributes={"gen_ai.input.messages": openai}),
            make_span(kind="llm", span_id=3, attributes={"gen_ai.input.messages": "no json"}),
        ]
    )
    rows = ask("SELECT span_id[-1:], position, role, content, tool_calls FROM messages ORDER BY 1, 2").rows()
    assert rows == [
        ("1", 0, "system", "be\nkind", None),
        ("1", 1, "tool", None, None),
        ("2", 0, "user", "hi", None),
        ("2", 1, "assistant", None, '[{"id":"1"}]'),
    ]
    assert ask("SELECT attributes FROM spans WHERE span_id LIKE '%3'").scalar() == '{"gen_ai.input.messages":"no json"}'
