"""The guard stages around a model: input, output, and recorded verdicts."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import traceback

import pytest
from four_ways import WAYS, answer_of

from llmops_sdk.errors import ConfigError, GuardrailViolation, StreamInterruptedError
from llmops_sdk.guardrails import (
    CardGuard,
    InputGuardProvider,
    OutputGuardProvider,
    Verdict,
    policy_version,
    resolve,
)
from llmops_sdk.providers import Attempt, Embeddings, Provider, Request, Response, ToolCall, Usage

ASKED = Request(model="script/one", messages=[{"role": "user", "content": "Hi"}])


def asking(text):
    return Request(model="script/one", messages=[{"role": "user", "content": text}])


@pytest.fixture(params=WAYS)
def ask(request):
    """Each of the four ways, as a function that gives a response."""
    return lambda provider, asked=ASKED: answer_of(provider, asked, request.param)


@pytest.mark.parametrize("kind", [InputGuardProvider, OutputGuardProvider])
def test_guard_stages_are_providers_with_matching_twins(kind, model):
    assert isinstance(kind(model(), ()), Provider)
    for name in ("complete", "stream", "embed"):
        sync, twin = inspect.signature(getattr(kind, name)), inspect.signature(getattr(kind, "a" + name))
        assert sync.parameters == twin.parameters


def test_every_text_of_a_conversation_is_checked(ask, model, card, verdicts):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    arguments = json.dumps({"card": card, "number": int(card), "nested": {"list": [card]}})
    call = {"id": "1", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    messages = [
        {"role": "system", "content": f"S {card}"},
        {"role": "user", "content": [{"type": "text", "text": f"U {card}"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": json.dumps({"paid": int(card)})},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": card}]},
    ]
    before = copy.deepcopy(messages)
    inner = model()
    ask(InputGuardProvider(inner, resolve(["cards"])), Request(model="m", messages=messages))
    sent = inner.requests[0].messages
    assert card not in json.dumps(sent)
    assert json.loads(sent[2]["tool_calls"][0]["function"]["arguments"]) == {
        "card": "[CARD]",
        "number": "[CARD]",
        "nested": {"list": ["[CARD]"]},
    }
    assert json.loads(sent[3]["content"]) == {"paid": "[CARD]"}
    assert sent[1]["content"][1] == image
    assert messages == before
    assert verdicts() == [{"guard": "cards", "rail": "input", "action": "redact", "reason": "1 card number"}]


def test_a_clean_conversation_passes_unchanged(ask, model, verdicts):
    inner = model()
    ask(InputGuardProvider(inner, resolve(["cards"])))
    assert inner.requests[0].messages is ASKED.messages
    assert inner.requests[0].policy_version == policy_version(resolve(["cards"]), rail="input")
    assert verdicts() == [{"guard": "cards", "rail": "input", "action": "pass"}]


def test_a_blocked_input_asks_nobody(ask, model, card, verdicts):
    inner = model()
    with pytest.raises(GuardrailViolation) as caught:
        ask(InputGuardProvider(inner, resolve(["cards:block"])), asking(f"pay {card}"))
    assert inner.requests == []
    assert (caught.value.guard, caught.value.rail, caught.value.reason) == ("cards", "input", "1 card number")
    assert card not in str(caught.value)
    assert verdicts() == [{"guard": "cards", "rail": "input", "action": "block", "reason": "1 card number"}]


def test_guards_are_chained_in_their_order(model, card, custom):
    shout = custom(lambda text: Verdict("redact", text.upper(), "shouted"), "shout")
    inner = model()
    InputGuardProvider(inner, [CardGuard(), shout]).complete(asking(f"pay {card} please"))
    assert shout.seen == ["pay [CARD] please"]
    assert inner.requests[0].messages[0]["content"] == "PAY [CARD] PLEASE"


@pytest.mark.parametrize("rail", ["input", "output"])
def test_a_guard_that_fails_blocks_when_closed(ask, model, custom, verdicts, rail):
    broken = custom(lambda text: {}["secret " + text])
    kind = InputGuardProvider if rail == "input" else OutputGuardProvider
    with pytest.raises(GuardrailViolation) as caught:
        ask(kind(model(), [broken]))
    assert caught.value.reason == "guard failed: KeyError"
    assert f" in {__file__}:" in str(caught.value)
    # The guard's own error quotes the text: it is nowhere in what is printed, logged or kept on spans.
    assert "secret " not in "".join(traceback.format_exception(caught.value)).replace('"secret " + text', "")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert verdicts() == [{"guard": "custom", "rail": rail, "action": "block", "reason": "guard failed: KeyError"}]


@pytest.mark.parametrize("rail", ["input", "output"])
def test_a_guard_that_fails_passes_when_open(ask, model, custom, verdicts, rail):
    broken = custom(lambda text: {}["secret " + text])
    kind = InputGuardProvider if rail == "input" else OutputGuardProvider
    assert ask(kind(model(), [broken], "open")).text == "fine"
    assert verdicts() == [{"guard": "custom", "rail": rail, "action": "error", "reason": "guard failed: KeyError"}]


@pytest.mark.parametrize("result", [None, "text", True])
def test_a_guard_without_a_verdict_counts_as_failed(model, custom, result):
    with pytest.raises(GuardrailViolation) as caught:
        InputGuardProvider(model(), [custom(lambda _: result)]).complete(ASKED)
    assert caught.value.reason == "guard failed: TypeError"


def test_a_guard_may_raise_the_violation_itself_even_when_open(model, custom, verdicts):
    def check(_):
        raise GuardrailViolation("no", reason="because")

    with pytest.raises(GuardrailViolation) as caught:
        InputGuardProvider(model(), [custom(check)], "open").complete(ASKED)
    assert (caught.value.guard, caught.value.reason) == ("custom", "because")
    assert verdicts()[0]["action"] == "block"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_interrupt_is_not_a_guard_failure(model, custom, error):
    def check(_):
        raise error

    with pytest.raises(type(error)):
        InputGuardProvider(model(), [custom(check)], "open").complete(ASKED)


def test_an_async_check_is_used_where_there_is_one(model, custom, card):
    class Both(custom):
        async def acheck(self, text, context):
            await asyncio.sleep(0)
            return Verdict("redact", "async", "a")

    both, inner = Both(lambda _: Verdict("redact", "sync", "s")), model()
    provider = InputGuardProvider(inner, [both])
    provider.complete(ASKED)
    asyncio.run(provider.acomplete(ASKED))
    assert [request.messages[0]["content"] for request in inner.requests] == ["sync", "async"]


def test_a_long_text_is_checked_off_the_loop(model, card):
    inner = model()
    asyncio.run(InputGuardProvider(inner, [CardGuard()]).acomplete(asking("x" * 50_000 + card)))
    assert inner.requests[0].messages[0]["content"].endswith("x[CARD]")


def test_texts_to_embed_are_checked(model, card):
    class Embedder(model):
        def embed(self, texts, request):
            return Embeddings(vectors=[[float(len(text))] for text in texts])

        async def aembed(self, texts, request):
            return self.embed(texts, request)

    provider = InputGuardProvider(Embedder(), [CardGuard()])
    assert provider.embed([card, "a"], ASKED).vectors == [[6.0], [1.0]]
    assert asyncio.run(provider.aembed([card], ASKED)).vectors == [[6.0]]


# --- Output ----------------------------------------------------------------------------------------------------------


def whole(card):
    attempt = Attempt(number=1, provider="p", model="m", start_ns=1, duration_ms=1.0, status="ok")
    return Response(
        text=f"Your card {card} is fine",
        reasoning=f"I see {card}",
        tool_calls=(ToolCall(id="1", name="pay", arguments=json.dumps({"n": int(card)})),),
        usage=Usage(input_tokens=3, output_tokens=5),
        cost=0.5,
        finish_reason="tool_calls",
        attempts=(attempt,),
        model="m",
        provider="p",
    )


def test_an_answer_is_redacted_and_keeps_the_rest(ask, model, card, verdicts):
    answer = whole(card)
    got = ask(OutputGuardProvider(model(answer), [CardGuard()]))
    assert (got.text, got.reasoning) == ("Your card [CARD] is fine", "I see [CARD]")
    assert json.loads(got.tool_calls[0].arguments) == {"n": "[CARD]"}
    assert (got.usage, got.cost, got.finish_reason, got.attempts) == (answer.usage, 0.5, "tool_calls", answer.attempts)
    assert verdicts() == [{"guard": "cards", "rail": "output", "action": "redact", "reason": "1 card number"}]


def test_a_redacted_answer_loses_the_vendors_object(model, card):
    clean, redacted = Response(text="a", raw="raw"), Response(text=card, raw=card)
    assert OutputGuardProvider(model(clean), [CardGuard()]).complete(ASKED).raw == "raw"
    assert OutputGuardProvider(model(redacted), [CardGuard()]).complete(ASKED).raw is None


def thinking(*texts):
    blocks = [{"type": "thinking", "thinking": text, "signature": f"sig{text[:2]}"} for text in texts]
    return (*blocks, {"type": "redacted_thinking", "data": "c2VjcmV0"})


@pytest.mark.parametrize(
    ("reasoning", "blocks"),
    [
        ("I see {card}. Then more.", {"thinking_blocks": thinking("I see {card}.", " Then more.")}),
        ("I see {card}.", {"thinking_blocks": thinking("I see {head}", "{tail}.")}),
        ("I see {card}.", {"reasoning_details": ({"type": "reasoning.text", "text": "I see {card}."},)}),
        ("", {"reasoning_details": ({"type": "reasoning.summary", "summary": [{"new": "Of {card}"}]},)}),
        ("Fine.", {"thinking_blocks": thinking("Fine.", "But {card}")}),
    ],
    ids=["one of two", "cut between two", "details", "a summary without reasoning", "more than the reasoning"],
)
def test_reasoning_blocks_go_when_their_text_is_redacted(ask, model, card, reasoning, blocks):
    def fill(text):
        return json.loads(
            json.dumps(text).replace("{card}", card).replace("{head}", card[:9]).replace("{tail}", card[9:])
        )

    filled = {name: tuple(fill(value)) for name, value in blocks.items()}
    answer = Response(text="Paid", reasoning=fill(reasoning), finish_reason="stop", **filled)
    got = ask(OutputGuardProvider(model(answer), [CardGuard()]))
    assert (got.text, got.reasoning, got.finish_reason) == ("Paid", reasoning.replace("{card}", "[CARD]"), "stop")
    assert (got.thinking_blocks, got.reasoning_details) == ((), ())
    assert card[:9] not in json.dumps(got.message)


def test_clean_reasoning_blocks_are_kept_and_their_text_is_checked_once(ask, model, card, custom):
    blocks = thinking("I see.", " Then more.")
    details = ({"type": "reasoning.summary", "summary": "Apart", "signature": card},)
    answer = Response(text=card, reasoning="I see. Then more.", thinking_blocks=blocks, reasoning_details=details)
    watching = custom(lambda _: Verdict("pass"))
    got = ask(OutputGuardProvider(model(answer), [watching, CardGuard()]))
    assert (got.text, got.thinking_blocks, got.reasoning_details) == ("[CARD]", blocks, details)
    assert sorted(filter(None, watching.seen)) == sorted([card, "I see. Then more.", "Apart"])


@pytest.mark.parametrize("sync", [True, False])
def test_a_blocked_stream_yields_nothing(model, card, sync):
    inner, got = model(whole(card)), []
    provider = OutputGuardProvider(inner, resolve(["cards:block"]))

    async def collect():
        async for chunk in provider.astream(ASKED):
            got.append(chunk)  # noqa: PERF401 - a comprehension would lose what came before the error

    with pytest.raises(GuardrailViolation):
        got.extend(provider.stream(ASKED)) if sync else asyncio.run(collect())
    assert got == []
    assert inner.closed == 1


def test_a_clean_stream_comes_in_its_own_pieces(model):
    inner = model(Response(text="one two three", finish_reason="stop"))
    assert list(OutputGuardProvider(inner, [CardGuard()]).stream(ASKED)) == list(inner.stream(ASKED))


def test_the_partial_answer_of_a_broken_stream_is_checked(ask, model, card):
    error = StreamInterruptedError("cut", partial=Response(text=f"see {card} and {card[:9]}"))
    with pytest.raises(StreamInterruptedError) as caught:
        ask(OutputGuardProvider(model(error), [CardGuard()]))
    assert caught.value is error
    assert caught.value.partial.text == "see [CARD] and"
    blocked = StreamInterruptedError("cut", partial=Response(text=f"see {card}"))
    with pytest.raises(StreamInterruptedError) as caught:
        ask(OutputGuardProvider(model(blocked), [CardGuard("block")]))
    assert caught.value.partial.text == ""
    assert card not in "".join(traceback.format_exception(caught.value))


# --- Names and versions ----------------------------------------------------------------------------------------------


def test_guards_resolve_from_names_and_objects(custom):
    own = custom(lambda _: Verdict("pass"))
    assert [guard.version for guard in resolve(["cards", "cards:redact", "cards:keep_last4", "cards:block", own])] == [
        "1:redact",
        "1:redact",
        "1:redact:keep_last4",
        "1:block",
        "1",
    ]


@pytest.mark.parametrize(("name", "nearest"), [("card", "cards"), ("cards:blok", "cards:block"), ("zzz", None)])
def test_an_unknown_name_is_an_error_with_the_nearest(name, nearest):
    with pytest.raises(ConfigError) as caught:
        resolve([name])
    assert (caught.value.value, caught.value.nearest) == (name, nearest)
    assert ("'. The known ones are " if nearest is None else f": did you mean {nearest!r}? The") in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("specs", ["cards", [CardGuard], [object()], [None]])
def test_a_non_guard_object_raises_config_error(specs):
    with pytest.raises(ConfigError):
        resolve(specs)


def test_policy_versions_differ_between_policies():
    policies = [[], ["cards"], ["cards:block"], ["cards", "cards:block"], ["cards:block", "cards"]]
    versions = {policy_version(resolve(policy)) for policy in policies}
    assert len(versions) == 5
    assert policy_version(()) == ""
    assert policy_version(resolve(["cards"]), "open") not in versions


def test_the_version_of_the_guards_on_the_output_stays_in_the_key(model):
    inner = model()
    asked = Request(model="m", messages=ASKED.messages, policy_version="output")
    InputGuardProvider(inner, resolve(["cards"])).complete(asked)
    assert inner.requests[0].policy_version.startswith("output:")


def test_an_invalid_verdict_raises():
    with pytest.raises(ValueError, match="text"):
        Verdict("redact")
    with pytest.raises(ValueError, match="redact"):
        Verdict("drop")
