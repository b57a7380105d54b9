"""Guards beside the call: nothing leaves before their verdict, and a block cancels the call."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.guardrails import Verdict
from llmops_sdk.providers import Chunk, Response, Usage, WrapperProvider
from llmops_sdk.testing import capture_traces, use_provider

MODEL = "openai/gpt-4.1-mini"
USAGE = Usage(input_tokens=7, output_tokens=3)


class Paused(WrapperProvider):
    """A model that says when it was asked, and that waits before its answer ends."""

    name = "openai"

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.cancelled = 0
        self.ended = 0

    def complete(self, request: Any) -> Response:
        self.asked.set()
        assert self.go_on.wait(60)
        self.ended += 1
        return Response(text="fine", usage=USAGE, cost=0.5, finish_reason="stop", model="m", provider="openai")

    async def acomplete(self, request: Any) -> Response:
        self.asked.set()
        try:
            await asyncio.to_thread(self.go_on.wait, 60)
        except asyncio.CancelledError:
            self.cancelled += 1
            self.go_on.set()  # the thread that waits ends, too
            raise
        self.ended += 1
        return Response(text="fine", usage=USAGE, cost=0.5, finish_reason="stop", model="m", provider="openai")

    def stream(self, request: Any) -> Any:
        try:
            yield Chunk(text="fi", usage=Usage(input_tokens=7))
            self.asked.set()
            assert self.go_on.wait(60)
            yield Chunk(text="ne", finish_reason="stop", usage=USAGE)
            self.ended += 1
        except GeneratorExit:
            self.cancelled += 1
            raise

    async def astream(self, request: Any) -> Any:
        try:
            yield Chunk(text="fi", usage=Usage(input_tokens=7))
            self.asked.set()
            await asyncio.to_thread(self.go_on.wait, 60)
            yield Chunk(text="ne", finish_reason="stop", usage=USAGE)
            self.ended += 1
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled += 1
            self.go_on.set()
            raise


class Judge:
    """Decides when the model has been asked, or when the test says so."""

    name, version, keeps_text = "judge", "1", True

    def __init__(self, action: Any, model: Paused, *, lets_go: bool) -> None:
        self.action, self.model, self.lets_go = action, model, lets_go
        self.released: list[str] = []
        self.seen: list[str] = []

    def check(self, text: str, context: Any) -> Verdict:
        assert self.model.asked.wait(60), "the call must begin before the verdict"
        assert not self.released, "nothing may leave before the verdict"
        if self.lets_go:
            self.model.go_on.set()
        return Verdict(self.action, reason="judged")

    async def acheck(self, text: str, context: Any) -> Verdict:
        return await asyncio.to_thread(self.check, text, context)


def ask(way: str, judge: Judge, **options: Any) -> str:
    options = {"model": MODEL, "retry": False, "guards": {"input": [judge]}} | options

    async def gather() -> str:
        if way == "achat":
            return (await llmops.achat("Hi", **options)).text
        async for chunk in llmops.astream("Hi", **options):
            judge.released.append(chunk.text)
        return "".join(judge.released)

    if way == "chat":
        return llmops.chat("Hi", **options).text
    if way == "stream":
        for chunk in llmops.stream("Hi", **options):
            judge.released.append(chunk.text)
        return "".join(judge.released)
    return asyncio.run(gather())


@pytest.fixture(autouse=True)
def speculative():
    llmops.configure(model=MODEL, guardrails={"speculative": True})


@pytest.mark.parametrize("way", ["chat", "achat", "stream", "astream"])
def test_the_call_begins_before_the_verdict_and_nothing_leaves_before_it(way):
    model = Paused()
    judge = Judge("pass", model, lets_go=True)
    with use_provider(model), capture_traces() as traces:
        assert ask(way, judge) == "fine"
    (call,) = [span for span in traces.spans if span.kind == "llm"]
    assert [event.attributes["action"] for event in call.events if event.name == "llmops.guard.verdict"] == ["pass"]
    assert "Hi" in repr(call.attributes)


@pytest.mark.parametrize("way", ["achat", "astream"])
def test_a_block_cancels_an_async_call(way):
    model = Paused()
    judge = Judge("block", model, lets_go=False)
    with use_provider(model), capture_traces() as traces:
        with pytest.raises(llmops.GuardrailViolation, match="judged"):
            ask(way, judge)
        model.go_on.set()
    assert (model.cancelled, model.ended, judge.released) == (1, 0, [])
    (call,) = [span for span in traces.spans if span.kind == "llm"]
    assert call.status == "error"
    assert "Hi" not in repr(call.attributes)
    assert call.attributes.get("llmops.attempts") != 0
    if way == "astream":
        assert call.attributes["gen_ai.usage.input_tokens"] == 7


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_a_blocked_sync_call_gives_nothing_and_its_tokens_are_recorded(way):
    model = Paused()
    judge = Judge("block", model, lets_go=True)
    with use_provider(model), capture_traces() as traces, pytest.raises(llmops.GuardrailViolation, match="judged"):
        ask(way, judge)
    assert judge.released == []
    (call,) = [span for span in traces.spans if span.kind == "llm"]
    assert call.attributes["gen_ai.usage.input_tokens"] == 7
    assert "fine" not in repr(call.attributes)


def test_no_tool_runs_before_the_verdict():
    ran: list[str] = []

    def transfer(amount: int) -> str:
        ran.append("ran")
        return "done"

    class Tools(Paused):
        async def acomplete(self, request: Any) -> Response:
            self.asked.set()
            call = llmops.ToolCall(id="1", name="transfer", arguments='{"amount": 1}')
            return Response(tool_calls=(call,), finish_reason="tool_calls", usage=USAGE)

    model = Tools()
    judge = Judge("block", model, lets_go=False)

    async def main() -> None:
        answer = await llmops.achat("Hi", model=MODEL, tools=[transfer], guards={"input": [judge]})
        for call in answer.tool_calls:
            call.run([transfer])

    with use_provider(model), pytest.raises(llmops.GuardrailViolation):
        asyncio.run(main())
    assert ran == []


@pytest.mark.parametrize("way", ["chat", "achat", "stream", "astream"])
def test_an_error_of_the_call_is_the_callers(way):
    class Broken(Paused):
        def complete(self, request: Any) -> Response:
            self.asked.set()
            raise llmops.ServerError("down", status_code=503)

        async def acomplete(self, request: Any) -> Response:
            return self.complete(request)

        def stream(self, request: Any) -> Any:
            yield self.complete(request)

        async def astream(self, request: Any) -> Any:
            yield self.complete(request)

    model = Broken()
    with use_provider(model), pytest.raises(llmops.ServerError):
        ask(way, Judge("pass", model, lets_go=False))


def test_guards_that_replace_the_text_run_before_the_call(custom):
    model = Paused()
    model.go_on.set()
    upper = custom(lambda text: Verdict("redact", text.upper()))
    seen: list[Any] = []

    class Keeping(Paused):
        def complete(self, request: Any) -> Response:
            seen.append(request.messages[0]["content"])
            return super().complete(request)

    model = Keeping()
    judge = Judge("pass", model, lets_go=True)
    with use_provider(model):
        assert ask("chat", judge, guards={"input": [upper, judge]}) == "fine"
    assert seen == ["HI"]


def test_a_consumer_that_leaves_ends_the_call():
    model = Paused()
    model.go_on.set()

    async def main() -> None:
        judge = Judge("pass", model, lets_go=True)
        async with llmops.astream("Hi", model=MODEL, guards={"input": [judge]}) as chunks:
            async for _ in chunks:
                break
        assert len(asyncio.all_tasks()) == 1

    with use_provider(model):
        asyncio.run(main())
