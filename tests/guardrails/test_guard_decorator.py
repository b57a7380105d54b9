"""`@guard` on every style of callable."""

from __future__ import annotations

import asyncio
import inspect

import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import ConfigError, GuardrailViolation
from llmops_sdk.guardrails import Verdict, guard


def kinds(decorator, function):
    """The same function as each kind of callable; each gives what it returned or its first item."""

    @decorator
    async def coroutine(*args, **kwargs):
        return function(*args, **kwargs)

    @decorator
    def generator(*args, **kwargs):
        yield function(*args, **kwargs)

    @decorator
    async def asyncgen(*args, **kwargs):
        yield function(*args, **kwargs)

    async def first(*args, **kwargs):
        return [item async for item in asyncgen(*args, **kwargs)]

    return [
        decorator(function),
        lambda *args, **kwargs: asyncio.run(coroutine(*args, **kwargs)),
        lambda *args, **kwargs: next(generator(*args, **kwargs)),
        lambda *args, **kwargs: asyncio.run(first(*args, **kwargs))[0],
    ]


@pytest.mark.parametrize("kind", range(4))
def test_arguments_are_checked_and_replaced(kind, card, verdicts):
    seen = []

    def f(*args, **kwargs):
        seen.append((args, kwargs))
        return "done"

    own = object()
    assert kinds(guard(input=["cards"]), f)[kind](card, [card, own], deep={"a": (card, 1)}, n=3) == "done"
    assert seen == [(("[CARD]", ["[CARD]", own]), {"deep": {"a": ("[CARD]", 1)}, "n": 3})]
    assert verdicts() == [{"guard": "cards", "rail": "input", "action": "redact", "reason": "1 card number"}]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("shape", [str, lambda text: {"answer": [text]}])
def test_the_result_is_checked(kind, shape, card):
    assert kinds(guard(output=["cards"]), lambda: shape(f"see {card}"))[kind]() == shape("see [CARD]")


@pytest.mark.parametrize("kind", range(4))
def test_a_guard_blocks_arguments_and_results(kind, card):
    calls = []
    with pytest.raises(GuardrailViolation) as caught:
        kinds(guard(input=["cards:block"]), calls.append)[kind](card)
    assert (calls, caught.value.rail) == ([], "input")
    with pytest.raises(GuardrailViolation) as caught:
        kinds(guard(output=["cards:block"]), lambda: card)[kind]()
    assert caught.value.rail == "output"


def test_a_number_that_spans_items_is_found(card):
    @guard(output=["cards"])
    def words():
        yield "see "
        yield from card
        yield "!"
        return f"end {card}"

    def outer():
        result.append((yield from words()))

    result = []
    assert list(outer()) == ["see ", "[CARD]!"]
    assert result == ["end [CARD]"]


async def test_a_number_that_spans_async_items_is_found(card):
    @guard(output=["cards"])
    async def words():
        for character in f"see {card}!":
            yield character

    assert "".join([item async for item in words()]) == "see [CARD]!"


def test_clean_items_pass_unchanged(card):
    own = object()

    @guard(output=["cards"])
    def items(*given):
        yield from given

    assert list(items("a", "b")) == ["a", "b"]
    assert list(items(own, "a", card)) == [own, "a", "[CARD]"]
    assert list(items()) == []


def test_methods_keep_their_signatures(card):
    class Bot:
        @guard(input=["cards"])
        def ask(self, text: str) -> str:
            """Doc."""
            return text

        @guard(input=["cards"])
        @classmethod
        def build(cls, text) -> str:
            return text

        @staticmethod
        @guard(input=["cards"])
        def static(text) -> str:
            return text

    assert [Bot().ask(card), Bot.build(card), Bot().static(card)] == ["[CARD]"] * 3
    assert str(inspect.signature(Bot.ask)) == "(self, text: 'str') -> 'str'"
    assert Bot.ask.__doc__ == "Doc."


def test_without_guards_nothing_is_touched(card):
    value = [card]
    assert guard()(lambda given: given)(value) is value


def test_a_failing_guard_is_closed_unless_open(custom):
    def check(_):
        raise ValueError("secret")

    broken = custom(check)
    with pytest.raises(GuardrailViolation):
        guard(input=[broken])(str.upper)("a")
    assert guard(input=[broken], on_error="open")(str.upper)("a") == "A"


def test_bad_arguments_are_clear_errors():
    with pytest.raises(ConfigError, match="cards"):
        guard(input=["card"])
    with pytest.raises(ConfigError):
        guard(input="cards")
    with pytest.raises(ConfigError, match="closed"):
        guard(on_error="maybe")
    with pytest.raises(TypeError):
        guard(input=["cards"])(7)


def test_two_calls_at_once_do_not_mix(custom):
    echo = custom(lambda text: Verdict("redact", text * 2, "twice"))

    @guard(input=[echo])
    async def f(text):
        await asyncio.sleep(0)
        return text

    async def main():
        return await asyncio.gather(*(f(str(n)) for n in range(50)))

    assert asyncio.run(main()) == [str(n) * 2 for n in range(50)]


@pytest.mark.parametrize("traced", [False, True])
def test_a_verdict_outside_of_every_span_is_stored_too(traced):
    def search(question: str) -> str:
        return "4111" + " 1111" * 3

    guarded = llmops.guard(documents=["cards"])(llmops.trace(search) if traced else search)
    assert guarded("Which?") == "[CARD]"
    llmops.flush()
    rows = llmops.query("SELECT v.guard, v.rail, v.action, s.kind FROM guard_verdicts v JOIN spans s USING (span_id)")
    assert rows.rows() == [("cards", "documents", "redact", "guardrail")]
