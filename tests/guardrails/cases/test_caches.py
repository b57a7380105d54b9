"""Case 10: nobody gets the refused or replaced answers of others, each policy has its own, questions are bounded."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from guarded_values import VALUES
from pydantic import BaseModel

import llmops_sdk as llmops
from llmops_sdk import guardrails
from llmops_sdk.guardrails import Verdict
from llmops_sdk.testing import ScriptedProvider, use_provider

pytest.importorskip("re2")
CARD = VALUES["card"].text
ANSWER = f"Your card is {CARD}."
WAYS = ("chat", "achat", "stream", "astream")


@pytest.fixture(autouse=True)
def cached() -> None:
    llmops.configure(model="openai/gpt-4.1-mini", cache={"exact": True})


def stored_bytes(folder: str = ".llmops") -> bytes:
    """Return the bytes of all files: the traces and, in the folder `cache`, the cache."""
    return b"".join(file.read_bytes() for file in Path(folder).rglob("*") if file.is_file())


@pytest.mark.parametrize("way", WAYS)
def test_a_blocked_answer_is_not_cached(way, ask):
    """Case 10: the next caller, of whatever policy, gets a new answer."""
    with use_provider(ScriptedProvider([ANSWER, "A clean one.", "Another one."])) as model:
        with pytest.raises(llmops.GuardrailViolation):
            ask(way, "Q", guards={"output": ["cards:block"]})
        again = ask(way, "Q", guards={"output": ["cards:block"]})
        assert (again.text, again.cache) == ("A clean one.", None)
        other = ask(way, "Q", guards=[])
        assert (other.text, other.cache) == ("Another one.", None)
    assert len(model.requests) == 3
    assert CARD[4:10].encode() not in stored_bytes()


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_an_unguarded_answer_is_not_served_to_a_guarded_call(first, second, ask):
    """Case 10: the policy is in the key, in both directions; the same policy is served."""
    with use_provider(ScriptedProvider([ANSWER, ANSWER])) as model:
        assert ask(first, "Q", guards=[]).text == ANSWER
        guarded = ask(second, "Q", guards={"output": ["cards"]})
        assert (guarded.text, guarded.cache) == ("Your card is [CARD].", None)
        assert ask(first, "Q", guards=[]).text == ANSWER
        served = ask(first, "Q", guards={"output": ["cards"]})
        assert (served.text, served.cache) == ("Your card is [CARD].", "exact")
    assert len(model.requests) == 2


class Versioned:
    """Replaces nothing; only its version and options differ."""

    name = "versioned"

    def __init__(self, version: str) -> None:
        self.version = version

    def check(self, text: str, context: Any) -> Verdict:
        return Verdict("pass")


POLICIES: dict[str, Any] = {
    "none": {},
    "version": {"output": [Versioned("1")]},
    "other version": {"output": [Versioned("2")]},
    "on error": {"output": [guardrails.configure(Versioned("1"), on_error="open")]},
    "action": {"output": ["cards"]},
    "other action": {"output": ["cards:keep_last4"]},
    "flag": {"output": ["cards:flag"]},
    "order": {"output": ["cards", "pii"]},
    "other order": {"output": ["pii", "cards"]},
    "rail": {"tool_arguments": ["cards"]},
    "input": {"input": ["cards"]},
    "both": {"input": ["cards"], "output": ["cards"]},
    "tool results": {"tool_results": ["cards"]},
}


def test_each_policy_has_its_own_answer(ask):
    """Case 10: version, action, order, rail and what a failure does are in the key."""
    with use_provider(ScriptedProvider([f"answer {number}" for number in range(len(POLICIES))])):
        made = {name: ask("chat", "Q", guards=policy).text for name, policy in POLICIES.items()}
        served = {name: ask("chat", "Q", guards=policy) for name, policy in POLICIES.items()}
    assert len(set(made.values())) == len(POLICIES)
    assert {name: answer.text for name, answer in served.items()} == made
    assert {answer.cache for answer in served.values()} == {"exact"}


def test_options_of_the_configuration_are_in_the_key(ask):
    """Case 10: another list of topics is another policy."""
    with use_provider(ScriptedProvider(["one", "two"])):
        for number, deny in enumerate((["lottery"], ["lottery", "stocks"])):
            llmops.configure(
                model="openai/gpt-4.1-mini", cache={"exact": True}, guardrails={"options": {"topics": {"deny": deny}}}
            )
            answer = ask("chat", "Q", guards={"output": ["topics"]})
            assert (answer.text, answer.cache) == (("one", "two")[number], None)


def test_tenants_do_not_share_a_redacted_answer(ask):
    """Case 10: namespaces part tenants, also for prompts that are equal only once their values are replaced."""
    prompts = {"ada": f"Mine is {CARD}", "bob": f"Mine is {CARD}"}
    with use_provider(ScriptedProvider(["for ada", "for bob"])):
        for tenant, prompt in prompts.items():
            answer = ask("chat", prompt, guards={"input": ["cards"]}, cache={"exact": True, "namespace": tenant})
            assert (answer.text, answer.cache) == (f"for {tenant}", None)
    assert CARD[4:10].encode() not in stored_bytes()


@pytest.mark.parametrize("way", WAYS)
def test_masked_prompts_of_two_tenants_share_the_placeholder_and_not_the_value(way, ask):
    """Case 10: the second tenant gets the cached answer with the own value; the cache has neither."""
    with use_provider(ScriptedProvider(["I wrote to [EMAIL_1]."])):
        for number, name in enumerate(("ada", "bob")):
            answer = ask(way, f"Write to {name}@example.org", guards={"input": ["pii:mask"]})
            assert (answer.text, answer.cache) == (f"I wrote to {name}@example.org.", (None, "exact")[number])
    assert b"@example.org" not in stored_bytes()


@pytest.mark.parametrize("way", WAYS)
def test_two_values_in_another_order_are_not_mixed_up_by_the_cache(way, ask):
    """Case 10: the placeholders count the values of each conversation, so equal prompts have equal meanings."""
    with use_provider(ScriptedProvider(["[EMAIL_1] pays [EMAIL_2]."])):
        answers = [
            ask(way, f"{one}@example.org lent money to {two}@example.org", guards={"input": ["pii:mask"]}).text
            for one, two in (("ada", "bob"), ("bob", "ada"))
        ]
    assert answers == ["ada@example.org pays bob@example.org.", "bob@example.org pays ada@example.org."]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("action", ["reask", "fallback"])
def test_answers_of_a_fallback_and_refused_rounds_are_not_cached(action, way, ask):
    """Case 10: only the answer that passed is stored, and under its own policy."""
    llmops.configure(
        model="openai/gpt-4.1-mini",
        cache={"exact": True},
        guardrails={"options": {"cards": {"fallback_answer": "I cannot help."}}},
    )
    guards = {"output": [f"cards:{action}"]}
    with use_provider(ScriptedProvider([ANSWER, "clean", "third"])) as model:
        first, second = (ask(way, "Q", guards=guards) for _ in range(2))
    if action == "reask":
        assert [first.text, second.text, second.cache] == ["clean", "clean", "exact"]
    else:
        assert [first.text, second.text, second.cache] == ["I cannot help.", "clean", None]
    assert len(model.requests) == 2
    assert CARD[4:10].encode() not in stored_bytes()


def test_a_cached_function_has_its_policy_in_the_key():
    """Case 10: who adds a guard below `@llmops.cache` does not get the results from before it."""

    def made(*guards: Any, then: Any = None) -> Any:
        def ask(question: str) -> str:
            return f"{question}: {CARD}"

        for one in guards:
            ask = llmops.guard(output=[one])(ask)
        return llmops.cache(namespace="n")(functools.partial(ask) if then == "partial" else llmops.trace(ask))

    assert made()("Q") == f"Q: {CARD}"
    assert made("cards")("Q") == "Q: [CARD]"
    assert made("cards:keep_last4")("Q") == f"Q: [CARD {CARD[-4:]}]"
    assert made("cards:flag", "cards")("Q") == "Q: [CARD]"
    assert made("cards:flag", "cards:keep_last4")("Q") == f"Q: [CARD {CARD[-4:]}]"
    with pytest.raises(llmops.GuardrailViolation):
        made("cards:block")("Q")
    assert made("cards", then="partial")("Q") == "Q: [CARD]"
    deny = {"deny": ["Q"]}
    for options, expected in ((deny, "[TOPIC]"), ({"deny": ["lottery"]}, "Q")):
        llmops.configure(guardrails={"options": {"topics": options}})
        assert made("cards", "topics:redact")("Q") == f"{expected}: [CARD]"


class Failing:
    """Redacts cards, unless it is told to fail."""

    name, version = "failing", "1"

    def __init__(self) -> None:
        self.fails = True

    def check(self, text: str, context: Any) -> Verdict:
        if self.fails:
            raise ConnectionError("not there")
        return Verdict("redact", text.replace(CARD, "[CARD]"))


@pytest.mark.parametrize("way", WAYS)
def test_what_passed_a_failed_guard_is_not_cached(way, ask):
    """Case 10, case 4: when the guard works again, it checks a new answer."""
    guard = Failing()
    guards = {"output": [guardrails.configure(guard, on_error="open")]}
    with use_provider(ScriptedProvider([ANSWER, ANSWER])):
        first = ask(way, "Q", guards=guards)
        guard.fails = False
        second, third = (ask(way, "Q", guards=guards) for _ in range(2))
    assert (first.text, first.unchecked) == (ANSWER, True)
    assert (second.text, second.unchecked, second.cache) == ("Your card is [CARD].", False, None)
    assert (third.text, third.unchecked, third.cache) == ("Your card is [CARD].", False, "exact")
    assert CARD[4:10].encode() not in stored_bytes(".llmops/cache")  # the trace has the first answer, as the caller has


@pytest.mark.parametrize("way", WAYS)
def test_an_unchecked_prompt_goes_around_the_cache(way, ask):
    """Case 10, case 4: what the guard would have replaced is not on the disk, and an old answer is not served."""
    guard = Failing()
    guards = {"input": [guardrails.configure(guard, on_error="open")]}
    with use_provider(ScriptedProvider([ANSWER, "second", "third"])):
        answers = [ask(way, f"Mine is {CARD}", guards=guards) for _ in range(2)]
        assert CARD[4:10].encode() not in stored_bytes(".llmops/cache")
        guard.fails = False
        answers += [ask(way, f"Mine is {CARD}", guards=guards) for _ in range(2)]
    assert [one.text for one in answers] == [ANSWER, "second", "third", "third"]
    assert [one.cache for one in answers] == [None, None, None, "exact"]


@pytest.mark.parametrize("place", ["result", "argument", "call", "thread", "task"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_cached_function_does_not_keep_what_passed_a_failed_guard(is_async, place):
    """Case 10, case 4: also where the guard is far below `@llmops.cache`, in another thread, or in a nested cache."""
    guard = Failing()

    def checked(question: str) -> str:
        given = {"output": [guard]} if place != "argument" else {"input": [guard]}
        if place == "call":
            return llmops.chat(question, guards={"output": [guardrails.configure(guard, on_error="open")]}).text
        ask = llmops.guard(on_error="open", **given)(lambda text: text if place == "argument" else f"{text}: {CARD}")
        if place == "thread":
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(contextvars.copy_context().run, ask, question).result()
        return ask(question)

    @llmops.cache(namespace=f"inner {place}")
    def inner(question: str) -> str:
        return checked(question)

    @llmops.cache(namespace=f"outer {place}")
    def outer(question: str) -> str:
        return inner(question)

    @llmops.cache(namespace=f"async {place}")
    async def aouter(question: str) -> str:
        return await asyncio.create_task(asyncio.to_thread(inner, question)) if place == "task" else inner(question)

    question = f"Mine is {CARD}" if place == "argument" else "Q"
    with use_provider(ScriptedProvider([f"Q: {CARD}"] * 2)):
        first, second, third = [
            asyncio.run(aouter(question)) if is_async else outer(question) for guard.fails in (True, False, True)
        ]
    assert CARD in first
    assert second == third == first.replace(CARD, "[CARD]")
    assert CARD[4:10].encode() not in stored_bytes(".llmops/cache")


class Bill(BaseModel):
    total: int


@pytest.mark.parametrize("way", ["chat", "achat"])
@pytest.mark.parametrize("reasks", [0, 1, 3])
def test_questions_are_bounded_also_with_types_retries_and_fallbacks(reasks, way, ask):
    """Case 10: a model that never gives a good answer is asked a bounded number of times."""
    llmops.configure(model="openai/gpt-4.1-mini", guardrails={"reasks": reasks})
    with use_provider(ScriptedProvider([ANSWER], repeat=True)) as model:
        with pytest.raises(llmops.GuardrailViolation):
            ask(way, "Q", guards={"output": ["cards:reask"]})
        assert len(model.requests) == 1 + reasks
    refused = "not JSON"
    with use_provider(ScriptedProvider([refused], repeat=True)) as model:
        with pytest.raises((llmops.GuardrailViolation, llmops.ValidationFailedError)):
            ask(way, "Q", guards={"output": ["json:reask", "cards:reask"]}, response_model=Bill)
        assert len(model.requests) <= (1 + reasks) * 3
    alternating = ScriptedProvider([ANSWER, '{"total": "no"}'] * 20)
    with use_provider(alternating) as model:
        with pytest.raises((llmops.GuardrailViolation, llmops.ValidationFailedError)):
            ask(way, "Q", guards={"output": ["cards:reask"]}, response_model=Bill)
        assert len(model.requests) <= (1 + reasks) * 3


def test_a_reask_does_not_send_the_value_in_its_complaint(ask):
    """Case 10, case 7: the complaint says why in fixed words; the refused answer goes back to its model only."""
    with use_provider(ScriptedProvider([ANSWER, "clean"])) as model:
        assert ask("chat", "Q", guards={"output": ["cards:reask"]}).text == "clean"
    assert CARD not in model.requests[1].messages[-1]["content"]
