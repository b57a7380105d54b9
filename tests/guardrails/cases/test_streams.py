"""Cases 2 and 3, measured cases 9 and 12: a stream shows no part of what its guards remove, and no other's text."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from guarded_values import VALUES
from hypothesis import example, given, settings
from hypothesis import strategies as st

import llmops_sdk as llmops
from llmops_sdk.guardrails import Verdict, check
from llmops_sdk.providers import Chunk, ToolCallDelta
from llmops_sdk.testing import ScriptedProvider, capture_traces, use_provider

pytest.importorskip("re2")
MODEL = "openai/gpt-4.1-mini"
KINDS = tuple(VALUES)
ALL = ["pii", "secrets", "cards"]
OUTPUT = {"output": ALL}


def texts(chunks: list[Any], **options: Any) -> list[str]:
    """Return the texts of the chunks that leave a stream, sync."""
    with use_provider(ScriptedProvider([chunks])):
        return [chunk.text for chunk in llmops.stream("Hi", model=MODEL, retry=False, **options)]


async def async_texts(chunks: list[Any], **options: Any) -> list[str]:
    with use_provider(ScriptedProvider([chunks])):
        return [chunk.text async for chunk in llmops.astream("Hi", model=MODEL, retry=False, **options)]


def around(kind: str) -> tuple[str, str]:
    """Return a text with a value inside, and the text that must come out."""
    value = VALUES[kind]
    return f"Noted: {value.text} is yours.", f"Noted: {value.replacement} is yours."


@pytest.mark.parametrize("kind", KINDS)
async def test_no_part_leaves_at_any_of_two_cuts(kind):
    """Case 2: every position, sync and async, with the guards of one kind and of all."""
    text, expected = around(kind)
    for position in range(len(text) + 1):
        pieces = [text[:position], text[position:]]
        assert "".join(await async_texts(pieces, guards={"output": [VALUES[kind].guard]})) == expected, position
        assert "".join(texts(pieces, guards=OUTPUT)) == expected, position


@pytest.mark.parametrize("kind", KINDS)
async def test_one_character_a_chunk(kind):
    """Case 2: the text that has left is, at each moment, the beginning of the right text."""
    text, expected = around(kind)
    for out in (texts(list(text), guards=OUTPUT), await async_texts(list(text), guards=OUTPUT)):
        assert "".join(out) == expected
        assert not any(text[i : i + 1] != "" and VALUES[kind].core in "".join(out[:i]) for i in range(len(out) + 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", ["{0}", "{0} end", "start {0}", "{0} and {0}", "{0}, {0}.", "({0})", "x\n{0}\ny", "«{0}»"]
)
def test_a_value_at_the_start_at_the_end_alone_and_twice(kind, shape):
    """Case 2: two values in one chunk, a value at the very end, a value alone, whole and by character."""
    value = VALUES[kind]
    text, expected = shape.format(value.text), shape.format(value.replacement)
    assert "".join(texts([text], guards=OUTPUT)) == expected
    assert "".join(texts(list(text), guards=OUTPUT)) == expected
    assert "".join(texts([*text.rpartition(" ")], guards=OUTPUT)) == expected


PIECES = st.lists(
    st.sampled_from([value.text for value in VALUES.values()] + ["word", " ", "\n", ".", ",", "4", "-", "@", "é"]),
    max_size=12,
)


@settings(max_examples=60)
@given(PIECES, st.lists(st.integers(0, 200), max_size=8))
@example([VALUES["card"].text, " ", VALUES["card"].text], [10, 17, 20])
@example(["4", VALUES["card"].text], [1, 5])
@example([VALUES["email"].text, ".", VALUES["email"].text], [5, 30])
def test_a_stream_gives_what_the_whole_text_gives(pieces, cuts):
    """Case 2: whatever the text and wherever it is cut."""
    text = "".join(pieces)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    chunks = [text[a:b] for a, b in itertools.pairwise(places)] or [""]
    assert "".join(texts(chunks, guards=OUTPUT)) == check(text, ALL, rail="output").text


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_breaks_inside_a_value(kind):
    """Case 2: the part that arrived may hold a beginning of a value; it leaves neither by chunk nor with the error."""
    value = VALUES[kind]
    for position in range(8, len(value.text)):
        broken = ["Noted: ", value.text[:position], llmops.StreamInterruptedError("gone")]
        seen = []
        with capture_traces() as traces, use_provider(ScriptedProvider([broken])):
            stream = llmops.stream("Hi", model=MODEL, retry=False, guards=OUTPUT)
            with pytest.raises(llmops.StreamInterruptedError) as caught:
                seen.extend(chunk.text for chunk in stream)
            recorded = repr([(span.output, span.attributes, span.events) for span in traces.spans])
        assert value.core not in "".join(seen), position
        assert value.core not in caught.value.partial.text, position
        assert value.core not in stream.response.text, position
        assert value.core not in recorded, position


@pytest.mark.parametrize("kind", KINDS)
def test_a_consumer_that_leaves_inside_a_value(kind):
    """Case 2: leaving early does not let out what was held back, into the response or the trace."""
    value = VALUES[kind]
    long = "A first sentence that has nothing to hide and is long enough to leave early on. " * 4
    chunks = [long, *value.text, " and so on, and so on. " * 20]
    with capture_traces() as traces, use_provider(ScriptedProvider([chunks])):
        with llmops.stream("Hi", model=MODEL, guards=OUTPUT) as stream:
            assert next(iter(stream)).text
        (span,) = traces.spans
    assert value.core not in stream.response.text
    assert value.core not in repr((span.output, span.attributes, span.events))


@pytest.mark.parametrize("guards", [["cards"], ["cards:flag", "pii"]])
def test_halves_of_a_value_from_two_models_are_no_value(guards):
    """Case 2: after a break, the next model starts over; its text does not continue what the first one wrote."""
    card = VALUES["card"].text
    first = [*["A long beginning without anything. "] * 5, card[:8], llmops.StreamInterruptedError("gone")]
    llmops.configure(
        models={"a": {"model": "openai/a", "fallbacks": ["b"]}, "b": {"model": "openai/b"}},
        fallback={"broken_stream": "restart"},
    )
    second = [f"{card[8:]} is another text. ", f"And {card}."]
    with (
        use_provider(ScriptedProvider([first]), model="openai/a"),
        use_provider(ScriptedProvider([second]), model="openai/b"),
    ):
        stream = llmops.stream("Hi", model="a", guards={"output": guards}, retry=False)
        seen = list(stream)
    assert card[:8] not in "".join(chunk.text for chunk in seen)
    assert stream.response.text == f"{card[8:]} is another text. And [CARD]."


def calls_in_pieces(arguments: list[str], size: int) -> Iterator[Chunk]:
    """Yield the pieces of parallel tool calls in turn, each call's arguments cut into pieces of one size."""
    for index in range(len(arguments)):
        yield Chunk(tool_calls=(ToolCallDelta(index=index, id=f"c{index}", name=f"tool{index}"),))
    longest = max(map(len, arguments))
    for at in range(0, longest, size):
        for index, one in enumerate(arguments):
            if piece := one[at : at + size]:
                yield Chunk(tool_calls=(ToolCallDelta(index=index, arguments=piece),))


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("with_value", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_parallel_tool_calls_of_which_one_has_the_value(kind, with_value, size):
    """Case 2: the pieces of three calls come in turn; the others keep their arguments as they are."""
    value = VALUES[kind]
    clean = '{"q": "Where is my parcel?",  "n": 3}'
    arguments = [clean] * 3
    arguments[with_value] = json.dumps({"q": f"Tell {value.text}", "n": 3})
    with use_provider(ScriptedProvider([[*calls_in_pieces(arguments, size), Chunk(finish_reason="tool_calls")]])):
        stream = llmops.stream("Hi", model=MODEL, guards=OUTPUT)
        seen = "".join(delta.arguments for chunk in stream for delta in chunk.tool_calls)
    made = [call.arguments for call in stream.response.tool_calls]
    assert value.core not in seen
    assert json.loads(made[with_value]) == {"q": f"Tell {value.replacement}", "n": 3}
    assert [one for index, one in enumerate(made) if index != with_value] == [clean, clean]


def test_text_reasoning_and_tool_calls_in_turn_do_not_mix():
    """Case 2: a value in each of three channels, whose characters come in turn; none completes another's."""
    card, mail, key = (VALUES[kind] for kind in ("card", "email", "key"))
    channels = [f"a {card.text} b", f"c {mail.text} d", json.dumps({"k": f"e {key.text} f"})]
    chunks = [Chunk(tool_calls=(ToolCallDelta(index=0, id="1", name="f"),))]
    for at in range(max(map(len, channels))):
        text, reasoning, arguments = (channel[at : at + 1] for channel in channels)
        deltas = (ToolCallDelta(index=0, arguments=arguments),) if arguments else ()
        chunks.append(Chunk(text=text, reasoning=reasoning, tool_calls=deltas))
    with use_provider(ScriptedProvider([[*chunks, Chunk(finish_reason="tool_calls")]])):
        stream = llmops.stream("Hi", model=MODEL, guards=OUTPUT)
        seen = list(stream)
    assert "".join(chunk.text for chunk in seen) == "a [CARD] b" == stream.response.text
    assert "".join(chunk.reasoning for chunk in seen) == "c [EMAIL] d"
    assert json.loads(stream.response.tool_calls[0].arguments) == {"k": f"e {key.replacement} f"}


def test_a_half_in_the_reasoning_and_a_half_in_the_text_is_no_value():
    """Case 2: channels are separate texts; a card cut over both is no card in either and passes unchanged."""
    card = VALUES["card"].text
    chunks = [Chunk(reasoning=card[:8]), Chunk(text=card[8:]), Chunk(finish_reason="stop")]
    with use_provider(ScriptedProvider([chunks])):
        stream = llmops.stream("Hi", model=MODEL, guards=OUTPUT)
        assert "".join(chunk.text for chunk in stream) == card[8:]


@pytest.mark.parametrize("way", ["chat", "achat", "stream", "astream"])
def test_several_choices_are_refused_or_checked(way, ask):
    """Case 2: two interleaved choices could not be told apart, so a stream refuses them."""
    with use_provider(ScriptedProvider(["one", "two"], repeat=True)) as model:
        with pytest.raises((llmops.LLMOpsError, TypeError)) as caught:
            ask(way, n=2, guards=OUTPUT)
        assert "n" in str(caught.value)
        with pytest.raises((llmops.LLMOpsError, TypeError)):
            ask(way, extra={"n": 2}, guards=OUTPUT)
    assert model.requests == ()


SEVERAL: dict[str, dict[str, Any]] = {
    "the model's options": {"models": {"m": {"model": MODEL, "options": {"n": 2}}}},
    "extra_body of the options": {"models": {"m": {"model": MODEL, "options": {"extra_body": {"n": 2}}}}},
    "a fallback's options": {
        "models": {"m": {"model": MODEL, "fallbacks": ["f"]}, "f": {"model": "openai/other", "options": {"n": 2}}}
    },
    "the options of a guard's fallback": {
        "models": {"m": {"model": MODEL}, "f": {"model": "openai/other", "options": {"n": 2}}},
        "guardrails": {"options": {"cards": {"fallback_model": "f"}}},
    },
}


@pytest.mark.parametrize("way", ["chat", "achat", "stream", "astream"])
@pytest.mark.parametrize("where", SEVERAL)
def test_several_choices_that_the_configuration_asks_for_are_refused(way, where, ask):
    """Case 2: the second answer of `n = 2` in the options of a model would pass unchecked in the vendor's object."""
    llmops.configure(**SEVERAL[where])
    guards = {"output": ["cards:fallback"]} if "guard's" in where else OUTPUT
    with use_provider(ScriptedProvider([VALUES["card"].text], repeat=True)) as model:
        with pytest.raises(llmops.ConfigError, match=r"n is 2 in the options of (m|f): leave n out") as caught:
            ask(way, model="m", guards=guards)
        assert len(model.requests) == (1 if "guard's" in where else 0)
        assert caught.value.key in {"options.n", "options.extra_body.n"}
        assert ask(way, model="m", guards={"output": []}).text == VALUES["card"].text
        if where == "the model's options":
            assert ask(way, model="m", n=1, guards={"output": ["cards"]}).text == "[CARD]"
        else:
            with pytest.raises(llmops.ConfigError, match="n is 2"):
                ask(way, model="m", extra={"extra_body": {"n": 2}}, guards={"output": ["cards"]})


@dataclass
class VendorAnswer:
    """A vendor's object with several answers, as of a server that answers more often than it was asked."""

    choices: list[str]


@pytest.mark.parametrize("way", ["chat", "achat", "stream", "astream"])
def test_choices_that_nobody_asked_for_do_not_pass_with_the_first(way, ask):
    """Case 2: the guards change nothing in the first answer, so the vendor's object would come along."""
    answer = llmops.Response(text="clean", finish_reason="stop", raw=VendorAnswer(["clean", VALUES["card"].text]))
    one = llmops.Response(text="clean", finish_reason="stop", raw=VendorAnswer(["clean"]))
    with use_provider(ScriptedProvider([answer, one])):
        assert ask(way, guards=OUTPUT).raw is None
        assert ask(way, guards=OUTPUT).raw is (one.raw if "stream" not in way else None)


class WordGuard:
    """Blocks at a forbidden word, and settles at each space."""

    name, version = "words", "1"

    def check(self, text: str, context: Any) -> Verdict:
        return Verdict("block", reason="a forbidden word") if "forbidden" in text else Verdict("pass")

    def settled(self, text: str) -> int:
        return text.rfind(" ") + 1


@pytest.mark.parametrize(
    ("guards", "most"),
    [
        (["cards:block"], ""),
        ([WordGuard()], "Good words come first. "),
        (["cards", WordGuard()], "Good words come first. "),
    ],
    ids=["named", "own", "both"],
)
def test_what_leaves_before_a_block_passes_a_check_of_its_own(guards, most):
    """Measured case 9: a check of what left before the block lets it pass; without `settled`, nothing leaves."""
    text = f"{most or 'Good words '}forbidden {VALUES['card'].text}. And more comes later."
    assert check(text, guards, rail="output").action == "block"
    for size in (1, 3, 40, len(text)):
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        seen: list[str] = []
        with use_provider(ScriptedProvider([chunks])):
            stream = llmops.stream("Hi", model=MODEL, guards={"output": guards})
            with pytest.raises(llmops.GuardrailViolation):
                seen.extend(chunk.text for chunk in stream)
        assert most.startswith("".join(seen)), size
        assert check("".join(seen), guards, rail="output").action == "pass"


@pytest.mark.parametrize("kind", KINDS)
async def test_two_streams_in_turn_through_one_guard(kind):
    """Case 3, measured case 12: one character of each stream in turn, one object of the guard, no bleed."""
    (guard,) = llmops.guardrails.resolve([VALUES[kind].guard])
    text, expected = around(kind)
    own = {"left": [f"{text} {'left ' * 50}"], "right": [f"No value here, but much text. {'right ' * 50}"]}
    results = {}
    with ExitStack() as stack:
        streams = {}
        for side, (whole,) in own.items():
            stack.enter_context(use_provider(ScriptedProvider([list(whole)]), model=f"openai/{side}"))
            streams[side] = aiter(llmops.astream("Hi", model=f"openai/{side}", guards={"output": [guard]}))
            results[side] = ""
        open_sides = list(streams)
        while open_sides:
            for side in list(open_sides):
                try:
                    results[side] += (await anext(streams[side])).text
                except StopAsyncIteration:
                    open_sides.remove(side)
    assert results["left"] == f"{expected} {'left ' * 50}"
    assert results["right"] == own["right"][0]


def test_streams_in_threads_share_one_guard():
    """Case 3, measured case 12: each thread's stream is redacted, and has its own text only."""
    guards = llmops.guardrails.resolve(ALL)
    count, rounds = 6, 5
    start = threading.Barrier(count)
    wrong: list[Any] = []

    def one(number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        text, expected = around(kind)
        start.wait(60)
        for _ in range(rounds):
            out = [c.text for c in llmops.stream("Hi", model=f"openai/m{number}", guards={"output": list(guards)})]
            if "".join(out) != f"{number}: {expected}":
                wrong.append((number, out, text))

    with ExitStack() as stack:
        for number in range(count):
            text = f"{number}: {around(KINDS[number % len(KINDS)])[0]}"
            provider = ScriptedProvider([list(text)], repeat=True)
            stack.enter_context(use_provider(provider, model=f"openai/m{number}"))
        threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_masks_of_interleaved_tenants_stay_apart():
    """Measured case 12: the same placeholder in two streams at once stands for each tenant's own value."""
    (guard,) = llmops.guardrails.resolve(["pii:mask"])

    async def main() -> dict[str, str]:
        results = {"ada": "", "bob": ""}

        async def tenant(name: str) -> None:
            with llmops.context(user_id=name):
                stream = llmops.astream(f"I am {name}@example.org", model=f"openai/{name}", guards={"input": [guard]})
                async for chunk in stream:
                    results[name] += chunk.text
                    await asyncio.sleep(0)

        await asyncio.gather(*map(tenant, results))
        return results

    with ExitStack() as stack:
        for name in ("ada", "bob"):
            provider = ScriptedProvider([list("Hello [EMAIL_1], is [EMAIL_1] right? [EMAIL_2]")])
            stack.enter_context(use_provider(provider, model=f"openai/{name}"))
        results = asyncio.run(main())
    assert results == {
        name: f"Hello {name}@example.org, is {name}@example.org right? [EMAIL_2]" for name in ("ada", "bob")
    }


def test_a_map_ends_with_its_conversation():
    """Measured case 12: a placeholder stands for nothing of the call before, nor of another thread's call."""
    guards = {"input": ["pii:mask"]}
    with use_provider(ScriptedProvider(["Hello [EMAIL_1]"], repeat=True)):
        assert llmops.chat("I am ada@example.org", model=MODEL, guards=guards).text == "Hello ada@example.org"
        assert llmops.chat("Who am I?", model=MODEL, guards=guards).text == "Hello [EMAIL_1]"
        with llmops.guardrails.mask_scope():
            llmops.chat("I am ada@example.org", model=MODEL, guards=guards)
            assert llmops.chat("Who am I?", model=MODEL, guards=guards).text == "Hello ada@example.org"
            seen: list[str] = []
            thread = threading.Thread(
                target=lambda: seen.append(llmops.chat("Who am I?", model=MODEL, guards=guards).text)
            )
            thread.start()
            thread.join(60)
        assert seen == ["Hello [EMAIL_1]"]
        assert llmops.chat("Who am I?", model=MODEL, guards=guards).text == "Hello [EMAIL_1]"
