"""The actions fix, reask and fallback in calls of every kind, and guards that read whole texts."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

import llmops_sdk as llmops
from llmops_sdk.guardrails import DetectorGuard, Verdict, check, configure, resolve
from llmops_sdk.guardrails.detectors import GroundedDetector, LengthDetector, TopicsDetector
from llmops_sdk.testing import ScriptedProvider, capture_traces, use_provider

WAYS = ("chat", "achat", "stream", "astream")
MODEL = "openai/gpt-4.1-mini"


def topics(action: Any = "block", **options: Any) -> Any:
    guard = DetectorGuard(TopicsDetector(deny=["lottery"]), action)
    return configure(guard, **options) if options else guard


@pytest.mark.parametrize("way", WAYS)
def test_reask_asks_again_with_the_reason_and_sums_what_it_took(way, ask):
    with use_provider(ScriptedProvider(["Play the lottery.", "Save money."])) as model, capture_traces() as traces:
        answer = ask(way, guards={"output": [topics("reask")]})
    assert answer.text == "Save money."
    first, second = model.requests
    assert [one["role"] for one in second.messages] == ["user", "assistant", "user"]
    assert second.messages[1]["content"] == "Play the lottery."
    assert "refused" in second.messages[2]["content"]
    assert (second.first_attempt, second.reason) == (2, "reask")
    assert [one.reason for one in answer.attempts] == ["first", "reask"]
    assert answer.usage.output_tokens > 4
    (call,) = [span for span in traces.spans if span.kind == "llm"]
    verdicts = [event.attributes["action"] for event in call.events if event.name == "llmops.guard.verdict"]
    assert verdicts == ["reask", "pass"]
    assert call.attributes["gen_ai.usage.output_tokens"] == answer.usage.output_tokens
    assert first.messages == second.messages[:1]


@pytest.mark.parametrize("way", WAYS)
def test_reask_is_bounded_and_then_blocks(way, ask):
    with (
        use_provider(ScriptedProvider(["lottery"], repeat=True)) as model,
        pytest.raises(llmops.GuardrailViolation) as caught,
    ):
        ask(way, guards={"output": [topics("reask")]})
    assert len(model.requests) == 2
    assert (caught.value.guard, caught.value.rail, caught.value.action) == ("topics", "output", "reask")


def test_the_number_of_reasks_is_set_in_the_configuration(ask):
    llmops.configure(model=MODEL, guardrails={"reasks": 3})
    with use_provider(ScriptedProvider(["lottery", "lottery", "lottery", "fine"])):
        assert ask("chat", guards={"output": [topics("reask")]}).text == "fine"
    llmops.configure(model=MODEL, guardrails={"reasks": 0})
    with use_provider(ScriptedProvider(["lottery", "fine"])), pytest.raises(llmops.GuardrailViolation):
        ask("chat", guards={"output": [topics("reask")]})


def test_reask_does_not_pass_the_total_time(ask):
    answers = ScriptedProvider(["lottery", "fine"])
    with use_provider(answers):
        ask("chat", guards={"output": [topics("reask")]}, timeout=30)
    first, second = (request.timeout for request in answers.requests)
    assert first is not None
    assert second is not None
    assert second.total < first.total == 30


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rail", ["input", "output"])
def test_fallback_gives_a_fixed_answer(way, rail, ask):
    guard = topics("fallback", fallback_answer="I cannot help with that.")
    with use_provider(ScriptedProvider(["Play the lottery."], repeat=True)) as model:
        answer = ask(way, "the lottery?" if rail == "input" else "Hi", guards={rail: [guard]})
    assert (answer.text, answer.finish_reason) == ("I cannot help with that.", "content_filter")
    assert len(model.requests) == (0 if rail == "input" else 1)
    # The refused answer was paid for.
    assert answer.usage.output_tokens == (0 if rail == "input" else 4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rail", ["input", "output"])
def test_fallback_asks_another_model(way, rail, ask):
    guard = topics("fallback", fallback_model="anthropic/claude-3-5-haiku-latest")
    others = ScriptedProvider(["From the other one."])
    with use_provider(ScriptedProvider(["Play the lottery."])), use_provider(others, model="anthropic/*"):
        answer = ask(way, "the lottery?" if rail == "input" else "Hi", guards={rail: [guard, "cards"]})
    assert answer.text == "From the other one."
    (asked,) = others.requests
    assert asked.model.startswith("anthropic/")
    assert [one.reason for one in answer.attempts][-1] == ("first" if rail == "input" else "fallback")


@pytest.mark.parametrize("way", WAYS)
def test_the_answer_of_a_fallback_passes_the_same_guards(way, ask):
    guard = topics("fallback", fallback_model="anthropic/claude-3-5-haiku-latest")
    both = use_provider(ScriptedProvider(["lottery"])), use_provider(ScriptedProvider(["lottery"]), model="anthropic/*")
    with both[0], both[1], pytest.raises(llmops.GuardrailViolation):
        ask(way, guards={"output": [guard]})


@pytest.mark.parametrize("way", WAYS)
def test_the_other_guards_still_check_a_prompt_for_the_fallback(way, card, ask):
    guard = topics("fallback", fallback_model="anthropic/claude-3-5-haiku-latest")
    others = ScriptedProvider(["ok"])
    with use_provider(ScriptedProvider([])), use_provider(others, model="anthropic/*"):
        ask(way, f"lottery with {card}", guards={"input": [guard, "cards"]})
    assert others.requests[0].messages[0]["content"] == "lottery with [CARD]"


class Advice(BaseModel):
    text: str
    risk: int = 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rail", ["input", "output"])
def test_a_fixed_answer_in_json_is_parsed(way, rail, ask):
    guard = topics("fallback", fallback_answer='{"text": "I cannot help with that.", "risk": 9}')
    with use_provider(ScriptedProvider(['{"text": "Play the lottery."}'])):
        answer = ask(way, "the lottery?" if rail == "input" else "Hi", guards={rail: [guard]}, response_model=Advice)
    assert (answer.parsed, answer.finish_reason) == (Advice(text="I cannot help with that.", risk=9), "content_filter")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rail", ["input", "output"])
@pytest.mark.parametrize("text", ["I cannot help with that.", '{"text": 5}'])
def test_a_fixed_answer_that_does_not_fit_the_type_is_an_error_with_the_answer(way, rail, text, ask):
    guard = topics("fallback", fallback_answer=text)
    model = ScriptedProvider(['{"text": "Play the lottery."}'], repeat=True)
    with use_provider(model), capture_traces() as traces, pytest.raises(llmops.ValidationFailedError) as caught:
        ask(way, "the lottery?" if rail == "input" else "Hi", guards={rail: [guard]}, response_model=Advice)
    assert "`fallback_answer` of a guard" in str(caught.value)
    assert caught.value.response.text == text
    assert len(model.requests) == (0 if rail == "input" else 1)
    verdicts = [one for span in traces.spans for one in span.events if one.name == "llmops.guard.verdict"]
    assert len(verdicts) == 1  # it is not asked again


def test_a_typed_prompt_function_never_returns_none_for_a_fixed_answer():
    guard = topics("fallback", fallback_answer="No.")

    @llmops.llm(MODEL, returns=Advice, guards={"input": [guard]})
    def advise() -> str:
        return "the lottery?"

    with pytest.raises(llmops.ValidationFailedError):
        advise()


@pytest.mark.parametrize("way", ["chat", "achat"])
@pytest.mark.parametrize("rail", ["input", "output"])
def test_the_model_of_a_fallback_is_asked_again_until_its_answer_fits(way, rail, ask):
    guard = topics("fallback", fallback_model="anthropic/claude-3-5-haiku-latest")
    others = ScriptedProvider(["not JSON", '{"text": "Save money."}'])
    model = ScriptedProvider(['{"text": "Play the lottery."}'], repeat=True)
    with use_provider(model), use_provider(others, model="anthropic/*"):
        answer = ask(way, "the lottery?" if rail == "input" else "Hi", guards={rail: [guard]}, response_model=Advice)
    assert answer.parsed == Advice(text="Save money.")
    assert len(others.requests) == 2


def test_a_fixed_answer_is_not_cached(ask):
    llmops.configure(model=MODEL, cache={"exact": True})
    guards = {"output": [topics("fallback", fallback_answer="No.")]}
    with use_provider(ScriptedProvider(["lottery", "fine"])):
        assert ask("chat", guards=guards).text == "No."
        assert ask("chat", guards=guards).text == "fine"


@pytest.mark.parametrize("way", WAYS)
def test_fix_mends_an_answer(way, ask):
    pytest.importorskip("json_repair")
    with use_provider(ScriptedProvider(["Here it is: {'total': 3,"])):
        assert ask(way, guards={"output": ["json:fix"]}).text == '{"total": 3}'


MENDABLE, HOPELESS = "Here it is: {'total': 3,", "I am sorry."


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("answers", "text", "asked"),
    [
        ([MENDABLE], '{"total": 3}', 1),
        ([HOPELESS, MENDABLE], '{"total": 3}', 2),
        ([HOPELESS, '{"total": 4}'], '{"total": 4}', 2),
        ([HOPELESS, HOPELESS], None, 2),
    ],
)
def test_what_fix_cannot_mend_is_asked_for_again(way, answers, text, asked, ask):
    pytest.importorskip("json_repair")
    with use_provider(ScriptedProvider(answers)) as model:
        if text is None:
            with pytest.raises(llmops.GuardrailViolation, match="not JSON"):
                ask(way, guards={"output": ["json:fix", "cards", "json:reask"]})
        else:
            assert ask(way, guards={"output": ["json:fix", "cards", "json:reask"]}).text == text
    assert len(model.requests) == asked


@pytest.mark.parametrize("way", WAYS)
def test_what_fix_cannot_mend_goes_to_the_fallback(way, ask):
    pytest.importorskip("json_repair")
    llmops.configure(guardrails={"options": {"json": {"fallback_answer": '{"total": 0}'}}})
    with use_provider(ScriptedProvider([HOPELESS, MENDABLE])):
        texts = [ask(way, guards={"output": ["json:fix", "json:fallback"]}).text for _ in range(2)]
    assert texts == ['{"total": 0}', '{"total": 3}']


def test_fix_alone_or_behind_the_other_still_blocks(ask):
    pytest.importorskip("json_repair")
    for names in (["json:fix"], ["json:fix", "json:flag"], ["json:fix", "topics:reask"]):
        llmops.configure(guardrails={"options": {"topics": {"deny": ["lottery"]}}})
        with use_provider(ScriptedProvider([HOPELESS], repeat=True)), pytest.raises(llmops.GuardrailViolation) as error:
            ask("chat", guards={"output": names})
        assert error.value.action == "block"
    versions = {resolve(names)[0].version for names in (["json:fix"], ["json:fix", "json:reask"])}
    assert len(versions) == 2


@pytest.mark.parametrize("way", WAYS)
def test_guards_that_read_whole_texts_see_json_as_one_text(way, ask):
    text = '{"answer": "one", "more": "two"}'
    seen: list[str] = []

    class Whole:
        name, version, whole_text = "whole", "1", True

        def check(self, text, context):
            seen.append(text)
            return Verdict("pass")

    with use_provider(ScriptedProvider([text])):
        ask(way, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}], guards=[Whole()])
    assert seen == [text, text]  # the user's message and the answer


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_answer_is_checked_too(way, ask):
    pytest.importorskip("json_repair")
    with use_provider(ScriptedProvider([""])), pytest.raises(llmops.GuardrailViolation, match="not JSON"):
        ask(way, guards={"output": ["json:block"]})


@pytest.mark.parametrize("way", WAYS)
def test_whole_tool_arguments_are_checked_on_their_rail(way, ask):
    call = llmops.ToolCall(id="1", name="f", arguments='{"a": "x' + "y" * 50 + '"}')
    guard = DetectorGuard(LengthDetector(max_chars=20), "block")
    with use_provider(ScriptedProvider([llmops.Response(tool_calls=(call,))], repeat=True)):
        assert ask(way, guards={"output": [guard]}).tool_calls == (call,)
        with pytest.raises(llmops.GuardrailViolation) as caught:
            ask(way, guards={"tool_arguments": [guard]})
    assert caught.value.rail == "tool_arguments"


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_is_grounded_in_the_prompt(way, ask):
    guard = DetectorGuard(GroundedDetector(), "redact")
    prompt = "Ada Lovelace wrote her notes in 1843. When?"
    with use_provider(ScriptedProvider(["Lovelace wrote notes in 1843. She moved to Paris in 1850."])):
        assert ask(way, prompt, guards={"output": [guard]}).text == "Lovelace wrote notes in 1843. [UNGROUNDED]"


@pytest.mark.parametrize(
    ("rails", "message"),
    [
        ({"output": ["cards:mask"]}, "does not work on the rail output, only on input, documents, tool_results"),
        ({"input": ["cards:reask"]}, "does not work on the rail input, only on output, tool_arguments"),
        ({"output": ["cards:fallback"]}, "has nothing to fall back to: set fallback_answer or fallback_model"),
        ({"output": ["cards:redcat"]}, "did you mean 'cards:redact'"),
    ],
)
def test_an_action_that_a_rail_cannot_take_is_an_error(rails, message):
    with pytest.raises(llmops.ConfigError, match=message):
        llmops.chat("Hi", model="offline/echo", guards=rails)


@pytest.mark.parametrize("action", ["reask", "fallback"])
def test_a_decorator_has_no_model_to_ask_again(action):
    with pytest.raises(llmops.ConfigError, match="works in calls to models only"):
        llmops.guard(output=[f"cards:{action}"])


def test_a_pack_stands_for_several_guards():
    pytest.importorskip("re2")
    done = check("Write to ada@example.org", ["private"])
    assert [one.guard for one in done.verdicts] == ["pii", "secrets"]
    assert done.text == "Write to [EMAIL]"


def test_guards_on_tool_definitions_see_descriptions(custom, ask):
    guard = custom(lambda text: Verdict("redact", "[X]") if "evil" in text else Verdict("pass"))
    tool = {
        "type": "function",
        "function": {"name": "f", "description": "evil words", "parameters": {"type": "object"}},
    }
    with use_provider(ScriptedProvider(["ok"])) as scripted:
        ask("chat", tools=[tool], guards={"tool_definitions": [guard]})
    assert "evil words" in guard.seen
    assert scripted.requests[0].tools[0]["function"]["description"] == "[X]"
