"""Typed answers where guards masked values of the prompt: the values are validated, and stay with the caller."""

from __future__ import annotations

import logging
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, Field

import llmops_sdk as llmops
from llmops_sdk.guardrails import Finding, Masks, mask_scope
from llmops_sdk.testing import ScriptedProvider, capture_traces, use_provider

pytest.importorskip("re2")
MAIL, LONG = "ada@example.org", "grace.brewster.murray.hopper@example.org"
WAYS = ("chat", "achat", "stream", "astream")
GUARDS = {"input": ["pii:mask"]}
MASKED = '{"mail": "[EMAIL_1]"}'


def quoting(value: str) -> str:
    """Refuse what is no short address, and quote it."""
    if "@" not in value or len(value) > 20:
        raise ValueError(f"{value} is no short address")
    return value


class Contact(BaseModel):
    mail: Annotated[str, Field(pattern=r"^[^@]+@[a-z.]+$")]


class Short(BaseModel):
    mail: Annotated[str, AfterValidator(quoting)]
    count: int = 0


class Named(BaseModel):
    people: dict[str, int]


def recorded(traces) -> str:
    return "".join(
        repr((one.input, one.output, one.attributes, one.events, one.status_message)) for one in traces.spans
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", [MASKED, f"Here:\n```json\n{MASKED}\n```"])
def test_a_strict_format_gets_the_value_and_the_record_the_placeholder(way, text, ask):
    with use_provider(ScriptedProvider([text])), capture_traces() as traces:
        answer = ask(way, f"Who is {MAIL}?", guards=GUARDS, response_model=Contact)
    assert answer.parsed == Contact(mail=MAIL)
    assert MAIL not in recorded(traces)
    assert "[EMAIL_1]" in recorded(traces)


@pytest.mark.parametrize("stream", [False, True])
def test_a_typed_prompt_function_records_the_placeholder(stream):
    @llmops.llm("openai/gpt-4.1-mini", returns=Contact, guards=GUARDS, stream=stream)
    def contact(mail: str) -> str:
        return f"Who is {mail}?"

    with use_provider(ScriptedProvider([MASKED])), capture_traces() as traces:
        made = contact(MAIL)
        if stream:
            list(made)
            made = made.response.parsed
    assert made == Contact(mail=MAIL)
    assert MAIL not in recorded(traces)
    assert [span.output for span in traces.spans if span.kind == "chain"] == [MASKED]


@pytest.mark.parametrize("way", ["chat", "achat"])
def test_a_value_that_does_not_fit_is_asked_for_again_without_the_value(way, ask, caplog):
    caplog.set_level(logging.DEBUG)
    answers = [MASKED, '{"mail": "a@b.org", "count": "none"}', '{"mail": "a@b.org"}']
    with use_provider(ScriptedProvider(answers)) as model, capture_traces() as traces:
        answer = ask(way, f"Who is {LONG}?", guards=GUARDS, response_model=Short)
    assert answer.parsed == Short(mail="a@b.org")
    first, second = (request.messages[-1]["content"] for request in model.requests[1:])
    assert "mail: not valid with the value that stands behind a placeholder" in first
    assert "count: Input should be a valid integer" in second
    for shown in (repr(model.requests), recorded(traces), caplog.text):
        assert LONG not in shown


@pytest.mark.parametrize("way", WAYS)
def test_the_error_has_no_value_either(way, ask):
    with use_provider(ScriptedProvider([MASKED], repeat=True)), capture_traces() as traces:
        with pytest.raises(llmops.ValidationFailedError) as caught:
            ask(way, f"Who is {LONG}?", guards=GUARDS, response_model=Short)
        assert LONG not in recorded(traces)
    assert LONG not in f"{caught.value} {caught.value.errors} {caught.value.response!r}"


def test_a_key_of_a_table_may_be_a_value_and_is_not_told(ask):
    provider = ScriptedProvider(['{"people": {"[EMAIL_1]": "many"}}'], repeat=True)
    with use_provider(provider) as model, pytest.raises(llmops.ValidationFailedError) as caught:
        ask("chat", f"Who is {MAIL}?", guards=GUARDS, response_model=Named)
    assert MAIL not in f"{caught.value} {model.requests!r}"


@pytest.mark.parametrize("way", ["chat", "achat"])
def test_a_cached_answer_that_does_not_fit_the_next_value_is_not_served(way, ask):
    with use_provider(ScriptedProvider([MASKED, '{"mail": "a@b.org"}'])) as model:
        first = ask(way, f"Who is {MAIL}?", guards=GUARDS, response_model=Short, cache=True)
        second = ask(way, f"Who is {LONG}?", guards=GUARDS, response_model=Short, cache=True)
        third = ask(way, f"Who is {MAIL}?", guards=GUARDS, response_model=Short, cache=True)
    assert (first.parsed, first.cache) == (Short(mail=MAIL), None)
    assert (second.parsed, second.cache) == (Short(mail="a@b.org"), None)
    assert (third.parsed, third.cache) == (Short(mail=MAIL), "exact")
    assert len(model.requests) == 2


@pytest.mark.parametrize("way", WAYS)
def test_values_with_quotes_are_escaped_also_in_a_code_block(way, ask):
    class Note(BaseModel):
        text: str

    masks = Masks()
    masks.mask('a "quoted"\nvalue', [Finding("NAME", 2, 16)])
    with mask_scope(masks), use_provider(ScriptedProvider(['```json\n{"text": "[NAME_1]"}\n```'])):
        answer = ask(way, "Hi", guards=GUARDS, response_model=Note)
    assert answer.parsed == Note(text='"quoted"\nvalue')
