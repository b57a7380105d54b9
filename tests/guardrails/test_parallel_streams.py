"""Slow guards run side by side at the end of a stream, as they do for a whole answer."""

from __future__ import annotations

import asyncio
import threading

import pytest

import llmops_sdk as llmops
from llmops_sdk.guardrails import DetectorGuard, GuardContext, Verdict
from llmops_sdk.guardrails.detectors import TopicsDetector
from llmops_sdk.testing import ScriptedProvider, use_provider

WAYS = ("chat", "achat", "stream", "astream")
SECONDS = 60
"""How long a guard waits for the others before it fails; they come at once."""


class Meeting:
    """Threads or tasks that wait for each other, so that none ends if they come one after another."""

    def __init__(self, count: int) -> None:
        self._threads, self._tasks = threading.Barrier(count), asyncio.Barrier(count)

    def wait(self) -> None:
        self._threads.wait(SECONDS)

    async def await_(self) -> None:
        async with asyncio.timeout(SECONDS):
            await self._tasks.wait()


class Slow:
    """Waits at each text for the other guards of the meeting."""

    version, keeps_text, slow = "1", True, True

    def __init__(self, name: str, meeting: Meeting, action: str = "pass", whole_text: bool = False) -> None:
        self.name, self.meeting, self.action, self.whole_text = name, meeting, action, whole_text
        self.seen: list[str] = []

    def check(self, text: str, context: GuardContext) -> Verdict:
        self.seen.append(text)
        self.meeting.wait()
        return Verdict(self.action, reason=self.name)


class AsyncSlow(Slow):
    async def acheck(self, text: str, context: GuardContext) -> Verdict:
        self.seen.append(text)
        await self.meeting.await_()
        return Verdict(self.action, reason=self.name)


@pytest.mark.parametrize("kind", [Slow, AsyncSlow])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("text", ["Good day to you.", '{"greeting": "Good day"}', ""])
@pytest.mark.parametrize("way", WAYS)
def test_slow_guards_of_an_answer_run_side_by_side(way, text, whole, kind, ask):
    meeting = Meeting(3)
    slow = [kind(name, meeting, whole_text=whole) for name in "abc"]
    cheap = DetectorGuard(TopicsDetector(deny=["lottery"]), "flag")
    with use_provider(ScriptedProvider([list(text) or [""]])):
        answer = ask(way, guards={"output": [cheap, *slow] if whole else [slow[0], cheap, *slow[1:]]})
    assert answer.text == text
    inside = {"": [], '{"greeting": "Good day"}': ["greeting", "Good day"]}
    expected = [text] if whole else inside.get(text, [text])
    assert [one.seen for one in slow] == [expected] * 3


@pytest.mark.parametrize("rail", ["output", "tool_arguments"])
@pytest.mark.parametrize("way", WAYS)
def test_slow_guards_of_tool_calls_run_side_by_side(way, rail, ask):
    slow = [Slow(name, meeting) for meeting in [Meeting(2)] for name in "ab"]
    call = llmops.ToolCall(id="1", name="pay", arguments='{"to": "ada", "note": "thanks"}')
    with use_provider(ScriptedProvider([llmops.Response(tool_calls=(call,), finish_reason="tool_calls")])):
        answer = ask(way, guards={rail: slow})
    assert answer.tool_calls == (call,)
    assert [one.seen for one in slow] == [["to", "ada", "note", "thanks"]] * 2


@pytest.mark.parametrize("kind", [Slow, AsyncSlow])
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_one_of_several_at_once_blocks_and_a_cheap_one_before_them(way, kind, ask):
    meeting = Meeting(2)
    slow = [kind("a", meeting), kind("b", meeting, "block")]
    with use_provider(ScriptedProvider(["Good day"])), pytest.raises(llmops.GuardrailViolation) as caught:
        ask(way, guards={"output": slow})
    assert caught.value.guard == "b"
    cheap = DetectorGuard(TopicsDetector(deny=["lottery"]), "block")
    with use_provider(ScriptedProvider(["The lottery"])), pytest.raises(llmops.GuardrailViolation) as caught:
        ask(way, guards={"output": [*slow, cheap]})
    assert caught.value.guard == "topics"
    assert [one.seen for one in slow] == [["Good day"]] * 2


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_guard_that_replaces_the_text_parts_the_slow_ones(way, ask):
    """Each group has its own meeting: three guards that wait for each other over the border would never end."""
    first, second = Meeting(2), Meeting(2)
    before, after = [Slow(name, first) for name in "ab"], [Slow(name, second) for name in "cd"]
    redact = DetectorGuard(TopicsDetector(deny=["lottery"]), "redact")
    with use_provider(ScriptedProvider([["The lot", "tery wins."]])):
        answer = ask(way, guards={"output": [*before, redact, *after]})
    assert answer.text == "The [TOPIC] wins."
    assert [one.seen for one in before] == [["The lottery wins."]] * 2
    assert [one.seen for one in after] == [["The [TOPIC] wins."]] * 2


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_guard_that_has_settled_a_part_checks_its_rest_only(way, ask):
    """Guards of one group may wait with texts of different lengths."""

    class Words:
        name, version, keeps_text = "words", "1", True

        def __init__(self) -> None:
            self.seen: list[str] = []

        def settled(self, text: str) -> int:
            return text.rfind(" ") + 1

        def check(self, text: str, context: GuardContext) -> Verdict:
            self.seen.append(text)
            return Verdict("flag")

    for order in (0, 2):
        meeting, words = Meeting(2), Words()
        guards = [Slow("a", meeting), Slow("b", meeting)]
        guards.insert(order, words)
        with use_provider(ScriptedProvider([list("one two three")])):
            assert ask(way, guards={"output": guards}).text == "one two three"
        assert "".join(words.seen) == "one two three"
        assert len(words.seen) == (3 if order == 0 else 1)
        assert [one.seen for one in guards if one is not words] == [["one two three"]] * 2


def test_items_of_a_generator_are_checked_side_by_side():
    meeting = Meeting(2)
    slow = [Slow(name, meeting) for name in "ab"]

    @llmops.guard(output=slow)
    def items():
        yield "Good "
        yield ["other"]
        yield "day"
        return "done"

    assert list(items()) == ["Good ", ["other"], "day"]
    assert [one.seen for one in slow] == [["other", "Good day", "done"]] * 2
