"""`broken_stream = "restart"`: the next model starts again after a stream breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.providers import Chunk, ToolCallDelta
from llmops_sdk.testing import ManualClock, ScriptedProvider, use_clock, use_provider

BROKEN = ["One ", "two ", llmops.StreamInterruptedError("cut")]


@pytest.fixture(params=["sync", "async"])
def streamed(request: pytest.FixtureRequest) -> Any:
    """The chunks and the stream, of either way of calling."""

    async def run(**options: Any) -> tuple[list[Chunk], Any]:
        if request.param == "sync":
            stream: Any = llmops.stream("Hi", **options)
            return list(stream), stream
        astream: Any = llmops.astream("Hi", **options)
        assert isinstance(astream, AsyncIterator)
        return [chunk async for chunk in astream], astream

    return run


def models(policy: str, scripts: dict[str, list[Any]], **more: Any) -> Any:
    """Models one, two, … behind each other, each with its script."""
    names = list(scripts)
    llmops.configure(
        model=f"{names[0]}/m",
        fallbacks=[f"{name}/m" for name in names[1:]],
        fallback={"broken_stream": policy},
        **more,
    )
    stack = ExitStack()
    stack.enter_context(use_clock(ManualClock()))
    for name, script in scripts.items():
        stack.enter_context(use_provider(ScriptedProvider(script, name=name), model=f"{name}/*"))
    return stack


async def test_the_next_model_restarts_and_marks_its_first_chunk(streamed: Any):
    with models("restart", {"one": [BROKEN], "two": [["Uno ", "due."]]}):
        chunks, stream = await streamed()
    assert [(chunk.text, chunk.restarted) for chunk in chunks if chunk.text] == [
        ("One ", False), ("two ", False), ("Uno ", True), ("due.", False),
    ]  # fmt: skip
    answer = stream.response
    assert (answer.text, answer.provider, answer.finish_reason) == ("Uno due.", "two", "stop")
    assert [(one.provider, one.status, one.reason) for one in answer.attempts] == [
        ("one", "error", "first"), ("two", "ok", "fallback"),
    ]  # fmt: skip
    (row,) = llmops.query("SELECT status, provider, attempts, output_messages FROM llm_calls").rows()
    assert row[:3] == ("ok", "two", 2)
    assert "Uno due." in row[3]
    assert "One" not in row[3]


async def test_by_default_a_broken_stream_raises_with_its_partial_answer(streamed: Any):
    with models("fail", {"one": [BROKEN], "two": ["never"]}), pytest.raises(llmops.StreamInterruptedError) as raised:
        await streamed()
    assert raised.value.partial.text == "One two "
    assert [one.provider for one in raised.value.attempts] == ["one"]


async def test_the_last_model_raises_with_its_own_partial_answer(streamed: Any):
    with (
        models("restart", {"one": [BROKEN], "two": [["Uno ", llmops.StreamInterruptedError("cut too")]]}),
        pytest.raises(llmops.StreamInterruptedError) as raised,
    ):
        await streamed()
    assert raised.value.partial.text == "Uno "
    assert [one.provider for one in raised.value.attempts] == ["one", "two"]


async def test_a_third_model_restarts_after_two_failures(streamed: Any):
    scripts = {"one": [BROKEN], "two": [llmops.ServerError("down")], "three": [["Tre."]]}
    with models("restart", scripts, retry={"attempts": 1}):
        chunks, stream = await streamed()
    assert [chunk.text for chunk in chunks if chunk.restarted] == ["Tre."]
    assert (stream.response.text, stream.response.provider) == ("Tre.", "three")


async def test_tool_calls_of_the_broken_answer_are_dropped(streamed: Any):
    broken = [
        Chunk(tool_calls=(ToolCallDelta(index=0, id="a", name="find", arguments='{"x"'),)),
        llmops.StreamInterruptedError("cut"),
    ]
    whole = [Chunk(tool_calls=(ToolCallDelta(index=0, id="b", name="pay", arguments="{}"),))]
    with models("restart", {"one": [broken], "two": [whole]}):
        _, stream = await streamed()
    assert [(call.id, call.name, call.arguments) for call in stream.response.tool_calls] == [("b", "pay", "{}")]


async def test_guards_that_hold_the_stream_hide_the_broken_answer(streamed: Any):
    with models("restart", {"one": [BROKEN], "two": [["Uno ", "due."]]}, guardrails={"output": ["cards:block"]}):
        chunks, stream = await streamed()
    assert "".join(chunk.text for chunk in chunks) == "Uno due."
    assert not any(chunk.restarted for chunk in chunks)
    assert stream.response.text == "Uno due."


async def test_another_error_after_the_first_piece_does_not_restart(streamed: Any):
    with (
        models("restart", {"one": [["One ", llmops.BadRequestError("no")]], "two": ["never"]}),
        pytest.raises(llmops.BadRequestError),
    ):
        await streamed()
