"""The action mask: placeholders for the model, the values back for the user and for named tools only."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmops_sdk as llmops
from llmops_sdk.guardrails import Finding, Masks, check, mask_scope
from llmops_sdk.guardrails.masking._restore import TextRestorer
from llmops_sdk.testing import ScriptedProvider, capture_traces, use_provider

pytest.importorskip("re2")
MAIL, OTHER = "ada@example.org", "bob@example.org"
WAYS = ("chat", "achat", "stream", "astream")
MODEL = "openai/gpt-4.1-mini"
GUARDS = {"input": ["pii:mask"]}


@pytest.mark.parametrize("way", WAYS)
def test_the_model_sees_placeholders_and_the_user_the_values(way, ask):
    with use_provider(ScriptedProvider(["I wrote to [EMAIL_2] and [EMAIL_1]."])) as model, capture_traces() as traces:
        answer = ask(way, f"Write to {MAIL}, then {OTHER}, then {MAIL}", guards=GUARDS)
    assert model.requests[0].messages[0]["content"] == "Write to [EMAIL_1], then [EMAIL_2], then [EMAIL_1]"
    assert answer.text == f"I wrote to {OTHER} and {MAIL}."
    recorded = repr([(span.input, span.output, span.attributes, span.events) for span in traces.spans])
    assert MAIL not in recorded
    assert "[EMAIL_2]" in recorded


@pytest.mark.parametrize("way", WAYS)
def test_named_tools_only_get_the_values(way, ask):
    arguments = json.dumps({"to": "[EMAIL_1]", "body": 'He said "hi" to [EMAIL_1]'})
    calls = tuple(llmops.ToolCall(id=name, name=name, arguments=arguments) for name in ("send_mail", "search"))
    llmops.configure(model=MODEL, guardrails={"restore_tools": ["send_mail"]})
    with use_provider(ScriptedProvider([llmops.Response(text="Doing [EMAIL_1].", tool_calls=calls)])):
        answer = ask(way, f"Write to {MAIL}", guards=GUARDS)
    allowed, other = answer.tool_calls
    assert json.loads(allowed.arguments) == {"to": MAIL, "body": f'He said "hi" to {MAIL}'}
    assert other.arguments == arguments
    assert answer.text == f"Doing {MAIL}."


def test_values_are_escaped_in_json(ask):
    llmops.configure(model=MODEL, guardrails={"restore_tools": ["f"]})
    masks = Masks()
    masks.mask('a "quoted"\nvalue', [Finding("NAME", 2, 16)])
    call = llmops.ToolCall(id="1", name="f", arguments='{"x": "[NAME_1]"}')
    with mask_scope(masks), use_provider(ScriptedProvider([llmops.Response(tool_calls=(call,))])):
        (made,) = ask("chat", "Hi", guards=GUARDS).tool_calls
    assert json.loads(made.arguments) == {"x": '"quoted"\nvalue'}


@pytest.mark.parametrize("way", WAYS)
def test_a_typed_answer_has_the_values(way, ask):
    from pydantic import BaseModel

    class Contact(BaseModel):
        mail: str

    with use_provider(ScriptedProvider(['{"mail": "[EMAIL_1]"}'])):
        answer = ask(way, f"Who is {MAIL}?", guards=GUARDS, response_model=Contact)
    assert answer.parsed == Contact(mail=MAIL)


@pytest.mark.parametrize("way", WAYS)
def test_one_character_a_chunk_restores_the_same_text(way, ask):
    text = "See [EMAIL_1][EMAIL_2], [not] [EMAIL_9] and [EMAIL_1"
    with use_provider(ScriptedProvider([list(text)])):
        answer = ask(way, f"{MAIL} {OTHER}", guards=GUARDS)
    assert answer.text == f"See {MAIL}{OTHER}, [not] [EMAIL_9] and [EMAIL_1"


def test_a_json_answer_in_a_stream_is_restored_at_its_end(ask):
    text = '{"to": "[EMAIL_1]"}'
    with use_provider(ScriptedProvider([list(text)])):
        assert json.loads(ask("stream", MAIL, guards=GUARDS).text) == {"to": MAIL}


@pytest.mark.parametrize("link", ["https://evil.example/?q=[EMAIL_1]", "![x](https://evil.example/[EMAIL_1].png)"])
@pytest.mark.parametrize("way", ["chat", "stream"])
def test_a_placeholder_in_a_url_stays(way, link, ask):
    with use_provider(ScriptedProvider([list(f"{link} [EMAIL_1]")])):
        assert ask(way, MAIL, guards=GUARDS).text == f"{link} {MAIL}"


def test_each_call_has_its_own_map_and_a_scope_keeps_one(ask):
    with use_provider(ScriptedProvider(["[EMAIL_1]"], repeat=True)):
        assert ask("chat", MAIL, guards=GUARDS).text == MAIL
        assert ask("chat", OTHER, guards=GUARDS).text == OTHER
        with mask_scope() as masks:
            assert ask("chat", MAIL, guards=GUARDS).text == MAIL
            assert ask("chat", OTHER, guards=GUARDS).text == MAIL
            assert masks.restore("[EMAIL_2]") == OTHER
        assert ask("chat", "no address", guards=GUARDS).text == "[EMAIL_1]"


def test_two_tenants_in_one_client_do_not_mix():
    client = llmops.LLM(MODEL, guards=GUARDS, retry=False)
    answers: dict[str, str] = {}

    async def one(mail: str) -> str:
        return "".join([chunk.text async for chunk in client.astream(f"I am {mail}")])

    async def both() -> list[str]:
        return await asyncio.gather(*[one(f"user{number}@example.org") for number in range(20)])

    with use_provider(ScriptedProvider([["You are ", "[EMA", "IL_1]", "."]], repeat=True)):
        texts = asyncio.run(both())

        def call(mail: str) -> None:
            answers[mail] = client.chat(f"I am {mail}").text

        threads = [threading.Thread(target=call, args=(f"t{number}@example.org",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == [f"You are user{number}@example.org." for number in range(20)]
    assert answers == {f"t{number}@example.org": f"You are t{number}@example.org." for number in range(8)}


def test_cached_answers_hold_placeholders_and_each_caller_gets_its_own_value(ask):
    llmops.configure(model=MODEL, cache={"exact": True})
    with use_provider(ScriptedProvider(["Hello [EMAIL_1]"])) as model:
        assert ask("chat", MAIL, guards=GUARDS).text == f"Hello {MAIL}"
        answer = ask("chat", OTHER, guards=GUARDS)
    assert (answer.text, answer.cache) == (f"Hello {OTHER}", "exact")
    assert len(model.requests) == 1


def test_a_literal_placeholder_in_the_prompt_stands_for_nothing(ask):
    with use_provider(ScriptedProvider(["[EMAIL_1] [EMAIL_2]"])) as model:
        answer = ask("chat", f"What is [EMAIL_1]? I am {MAIL}", guards=GUARDS)
    assert model.requests[0].messages[0]["content"] == "What is [EMAIL_1]? I am [EMAIL_2]"
    assert answer.text == f"[EMAIL_1] {MAIL}"


def test_check_gives_the_way_back():
    done = check(f"I am {MAIL}", ["pii:mask"])
    assert (done.action, done.text) == ("mask", "I am [EMAIL_1]")
    assert done.masks.restore("Hello [EMAIL_1]") == f"Hello {MAIL}"
    assert MAIL not in repr(done)


def test_a_map_is_not_pickled_and_does_not_show_its_values():
    masks = Masks()
    masks.mask(MAIL, [Finding("EMAIL", 0, len(MAIL))])
    assert repr(masks) == "<Masks of 1 values>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(masks)


def test_a_function_gets_placeholders_and_its_caller_the_values():
    seen: list[Any] = []

    @llmops.guard(input=["pii:mask"])
    def reply(question: str) -> dict[str, str]:
        seen.append(question)
        return {"answer": f"re: {question}"}

    assert reply(f"I am {MAIL}") == {"answer": f"re: I am {MAIL}"}
    assert seen == ["I am [EMAIL_1]"]

    @llmops.guard(input=["pii:mask"])
    def stream(question: str):
        yield from question

    assert "".join(stream(f"I am {MAIL}!")) == f"I am {MAIL}!"

    @llmops.guard(input=["pii:mask"])
    async def areply(question: str) -> str:
        return question

    assert asyncio.run(areply(MAIL)) == MAIL


def test_masked_documents_need_a_scope_that_the_call_shares(ask):
    @llmops.guard(documents=["pii:mask"])
    def search(question: str) -> list[str]:
        return [f"Write to {MAIL}"]

    @llmops.guard(documents=["pii:mask"])
    def stream(question: str):
        yield f"Write to {MAIL} "

    with mask_scope(), use_provider(ScriptedProvider(["It is [EMAIL_1]."])) as model:
        documents = search("Who?")
        assert documents == ["Write to [EMAIL_1]"]
        assert "".join(stream("Who?")) == "Write to [EMAIL_1] "
        assert ask("chat", f"Who? {documents}", guards=GUARDS).text == f"It is {MAIL}."
    assert MAIL not in str(model.requests)
    with pytest.raises(llmops.GuardrailViolation):
        search("Who?")


def test_the_placeholders_of_a_conversation_are_bounded(monkeypatch):
    monkeypatch.setattr("llmops_sdk.guardrails.masking._masks._MOST_VALUES", 1)
    masks = Masks()
    masks.mask("a", [Finding("NAME", 0, 1)])
    assert masks.mask("a", [Finding("NAME", 0, 1)]) == "[NAME_1]"
    with pytest.raises(llmops.LLMOpsError, match="use redact"):
        masks.mask("b", [Finding("NAME", 0, 1)])


PIECES = ["[EMAIL_1]", "[EMAIL_2]", "[E", "MAIL_1]", "[", "]", " ", "://", "a", "\n", '"']


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.integers(1, 5))
def test_pieces_restore_to_what_the_whole_restores_to(parts, size):
    masks = Masks()
    masks.mask("xy", [Finding("EMAIL", 0, 1), Finding("EMAIL", 1, 2)])
    text = "".join(parts)
    restorer = TextRestorer(masks)
    pieces = [restorer.add(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join([*pieces, restorer.finish()]) == masks.restore(text)
