"""Case 4, measured case 10: a guard that raises, hangs or is cancelled blocks when closed and passes when open."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from guarded_values import VALUES

import llmops_sdk as llmops
from llmops_sdk import guardrails
from llmops_sdk.guardrails import Verdict, check
from llmops_sdk.testing import ScriptedProvider, capture_traces, use_provider

WAYS = ("chat", "achat", "stream", "astream")
RAILS = ("input", "output")
CARD = VALUES["card"].text
PROMPT = f"My card is {CARD}."
ANSWER = f"Your card is {CARD}."


class Failing:
    """Raises an error whose message, notes, cause and context have the text."""

    name, version = "failing", "1"

    def check(self, text: str, context: Any) -> Verdict:
        try:
            raise KeyError(text)
        except KeyError as cause:
            error = ValueError(f"cannot read {text!r}")
            error.add_note(f"the text was {text}")
            raise error from cause


class AsyncFailing(Failing):
    """The same, async."""

    async def acheck(self, text: str, context: Any) -> Verdict:
        await asyncio.sleep(0)
        return self.check(text, context)


class Wrong:
    """Gives something else than a verdict."""

    name, version = "failing", "1"

    def __init__(self, result: Any) -> None:
        self.result = result

    def check(self, text: str, context: Any) -> Any:
        return self.result


class Settling:
    """Redacts cards, and gives a wrong answer, an error or none when it is asked what has settled."""

    name, version = "settling", "1"

    def __init__(self, length: Any) -> None:
        self.length = length

    def check(self, text: str, context: Any) -> Verdict:
        return Verdict("redact", text.replace(CARD, "[X]"))

    def settled(self, text: str) -> Any:
        if isinstance(self.length, Exception):
            raise self.length
        if isinstance(self.length, threading.Event):
            assert self.length.wait(60)
        return self.length


class Hanging:
    """Hangs until the test ends."""

    name, version = "failing", "1"

    def __init__(self, over: threading.Event) -> None:
        self.over = over

    def check(self, text: str, context: Any) -> Verdict:
        assert self.over.wait(60)
        return Verdict("pass")


class AsyncHanging(Hanging):
    """Hangs in its coroutine."""

    async def acheck(self, text: str, context: Any) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


@pytest.fixture
def over() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def told(error: BaseException) -> str:
    """Return everything that an error shows: message, notes, causes, traceback, pickle, fields."""
    lines = traceback.format_exception(error)
    parts = [*lines, str(error), repr(error), repr(error.args), repr(vars(error)), repr(pickle.dumps(error))]
    return "\n".join([*parts, *(repr(one) for one in (error.__cause__, error.__context__))])


def verdicts(traces: Any) -> list[tuple[str, ...]]:
    """Return guard, rail, action and reason of each recorded verdict."""
    events = [event for span in traces.spans for event in span.events if event.name == "llmops.guard.verdict"]
    return [tuple(event.attributes.get(name, "") for name in ("guard", "rail", "action", "reason")) for event in events]


def recorded(traces: Any) -> str:
    return repr([(one.attributes, one.events, one.status_message, one.input, one.output) for one in traces.spans])


FAILING = {
    "raises": Failing(),
    "raises async": AsyncFailing(),
    "no verdict": Wrong(("redact", CARD)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rail", RAILS)
@pytest.mark.parametrize("guard", FAILING.values(), ids=list(FAILING))
def test_a_guard_that_fails_blocks_and_tells_nothing_of_the_text(guard, rail, way, ask, caplog):
    """Case 4, case 7: closed. The guard's error has the text; what the caller, the log and the trace get has not."""
    caplog.set_level(logging.DEBUG)
    with use_provider(ScriptedProvider([ANSWER])) as model, capture_traces() as traces:
        with pytest.raises(llmops.GuardrailViolation) as caught:
            ask(way, PROMPT, guards={rail: [guard]})
        if rail == "input":
            assert model.requests == ()
        (row,) = verdicts(traces)
        seen = recorded(traces)
    assert row[:3] == ("failing", rail, "block")
    assert row[3].startswith("guard failed: ")
    assert (caught.value.guard, caught.value.rail) == ("failing", rail)
    assert CARD not in told(caught.value)
    assert CARD not in caplog.text
    if rail == "output":
        assert ANSWER not in seen


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rail", RAILS)
@pytest.mark.parametrize("guard", FAILING.values(), ids=list(FAILING))
def test_an_open_guard_that_fails_passes_with_a_recorded_verdict(guard, rail, way, ask, caplog):
    """Case 4: open. The guard after it still redacts, and the reason has none of the text."""
    caplog.set_level(logging.DEBUG)
    failing = guardrails.configure(guard, on_error="open")
    with use_provider(ScriptedProvider([ANSWER])) as model, capture_traces() as traces:
        answer = ask(way, PROMPT, guards={rail: [failing, "cards"]})
        rows = verdicts(traces)
    text = model.requests[0].messages[0]["content"] if rail == "input" else answer.text
    assert text.endswith("card is [CARD].")
    assert {row[:3] for row in rows} == {("failing", rail, "error"), ("cards", rail, "redact")}
    assert CARD not in repr(rows) + caplog.text


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("length", [ValueError(CARD), None, -1, 10**9, 3.5, "7"], ids=str)
def test_a_guard_that_cannot_tell_what_settled_checks_the_whole_text(length, way, ask, caplog):
    """Case 4: `settled` is code of the guard, too; nothing leaves unchecked because its result is wrong."""
    caplog.set_level(logging.DEBUG)
    with use_provider(ScriptedProvider([list(ANSWER)])):
        assert ask(way, guards={"output": [Settling(length)]}).text == "Your card is [X]."
    assert CARD not in caplog.text


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_guard_that_hangs_in_settled_ends_with_its_budget(way, ask, over):
    """Case 4: the budget also bounds `settled`."""
    closed, opened = (guardrails.configure(Settling(over), timeout=0.005, on_error=how) for how in ("closed", "open"))
    with use_provider(ScriptedProvider([list(ANSWER)], repeat=True)):
        with pytest.raises(llmops.GuardrailViolation):
            ask(way, guards={"output": [closed]})
        assert ask(way, guards={"output": [opened]}).text == ANSWER
    assert not over.is_set()


