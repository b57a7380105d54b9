"""Guards on the results of tools, on the arguments of tool calls, and on documents."""

from __future__ import annotations

import copy
import json

import pytest
from four_ways import WAYS, answer_of

import llmops_sdk as llmops
from llmops_sdk.guardrails import InputGuardProvider, OutputGuardProvider, Verdict, check
from llmops_sdk.providers import Request, Response, ToolCall


def mark(word: str):
    return lambda text: Verdict("redact", text.replace("secret", word)) if "secret" in text else Verdict("pass")


def ask(provider, way: str, request: Request):
    """Return the answer's text and tool calls."""
    answer = answer_of(provider, request, way)
    return answer.text, [call.arguments for call in answer.tool_calls]


@pytest.mark.parametrize("way", WAYS)
def test_guards_on_tool_results_see_only_these_and_go_first(way, model, custom):
    messages = [
        {"role": "user", "content": "my secret"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":"secret"}'}}]},
        {"role": "tool", "tool_call_id": "1", "content": "a secret result"},
    ]  # fmt: skip
    inner, results, both = model(), custom(mark("[RESULT]"), "results"), custom(mark("[INPUT]"), "inputs")
    ask(InputGuardProvider(inner, [both], tool_results=[results]), way, Request(model="m", messages=messages))
    assert results.seen == ["a secret result"]
    sent = inner.requests[0].messages
    assert sent[2]["content"] == "a [RESULT] result"
    assert sent[0]["content"] == "my [INPUT]"
    assert json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {"a": "[INPUT]"}


BLOCK = {"type": "tool_result", "tool_use_id": "secret"}
TEXT = {"type": "text"}
RESULTS = {
    "function": ({"role": "function", "name": "secret", "content": "a secret result"}, ["a secret result"]),
    "JSON": ({"role": "function", "name": "f", "content": '{"a": "secret"}'}, ["a", "secret"]),
    "block": ({"role": "user", "content": [BLOCK | {"content": "a secret"}]}, ["a secret"]),
    "parts": (
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "my own words"},
                BLOCK | {"content": [TEXT | {"text": "one secret"}, {"type": "image", "source": {"url": "u"}}]},
                BLOCK | {"content": [{"type": "document", "source": {"type": "text", "data": "two secrets"}}]},
                BLOCK | {"content": {"type": "code_execution_result", "stdout": "out secret", "stderr": "err secret"}},
            ],
        },
        ["one secret", "two secrets", "out secret", "err secret"],
    ),
    "server tool": (
        {"role": "assistant", "content": [{"type": "mcp_tool_result", "content": [TEXT | {"text": "secret"}]}]},
        ["secret"],
    ),
    "search": (
        {"role": "user", "content": [BLOCK | {"content": [{"type": "search_result", "title": "secret", "content": [
            {"type": "text", "text": "page"}]}]}]},
        ["secret", "page"],
    ),
    "output": ({"role": "user", "content": [{"type": "function_call_output", "output": "secret"}]}, ["secret"]),
    "no result": ({"role": "user", "content": [{"type": "text", "text": "a secret"}, "secret", None]}, []),
}  # fmt: skip


@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("way", ["complete", "acomplete"])
def test_results_of_every_shape_are_results_of_tools(way, whole, kind, model, custom):
    message, texts = RESULTS[kind]
    before = copy.deepcopy(message)
    guard, inner = custom(mark("[RESULT]"), "results"), model()
    guard.whole_text = whole
    messages = [{"role": "user", "content": "my secret"}, message]
    ask(InputGuardProvider(inner, [], tool_results=[guard]), way, Request(model="m", messages=messages))
    if kind == "JSON" and whole:
        texts = [message["content"]]
    assert guard.seen == texts
    sent = inner.requests[0].messages
    assert sent[0] is messages[0]
    assert message == before
    assert json.dumps(sent[1]).count("[RESULT]") == sum("secret" in text for text in texts)
    assert sent[1].get("name") == message.get("name")


