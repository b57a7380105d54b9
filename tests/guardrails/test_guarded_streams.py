"""Guards on the output of streams: no part of a card leaves, wherever the text is cut, and the delay is bounded."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from llmops_sdk.errors import GuardrailViolation
from llmops_sdk.guardrails import CardGuard, GuardContext, OutputGuardProvider, Verdict, guard
from llmops_sdk.providers import Accumulator, Chunk, Request, Response, ToolCallDelta, Usage, WrapperProvider

ASKED = Request(model="script/one", messages=[{"role": "user", "content": "Hi"}])
OUTPUT = GuardContext(rail="output")
END = Chunk(finish_reason="stop", usage=Usage(input_tokens=1), model="m")


class Source(WrapperProvider):
    """Streams chunks, and counts those that were asked for."""

    name = "script"

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = chunks
        self.asked = 0
        self.closed = 0

    def stream(self, request: Request) -> Iterator[Chunk]:
        try:
            for chunk in self.chunks:
                self.asked += 1
                yield chunk
        finally:
            self.closed += 1

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        for chunk in self.stream(request):
            yield chunk


def run(chunks: Sequence[Chunk], guards: Sequence[Any] = (CardGuard(),), *, asynchronous: bool = False) -> list[Chunk]:
    provider = OutputGuardProvider(Source(chunks), guards)

    async def collect() -> list[Chunk]:
        return [chunk async for chunk in provider.astream(ASKED)]

    return asyncio.run(collect()) if asynchronous else list(provider.stream(ASKED))


def text_of(chunks: Sequence[Chunk], name: str = "text") -> str:
    return "".join(getattr(chunk, name) for chunk in chunks)


def redacted(text: str) -> str:
    verdict = CardGuard().check(text, OUTPUT)
    return verdict.text if verdict.action == "redact" and verdict.text is not None else text


def cut(text: str, *places: int) -> list[str]:
    return [text[a:b] for a, b in itertools.pairwise((0, *places, len(text)))]


def texts_around(card: str) -> list[str]:
    spaced = " ".join(card[at : at + 4] for at in range(0, 16, 4))
    return [
        f"Card {card}.", f"{spaced} and {card}", f"+{card}", f"1.{card}", f"1,5 {spaced}, {spaced}.2", f"-{spaced}9",
        f"{card}{card}", f"12 {spaced} 34", "no card, 3.14, +49 151 23456789", f"a\u200b{card[:8]}\u200b{card[8:]}",
    ]  # fmt: skip


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_part_of_a_card_leaves_wherever_a_stream_is_cut(card, asynchronous):
    for text in texts_around(card):
        cuts = [cut(text, place) for place in range(1, len(text))]
        for pieces in [*cuts, list(text), [text], cut(text, 3, 9, 10, 14)]:
            got = run([*(Chunk(text=piece) for piece in pieces), END], asynchronous=asynchronous)
            assert text_of(got) == redacted(text)
            assert got[-1] == END


DIGITS = st.text("0123456789", min_size=1, max_size=45)
GAPS = st.sampled_from([" ", "  ", "   ", "    ", "-", ".", ",", "+", "\u200b", "\n", " a", ", "])


@st.composite
def cards(draw: st.DrawFn) -> str:
    prefix, length = draw(st.sampled_from([("4", 16), ("4", 13), ("4", 19), ("37", 15), ("55", 16), ("6304", 12)]))
    body = prefix + draw(st.text("0123456789", min_size=length - len(prefix) - 1, max_size=length - len(prefix) - 1))
    number = body + luhn.calc_check_digit(body)
    return draw(st.sampled_from(["", " ", "-", "  "])).join([number[:4], number[4:8], number[8:]])


@given(st.lists(cards() | DIGITS | GAPS, max_size=12).map("".join), st.data())
def test_any_cut_gives_what_the_whole_gives(text: str, data: st.DataObject):
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    got = run([*(Chunk(text=piece, reasoning=piece) for piece in cut(text, *places)), END])
    assert text_of(got) == text_of(got, "reasoning") == redacted(text)


@given(st.lists(cards() | DIGITS | st.just(" "), min_size=1, max_size=30).map("".join))
def test_the_delay_is_bounded_even_in_an_endless_line_of_numbers(text: str):
    source = Source([Chunk(text=character) for character in text])
    released = longest = 0
    for chunk in OutputGuardProvider(source, [CardGuard()]).stream(ASKED):
        longest = max(longest, source.asked - released if released else 0)
        released += len(chunk.text)
    assert longest < 200


def test_the_first_chunk_comes_early_and_every_chunk_keeps_its_cuts():
    words = [Chunk(text=word) for word in ("Good ", "day", ", I ", "have ", "3 ", "cards", " for ", "you.")]
    source = Source([*words, END])
    chunks = OutputGuardProvider(source, [CardGuard()]).stream(ASKED)
    assert next(chunks) is words[0]
    assert source.asked == 1
    assert [*chunks] == [*words[1:], END]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_json_is_checked_as_json(card, size, asynchronous):
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in card)
    for text in (
        json.dumps({"card": card, "n": int(card), "note": ["fine"]}), f'{{"card": "{escaped}"}}', f'["{card}"]',
        f"[1] See {card} for more, [2] and more", f"[see {card}]", "{}", "  [", f'{{"a": "{card}', "[1, 2", '{"a": tru',
    ):  # fmt: skip
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        whole = OutputGuardProvider(Whole(text), [CardGuard()]).complete(ASKED).text
        assert text_of(run([*(Chunk(text=piece) for piece in pieces), END], asynchronous=asynchronous)) == whole
        assert card not in whole


class Whole(WrapperProvider):
    """Gives a whole answer."""

    name = "script"

    def __init__(self, text: str) -> None:
        self.text = text

    def complete(self, request: Request) -> Response:
        return Response(text=self.text)


def test_a_text_that_only_begins_like_json_is_not_held_to_its_end(card):
    source = Source([Chunk(text=f"[1] says word {number}. ") for number in range(100)])
    next(OutputGuardProvider(source, [CardGuard()]).stream(ASKED))
    assert source.asked < 3


@pytest.mark.parametrize("asynchronous", [False, True])
def test_tool_calls_are_checked_whole_and_stay_json(card, asynchronous):
    arguments = json.dumps({"card": card, "n": int(card)})
    calls = [
        Chunk(tool_calls=(ToolCallDelta(index=0, id="1", name="pay"),), raw=card),
        *(Chunk(tool_calls=(ToolCallDelta(index=0, arguments=character),), raw=card) for character in arguments),
    ]
    got = run([Chunk(text="Paying "), Chunk(text="now"), *calls, END], asynchronous=asynchronous)
    whole = Accumulator()
    for chunk in got:
        whole.add(chunk)
    (call,) = whole.response().tool_calls
    assert json.loads(call.arguments) == {"card": "[CARD]", "n": "[CARD]"}
    assert (call.id, call.name, whole.response().text) == ("1", "pay", "Paying now")
    assert [chunk.raw for chunk in got if chunk.raw] == []
    clean = [Chunk(tool_calls=(ToolCallDelta(index=0, id="1", name="pay", arguments="{}"),), raw="raw"), END]
    assert run(clean, asynchronous=asynchronous) == clean


def test_redacted_chunks_lose_the_vendors_object_and_keep_usage(card):
    pieces = ["See ", card[:8], card[8:], " now", " or later"]
    got = run([*(Chunk(text=piece, raw=piece, model="m") for piece in pieces), END])
    assert [chunk.text for chunk in got[:-1]] == ["See ", "[CARD] now", " or later"]
    assert [chunk.raw for chunk in got] == ["See ", None, None, None]
    assert got[-1].usage == END.usage


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_chunk_has_a_redacted_text_in_blocks_or_the_vendors_object(card, asynchronous):
    def piece(text: str, reasoning: str) -> Chunk:
        block = {"type": "thinking", "thinking": text}
        return Chunk(reasoning=reasoning, thinking_blocks=(block,), raw=block)

    signature = Chunk(thinking_blocks=({"type": "thinking", "thinking": "", "signature": "c2ln"},))
    words = ["A long plan, ", "with words ", "before ", card[:7], card[7:], " and after."]
    for reasoning in (words, [""] * len(words)):
        chunks = [*map(piece, words, reasoning), signature, *(Chunk(text=f"word {n} ") for n in range(20)), END]
        got = run(chunks, asynchronous=asynchronous)
        assert text_of(got, "reasoning") == redacted("".join(reasoning))
        assert not any(chunk.thinking_blocks for chunk in got)
        assert card[:7] not in repr(got)
        assert card[7:] not in repr(got)


def test_blocks_of_reasoning_come_whole_and_of_the_last_model_only():
    block = {"type": "thinking", "thinking": "Hm. Yes.", "signature": "c2ln"}
    pieces = [{"type": "thinking", "thinking": "Hm."}, {**block, "thinking": " Yes."}]
    chunks = [Chunk(reasoning=one["thinking"], thinking_blocks=(one,)) for one in pieces]
    got = run([chunks[0], Chunk(restarted=True), *chunks, Chunk(text="done"), END])
    assert [dict(one) for chunk in got for one in chunk.thinking_blocks] == [block]
    assert (text_of(got), text_of(got, "reasoning")) == ("done", "Hm.Hm. Yes.")


def test_a_restart_is_told_only_to_those_who_saw_something(card):
    restart = Chunk(text="Other answer", restarted=True)
    unseen = run([Chunk(text=card[:8]), restart, END])
    assert [chunk.restarted for chunk in unseen] == [False, False]
    seen = run([Chunk(text="Hello "), Chunk(text=card[:8]), restart, END])
    assert [chunk.restarted for chunk in seen] == [False, True, False]
    assert [text_of(unseen), text_of(seen)] == ["Other answer", "Hello Other answer"]


class Shout:
    """Redacts by making texts loud; it can judge every prefix on its own."""

    name = "shout"
    version = "1"

    def check(self, text: str, context: GuardContext) -> Verdict:
        return Verdict("redact", text.upper())

    def settled(self, text: str) -> int:
        return len(text)


class Late(Shout):
    """Needs the whole text."""

    settled = None


class Broken(Shout):
    """Fails to say what is settled."""

    def settled(self, text: str) -> int:
        raise ValueError(text)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_guard_of_a_chain_sees_what_the_one_before_left(card, asynchronous):
    pieces = [Chunk(text=piece) for piece in ["see ", card[:3], card[3:], " please", " now"]]
    for guards in ([CardGuard(), Shout()], [Shout(), CardGuard()], [CardGuard(), Late()], [Broken(), CardGuard()]):
        assert text_of(run([*pieces, END], guards, asynchronous=asynchronous)) == "SEE [CARD] PLEASE NOW"


@pytest.mark.parametrize("last", [Late(), Broken(), CardGuard("block")])
def test_a_guard_that_needs_the_whole_holds_the_stream_back(last):
    source = Source([*(Chunk(text=word) for word in ("one ", "two ", "three")), END])
    next(OutputGuardProvider(source, [CardGuard(), last]).stream(ASKED))
    assert source.asked == 4


def test_a_guard_that_blocks_late_ends_the_stream_without_the_text():
    class NoThree(Shout):
        def check(self, text: str, context: GuardContext) -> Verdict:
            return Verdict("block", reason="three") if "three" in text else Verdict("pass")

    got: list[Chunk] = []
    source = Source([*(Chunk(text=word) for word in ("one ", "two ", "three ", "four")), END])
    with pytest.raises(GuardrailViolation):
        got.extend(OutputGuardProvider(source, [NoThree()]).stream(ASKED))
    assert text_of(got) == "one two "
    assert source.closed == 1


def test_verdicts_are_recorded_once_also_when_the_consumer_leaves(card, verdicts):
    chunks = OutputGuardProvider(Source([Chunk(text=f"{card}, "), Chunk(text="more"), END]), [CardGuard()])
    stream = chunks.stream(ASKED)
    assert next(stream).text == "[CARD], "
    stream.close()
    assert verdicts() == [{"guard": "cards", "rail": "output", "action": "redact", "reason": "1 card number"}]


def test_guarded_generators_release_early(card):
    made: list[str] = []

    @guard(output=["cards"])
    def tokens() -> Iterator[Any]:
        for item in ("Good ", "day ", card[:9], card[9:], " bye", {"card": card}, "end"):
            made.append(str(item))
            yield item

    items = tokens()
    assert next(items) == "Good "
    assert len(made) == 1
    assert list(items) == ["day ", "[CARD] bye", {"card": "[CARD]"}, "end"]


async def test_guarded_async_generators_release_early(card):
    made: list[str] = []

    @guard(output=["cards"])
    async def tokens() -> AsyncIterator[str]:
        for item in ("Good ", "day ", card[:9], card[9:], " bye"):
            made.append(item)
            yield item

    items = tokens()
    assert await anext(items) == "Good "
    assert len(made) == 1
    assert [item async for item in items] == ["day ", "[CARD] bye"]


@pytest.mark.thorough
@pytest.mark.parametrize("last", [CardGuard(), Late(), CardGuard("block")])
def test_a_long_stream_takes_linear_time(last):
    pieces = [Chunk(text="word ")] * 40_000
    asked = 0

    class Counting:
        name = "counting"
        version = "1"

        def check(self, text: str, context: GuardContext) -> Verdict:
            return last.check(text, context)

        def settled(self, text: str) -> int:
            nonlocal asked
            asked += len(text)
            return last.settled(text) if last.settled else 0

    got = run([*pieces, END], [Counting()])
    assert len(text_of(got)) == 200_000
    assert asked < 3_000_000