def test_options_of_a_guard_add_up(over):
    """Case 4: giving a guard another option does not take its time bound away."""
    guard = guardrails.configure(guardrails.configure(Hanging(over), timeout=0.005), on_error="open")
    assert check(PROMPT, [guard]).text == PROMPT
    assert not over.is_set()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rail", RAILS)
@pytest.mark.parametrize("make", [Hanging, AsyncHanging])
def test_a_guard_that_hangs_ends_with_its_budget(make, rail, way, ask, over):
    """Case 4, measured case 10: closed blocks, open passes; neither waits for the guard."""
    closed, opened = (guardrails.configure(make(over), timeout=0.005, on_error=how) for how in ("closed", "open"))
    with use_provider(ScriptedProvider([ANSWER, ANSWER])), capture_traces() as traces:
        with pytest.raises(llmops.GuardrailViolation) as caught:
            ask(way, PROMPT, guards={rail: [closed]})
        assert ask(way, PROMPT, guards={rail: [opened]}).text == ANSWER
        rows = verdicts(traces)
    late = "the guard took longer than its time"
    assert rows == [("failing", rail, action, late) for action in ("block", "error")]
    assert not over.is_set()
    assert CARD not in told(caught.value)


def test_a_function_with_a_hanging_or_failing_guard(over):
    """Case 4: `@llmops.guard` keeps the same promises, for arguments, results, and items of a generator."""

    def guarded(guard: Any, **rails: Any) -> Any:
        @llmops.guard(**{rail: [guard] for rail in rails})
        def ask(text: str) -> str:
            return text

        return ask

    hanging = guardrails.configure(Hanging(over), timeout=0.005)
    for guard in (hanging, Failing(), Wrong(None)):
        for rail in ("input", "output", "documents"):
            with pytest.raises(llmops.GuardrailViolation) as caught:
                guarded(guard, **{rail: True})(PROMPT)
            assert CARD not in "".join(traceback.format_exception_only(caught.value))
            assert "cannot read" not in told(caught.value)
            assert guarded(guardrails.configure(guard, on_error="open"), **{rail: True})(PROMPT) == PROMPT


