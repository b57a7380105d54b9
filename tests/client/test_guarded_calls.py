"""Guards and the cache around a call, and a planted card number that must not reach the store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmops_sdk as llmops


def card_number() -> str:
    """A number that passes Luhn's check, made here so that no such number stands in the source."""
    digits = [4] + [int(digit) for digit in "00056655665556"]
    total = sum(digit if at % 2 else digit * 2 - (9 if digit > 4 else 0) for at, digit in enumerate(digits))
    return "".join(map(str, digits)) + str(-total % 10)


def leaks(folder: Path, secret: str) -> list[str]:
    """The files below a folder that hold the secret, however its digits are grouped."""
    forms = [secret, " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))]
    return [
        f"{path}: {form}"
        for path in folder.rglob("*")
        if path.is_file()
        for form in forms
        if form.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("how", ["configured", "list", "mapping"])
async def test_a_planted_card_reaches_neither_the_model_nor_the_store(how, own_surroundings, rows):
    card = card_number()
    guards = {"configured": None, "list": ["cards"], "mapping": {"input": ["cards"]}}[how]
    if how == "configured":
        llmops.configure(guardrails={"input": ["cards"], "output": ["cards"]})

    @llmops.llm(guards=guards)
    def ask(text: str) -> str:
        return f"My card is {text}"

    @llmops.llm(guards=guards)
    async def aask(text: str) -> str:
        return f"My card is {text}"

    @llmops.llm(stream=True, guards=guards)
    def tell(text: str) -> str:
        return f"My card is {text}"

    @llmops.llm(stream=True, guards=guards)
    async def atell(text: str) -> str:
        return f"My card is {text}"

    spaced = " ".join(card[at : at + 4] for at in range(0, 16, 4))
    answers = [
        llmops.chat(f"My card is {card}", guards=guards, cache=True).text,
        llmops.chat(f"My card is {card}", guards=guards, cache=True).text,
        llmops.chat(f"My card is {spaced}", system=f"Card {card}", guards=guards).text,
        (await llmops.achat([{"role": "user", "content": [{"type": "text", "text": card}]}], guards=guards)).text,
        "".join(chunk.text for chunk in llmops.stream(f"My card is {card}", guards=guards)),
        ask(card),
        await aask(card),
        "".join(chunk.text for chunk in tell(card)),
        "".join([chunk.text async for chunk in atell(card)]),
    ]
    assert not [answer for answer in answers if card in answer or spaced in answer]
    found = rows("SELECT input FROM spans WHERE kind = 'chain'")
    assert len(found) == 4
    assert all("My card is" in row["input"] for row in found)
    assert rows("SELECT count(*) AS n FROM guard_verdicts WHERE action = 'redact'")[0]["n"] >= len(answers)
    assert leaks(own_surroundings, card) == []


def test_a_blocked_prompt_raises_and_is_not_recorded(own_surroundings, rows):
    card = card_number()

    @llmops.llm(guards=["cards:block"])
    def ask(text: str) -> str:
        return f"My card is {text}"

    with pytest.raises(llmops.GuardrailViolation) as caught:
        ask(card)
    assert (caught.value.rail, card in str(caught.value)) == ("input", False)
    found = rows("SELECT kind, status, error_type FROM spans ORDER BY kind")
    assert found == [
        {"kind": "chain", "status": "error", "error_type": "GuardrailViolation"},
        {"kind": "llm", "status": "error", "error_type": "GuardrailViolation"},
    ]
    assert leaks(own_surroundings, card) == []


@pytest.mark.parametrize(("rail", "attempts"), [("input", 0), ("output", 1)])
def test_only_a_call_that_was_sent_has_attempts(rail, attempts, rows):
    text = f"My card is {card_number()}"
    with pytest.raises(llmops.GuardrailViolation):
        llmops.chat(text, guards={rail: ["cards:block"]})
    with pytest.raises(llmops.GuardrailViolation):
        list(llmops.stream(text, guards={rail: ["cards:block"]}))
    found = rows("SELECT error_type, attempts, (SELECT count(*) FROM attempts) AS made FROM llm_calls")
    assert found == [{"error_type": "GuardrailViolation", "attempts": attempts, "made": 2 * attempts}] * 2


def test_texts_to_embed_that_are_blocked_have_no_attempts(rows):
    llmops.configure(guardrails={"input": ["cards:block"]})
    with pytest.raises(llmops.GuardrailViolation):
        llmops.embed([card_number()], model="offline/echo")
    assert rows("SELECT kind, attempts FROM llm_calls") == [{"kind": "embedding", "attempts": 0}]


def test_an_answer_is_guarded_before_it_is_recorded(own_surroundings, rows):
    card = card_number()
    llmops.configure(model="offline/script", options={"answers": [f"Your card is {card}"]})
    guards = {"output": ["cards"]}
    answer = llmops.chat("Which card?", guards=guards)
    streamed = llmops.stream("Which card?", guards=guards)
    text = "".join(chunk.text for chunk in streamed)
    assert card not in answer.text + text + streamed.response.text
    assert answer.text.startswith("Your card is ")
    assert json.loads(rows("SELECT output_messages FROM llm_calls")[0]["output_messages"])
    assert leaks(own_surroundings, card) == []


def test_a_guard_above_trace_keeps_cards_out_of_the_store(own_surroundings, rows):
    card = card_number()

    @llmops.guard(input=["cards"], output=["cards"])
    @llmops.trace
    def support(question: str, *, more: dict[str, list[str]]) -> str:
        return question

    assert support(f"Lost {card}", more={"cards": [card]}) == "Lost [CARD]"
    (kept,) = rows("SELECT input, output FROM spans WHERE kind <> 'guardrail'")
    assert json.loads(kept["input"]) == {"question": "Lost [CARD]", "more": {"cards": ["[CARD]"]}}
    assert leaks(own_surroundings, card) == []


def test_an_empty_list_turns_guards_off_for_one_call(rows):
    llmops.configure(guardrails={"input": ["cards:block"]})
    with pytest.raises(llmops.GuardrailViolation):
        llmops.chat(f"My card is {card_number()}")
    assert llmops.chat(f"My card is {card_number()}", guards=[]).text.startswith("My card is")


def test_the_cache_serves_the_same_call(rows):
    llmops.configure(cache={"exact": True}, prices={"offline/echo": {"input": 1.0, "output": 1.0}})
    first, second = llmops.chat("Say hello"), llmops.chat("Say hello")
    assert (first.cache, second.cache) == (None, "exact")
    assert (second.text, second.cost, second.attempts) == ("Say hello", 0.0, ())
    assert second.saved_cost == first.cost
    assert second.span_id != first.span_id
    assert rows("SELECT cache, cost, attempts FROM llm_calls ORDER BY start_ns") == [
        {"cache": None, "cost": first.cost, "attempts": 1},
        {"cache": "exact", "cost": 0.0, "attempts": 0},
    ]
    assert [row["hit"] for row in rows("SELECT hit FROM cache_lookups ORDER BY ALL")] == [False, True]
    assert llmops.chat("Say hello", cache=False).cache is None
    stream = llmops.stream("Say hello")
    assert "".join(chunk.text for chunk in stream) == "Say hello"
    assert stream.response.cache == "exact"


async def test_the_cache_is_off_until_asked_for():
    assert [llmops.chat("Say hello").cache for _ in range(2)] == [None, None]
    assert [(await llmops.achat("Say hello", cache={"ttl": 60})).cache for _ in range(2)] == [None, "exact"]


def test_other_guards_make_another_cache_key():
    card = card_number()
    plain = llmops.chat(f"My card is {card}", cache=True)
    guarded = llmops.chat(f"My card is {card}", cache=True, guards=["cards"])
    assert (plain.cache, guarded.cache) == (None, None)
    assert card not in guarded.text


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_partial_answer_of_a_broken_stream_is_guarded(asynchronous, own_surroundings, rows):
    card = card_number()
    llmops.configure(model="offline/echo", options={"failures": {"sequence": ["interrupted"]}}, retry={"attempts": 1})
    options = {"guards": {"output": ["cards"]}}
    prompt = f"{card} is the number of the card that I have used for years, in this town and in many others"
    seen: list[str] = []
    with pytest.raises(llmops.StreamInterruptedError) as broken:  # noqa: PT012 - a stream raises where it breaks
        if asynchronous:
            chunks = llmops.astream(prompt, **options)
            async for chunk in chunks:
                seen.append(chunk.text)  # noqa: PERF401 - a comprehension would lose what came before the error
        else:
            chunks = llmops.stream(prompt, **options)
            seen.extend(chunk.text for chunk in chunks)
    assert card[:6] not in "".join(seen)
    assert chunks.response.text.startswith("[CARD] is the number of")
    assert broken.value.partial == chunks.response
    (kept,) = rows("SELECT output_messages AS said FROM llm_calls")
    assert "[CARD] is the number of" in kept["said"]
    assert card not in kept["said"]
