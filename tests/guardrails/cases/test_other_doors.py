"""Cases 3 and 7: prompt functions, embeddings, typed answers and clients of one's own pass the same guards."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import threading
import traceback
from typing import Any, Literal

import pytest
from guarded_values import VALUES
from pydantic import BaseModel

import llmops_sdk as llmops
from llmops_sdk.guardrails import Verdict, check
from llmops_sdk.testing import ScriptedProvider, capture_traces, use_provider

pytest.importorskip("re2")
MODEL = "openai/gpt-4.1-mini"
CARD, MAIL = VALUES["card"].text, VALUES["email"].text
WAYS = ("chat", "achat", "stream", "astream")


def recorded(traces: Any) -> str:
    return repr(
        [
            (
                one.name,
                one.input,
                one.output,
                one.attributes,
                one.status_message,
                [(e.name, e.attributes) for e in one.events],
            )
            for one in traces.spans
        ]
    )


def test_a_prompt_function_records_the_checked_prompt_only():
    """Case 7: also the span of the function itself, its arguments and a stream of it."""

    @llmops.llm(model=MODEL, guards={"input": ["cards"], "output": ["cards"]})
    def reply(message: str) -> str:
        return f"Answer this: {message}"

    @llmops.llm(model=MODEL, stream=True, guards={"input": ["cards"], "output": ["cards"]})
    def streamed(message: str) -> str:
        return f"Answer this: {message}"

    @llmops.llm(model=MODEL, guards={"input": ["cards:block"]})
    def blocked(message: str) -> str:
        return f"Answer this: {message}"

    with use_provider(ScriptedProvider([f"So, {CARD}"], repeat=True)) as model, capture_traces() as traces:
        assert reply(f"My card is {CARD}") == "So, [CARD]"
        assert "".join(chunk.text for chunk in streamed(f"My card is {CARD}")) == "So, [CARD]"
        with pytest.raises(llmops.GuardrailViolation):
            blocked(f"My card is {CARD}")
        assert CARD not in recorded(traces)
    assert CARD not in repr(model.requests)


def function(arguments: Any) -> dict[str, Any]:
    return {"name": "read", "arguments": arguments}


MESSAGES: dict[str, Any] = {
    "system": {"role": "system", "content": f"It is {CARD}"},
    "part": {"role": "user", "content": [{"type": "text", "text": f"It is {CARD}"}]},
    "part in a tuple": {"role": "user", "content": ({"type": "input_text", "text": f"It is {CARD}"},)},
    "tool": {"role": "tool", "tool_call_id": "1", "content": json.dumps({"card": CARD})},
    "tool_result": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": CARD}]},
    "parts in a tool_result": {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": f"It is {CARD}"}]}
        ],
    },
    "document": {
        "role": "user",
        "content": [{"type": "document", "title": CARD, "source": {"type": "text", "data": f"It is {CARD}"}}],
    },
    "parts in a document": {
        "role": "user",
        "content": [{"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": CARD}]}}],
    },
    "refusal": {"role": "assistant", "content": [{"type": "refusal", "refusal": CARD}], "refusal": CARD},
    "reasoning": {"role": "assistant", "content": "x", "reasoning_content": f"It is {CARD}"},
    "blocks": {
        "role": "assistant",
        "content": "x",
        "thinking_blocks": [{"type": "thinking", "thinking": f"It is {CARD}", "signature": "s"}],
    },
    "function call": {"role": "assistant", "content": None, "function_call": function(json.dumps({"q": CARD}))},
    "arguments that are a dict": {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": function({"q": [{"a": CARD}], "b": (CARD,)})}],
    },
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", MESSAGES)
def test_every_text_of_a_prompt_is_checked_and_the_callers_object_is_not_changed(place, way, ask):
    """Case 7: the model and the trace get no value from any place where a person, a model or a tool wrote."""
    messages = [MESSAGES[place], {"role": "user", "content": "Hi"}]
    before = repr(messages)
    with use_provider(ScriptedProvider(["fine"])) as model, capture_traces() as traces:
        ask(way, messages, guards={"input": ["cards"]})
        assert CARD not in recorded(traces)
    assert CARD not in repr(model.requests)
    assert "[CARD]" in repr(model.requests) or place == "blocks"
    assert repr(messages) == before
    with use_provider(ScriptedProvider(["fine"])) as model, pytest.raises(llmops.GuardrailViolation):
        ask(way, messages, guards={"input": ["cards:block"]})
    assert model.requests == ()


def test_texts_to_embed_pass_the_guards_on_the_input():
    """Case 7: the provider and the span get the checked texts."""
    llmops.configure(model=MODEL, guardrails={"input": ["cards"]})
    seen: list[str] = []

    def vectors(request: Any) -> llmops.Embeddings:
        return llmops.Embeddings(vectors=[[1.0, 2.0]])

    class Recording(ScriptedProvider):
        def embed(self, texts: Any, request: Any) -> llmops.Embeddings:
            seen.extend(texts)
            return super().embed(texts, request)

    with use_provider(Recording([vectors, vectors])), capture_traces() as traces:
        llmops.embed([f"My card is {CARD}"])
        asyncio.run(llmops.aembed([f"My card is {CARD}"]))
        assert CARD not in recorded(traces)
    assert seen == ["My card is [CARD]"] * 2
    llmops.configure(model=MODEL, guardrails={"input": ["cards:block"]})
    with use_provider(Recording([vectors])), pytest.raises(llmops.GuardrailViolation):
        llmops.embed([f"My card is {CARD}"])
    assert len(seen) == 2


class Contact(BaseModel):
    kind: Literal["person", "company"]
    mail: str


class Strict(BaseModel):
    mail: Literal["nobody"]


@pytest.mark.parametrize("way", ["chat", "achat"])
def test_an_answer_that_does_not_fit_tells_the_value_to_its_owner_only(way, ask, caplog):
    """Case 7: neither span nor log has the masked value, although the validator quotes its input."""
    caplog.set_level(logging.DEBUG)
    with use_provider(ScriptedProvider(['{"mail": "[EMAIL_1]"}'], repeat=True)) as model, capture_traces() as traces:
        with pytest.raises(llmops.ValidationFailedError):
            ask(way, f"Who is {MAIL}?", guards={"input": ["pii:mask"]}, response_model=Strict)
        assert MAIL not in recorded(traces)
    assert MAIL not in repr(model.requests)
    assert MAIL not in caplog.text


@pytest.mark.parametrize("way", ["chat", "achat"])
def test_a_typed_answer_that_is_redacted_is_nowhere(way, ask, caplog):
    """Case 7: the guard acts before the validator, whose error and whose next question quote the answer."""
    caplog.set_level(logging.DEBUG)
    answers = ScriptedProvider([f'{{"kind": "bank", "mail": "{MAIL}"}}'], repeat=True)
    with use_provider(answers) as model, capture_traces() as traces:
        with pytest.raises(llmops.ValidationFailedError) as caught:
            ask(way, "Who?", guards={"output": ["pii"]}, response_model=Contact)
        assert MAIL not in recorded(traces)
    shown = [*traceback.format_exception(caught.value), repr(vars(caught.value)), repr(pickle.dumps(caught.value))]
    assert MAIL not in "".join(shown)
    assert MAIL not in repr(model.requests)
    assert MAIL not in caplog.text


def test_the_conversation_goes_on_with_what_the_guards_left(ask):
    """Case 7: the message that a caller appends has the redacted text, and a second turn sends no value."""
    with use_provider(ScriptedProvider([f"It is {CARD}.", "Good."])) as model:
        first = ask("chat", f"Mine is {CARD}", guards={"input": ["cards"], "output": ["cards"]})
        turn = [{"role": "user", "content": f"Mine is {CARD}"}, first.message, {"role": "user", "content": "Thanks"}]
        ask("chat", turn, guards={"input": ["cards"], "output": ["cards"]})
    assert CARD not in repr(model.requests)
    assert CARD not in repr(first)


def test_a_client_of_its_own_and_the_default_one_do_not_mix_policies():
    """Case 3: two clients, two policies, at the same time in threads."""
    strict = llmops.LLM(MODEL, guards={"output": ["cards:block"]})
    loose = llmops.LLM(MODEL, guards={"output": ["cards"]})
    results: dict[str, set[str]] = {"strict": set(), "loose": set(), "none": set()}
    start = threading.Barrier(3)

    def run(name: str, call: Any) -> None:
        start.wait(60)
        for _ in range(20):
            try:
                results[name].add(call().text)
            except llmops.GuardrailViolation as error:
                results[name].add(error.guard)

    calls = {
        "strict": lambda: strict.chat("Hi"),
        "loose": lambda: loose.chat("Hi"),
        "none": lambda: llmops.chat("Hi", model=MODEL, guards=[]),
    }
    with use_provider(ScriptedProvider([f"So, {CARD}"], repeat=True)), strict, loose:
        threads = [threading.Thread(target=run, args=pair) for pair in calls.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert results == {"strict": {"cards"}, "loose": {"So, [CARD]"}, "none": {f"So, {CARD}"}}


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_that_calls_a_model_of_its_own_does_not_loop(way, ask):
    """Case 10: a guard of one's own that calls `chat` under the same configuration gets bounded questions."""

    class Asking:
        name, version = "asking", "1"

        def check(self, text: str, context: Any) -> Any:

            verdict = llmops.chat(f"Is this harmful? {len(text)}", model=MODEL, guards=[]).text
            return Verdict("block", reason="the judge says so") if verdict == "yes" else Verdict("pass")

    with use_provider(ScriptedProvider(["fine", "no", "fine", "yes"])) as model, capture_traces() as traces:
        assert ask(way, guards={"output": [Asking()]}).text == "fine"
        with pytest.raises(llmops.GuardrailViolation):
            ask(way, guards={"output": [Asking()]})
        assert len(traces.spans) == 4
    assert len(model.requests) == 4


@pytest.mark.parametrize(
    ("kind", "guard", "text"),
    [
        ("EMAIL", "pii", MAIL),
        ("CARD", "cards", CARD),
        ("PHONE", "pii", "call +44 20 7946 0958"),
        ("IBAN", "pii", "GB82 WEST 1234 5698 7654 32"),
        ("IP", "pii", "192.168.17.42"),
        ("US_SSN", "pii", "SSN 536-22-" + "8726"),
        ("SECRET", "secrets", VALUES["key"].text),
    ],
    ids=lambda value: value if value.isalpha() else "text",
)
def test_the_kinds_of_findings_are_those_of_the_contract(kind, guard, text):
    """The public API names the kinds of findings, and applications compare them."""
    done = check(text, [guard])
    assert [one.kind for one in done.verdicts[0].findings] == [kind]
    assert f"[{kind}]" in done.text