def test_check_with_a_failing_guard():
    """Case 4: `check` tells "error" and gives nothing out, unless it is open."""
    closed = check(PROMPT, [Failing()])
    assert (closed.action, closed.text) == ("block", "")
    opened = check(PROMPT, [guardrails.configure(Failing(), on_error="open")])
    assert opened.text == PROMPT
    assert CARD not in repr([(one.action, one.reason, one.guard) for one in (*closed.verdicts, *opened.verdicts)])


@pytest.mark.parametrize("rail", RAILS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_cancelled_in_its_guard_ends_and_the_guard_serves_on(rail, streamed):
    """Case 4: the task ends as cancelled, nothing leaves, and the next call through the same object is checked."""
    entered = asyncio.Event()
    cancelled: list[bool] = []

    class Waiting:
        name, version = "waiting", "1"
        waits = True

        def check(self, text: str, context: Any) -> Verdict:
            raise AssertionError("async calls use acheck")

        async def acheck(self, text: str, context: Any) -> Verdict:
            if not self.waits:
                return Verdict("redact", text.replace(CARD, "[X]"))
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(True)
            raise AssertionError("nobody sets it")

    guard = Waiting()
    seen: list[str] = []

    async def call() -> None:
        options: Any = {"model": "openai/gpt-4.1-mini", "guards": {rail: [guard]}}
        if streamed:
            async for chunk in llmops.astream(PROMPT, **options):
                seen.append(chunk.text)  # noqa: PERF401 - also what came before a cancellation
        else:
            seen.append((await llmops.achat(PROMPT, **options)).text)

    with use_provider(ScriptedProvider([ANSWER], repeat=True)) as model, capture_traces() as traces:
        task = asyncio.create_task(call())
        await asyncio.wait_for(entered.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == []
        assert cancelled == [True]
        (span,) = traces.spans
        assert span.status in {"cancelled", "closed"}
        assert ANSWER not in recorded(traces)
        guard.waits = False
        await call()
    assert "".join(seen) == (ANSWER if rail == "input" else ANSWER.replace(CARD, "[X]"))
    assert CARD in model.requests[0].messages[0]["content"] or rail == "input"


@pytest.mark.parametrize("way", ["achat", "astream"])
@pytest.mark.parametrize("rail", RAILS)
def test_a_guard_that_raises_cancelled_by_itself_lets_nothing_pass(rail, way, ask):
    """Case 4: an error that looks like a cancellation is no way around a closed guard."""

    class Cancelling:
        name, version = "cancelling", "1"

        def check(self, text: str, context: Any) -> Verdict:
            raise AssertionError("async calls use acheck")

        async def acheck(self, text: str, context: Any) -> Verdict:
            raise asyncio.CancelledError

    with use_provider(ScriptedProvider([ANSWER])) as model:
        with pytest.raises((asyncio.CancelledError, llmops.GuardrailViolation)):
            ask(way, PROMPT, guards={rail: [Cancelling()]})
        assert rail == "output" or model.requests == ()


def test_the_configuration_decides_and_the_guard_overrides(ask):
    """Case 4: `on_error` of `[guardrails]` holds for guards without their own."""
    llmops.configure(guardrails={"on_error": "open"})
    with use_provider(ScriptedProvider([ANSWER], repeat=True)):
        assert ask("chat", PROMPT, guards={"output": [Failing()]}).text == ANSWER
        with pytest.raises(llmops.GuardrailViolation):
            ask("chat", PROMPT, guards={"output": [guardrails.configure(Failing(), on_error="closed")]})