@pytest.mark.parametrize("way", WAYS)
def test_guards_on_tool_arguments_see_only_these(way, model, custom):
    call = ToolCall(id="1", name="send", arguments='{"to":"secret","n":1}')
    answer = Response(text="my secret", tool_calls=(call,), finish_reason="tool_calls")
    guard = custom(mark("[ARGUMENT]"), "arguments")
    provider = OutputGuardProvider(model(answer), [], tool_arguments=[guard])
    text, arguments = ask(provider, way, Request(model="m", messages=[{"role": "user", "content": "go"}]))
    assert (text, [json.loads(one) for one in arguments]) == ("my secret", [{"to": "[ARGUMENT]", "n": 1}])
    assert guard.seen == ["to", "secret", "n"]


@pytest.mark.parametrize("way", WAYS)
def test_a_blocked_tool_argument_ends_the_call(way, model, custom):
    call = ToolCall(id="1", name="send", arguments='{"to":"secret"}')
    answer = Response(text="", tool_calls=(call,), finish_reason="tool_calls")
    block = custom(lambda _: Verdict("block", reason="no"), "arguments")
    provider = OutputGuardProvider(model(answer), [], tool_arguments=[block])
    with pytest.raises(llmops.GuardrailViolation) as raised:
        ask(provider, way, Request(model="m", messages=[{"role": "user", "content": "go"}]))
    assert raised.value.rail == "tool_arguments"


def test_rails_are_set_by_the_configuration_and_by_the_call(card, tmp_path):
    messages = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": f"pays with {card}"},
    ]  # fmt: skip
    llmops.configure(model="offline/echo", guardrails={"tool_results": ["cards"]})
    llmops.chat(messages, cache=False)
    llmops.chat(messages, guards=[], cache=False)
    llmops.chat(messages, guards=["cards:block"], cache=False)  # a list sets input and output; the tool rails stay
    llmops.chat(messages, guards={"tool_results": []}, cache=False)
    llmops.flush()
    rows = llmops.query("SELECT input_messages::VARCHAR AS said FROM llm_calls ORDER BY start_ns").rows()
    assert [(card in said, "[CARD]" in said) for (said,) in rows] == [
        (False, True), (True, False), (False, True), (True, False),
    ]  # fmt: skip
    assert llmops.query("SELECT DISTINCT rail FROM guard_verdicts WHERE action = 'redact'").rows() == [
        ("tool_results",)
    ]


def test_an_unknown_rail_of_a_call_is_an_error():
    with pytest.raises(TypeError, match="not 'inputs'"):
        llmops.chat("hello", model="offline/echo", guards={"inputs": ["cards"]})


def test_documents_are_checked_where_they_are_retrieved(card):
    @llmops.guard(documents=["cards"])
    def retrieve(question: str) -> list[str]:
        return [f"{question}: {card}", "another"]

    with llmops.span("a"):
        assert retrieve("q") == ["q: [CARD]", "another"]
    llmops.flush()
    assert llmops.query("SELECT rail, action FROM guard_verdicts").rows() == [("documents", "redact")]


def test_options_of_named_guards_are_checked_with_the_configuration():
    for options, message in (
        ({"card": {}}, r"no guard 'card'.*did you mean 'cards'"),
        ({"cards": {"keep": 4}}, "no option 'keep' of the guard 'cards'"),
    ):
        with pytest.raises(llmops.ConfigError, match=message):
            llmops.configure(model="offline/echo", guardrails={"input": ["cards"], "options": options})
        with pytest.raises(llmops.ConfigError, match=message):
            check("hello", ["cards"], options=options)


def test_named_detectors_guard_calls_with_their_options():
    options = {"topics": {"deny": ["lottery"]}}
    llmops.configure(model="offline/echo", guardrails={"input": ["topics:redact"], "options": options})
    assert llmops.chat("Tell me about the LOTTERY.", cache=False).text == "Tell me about the [TOPIC]."
