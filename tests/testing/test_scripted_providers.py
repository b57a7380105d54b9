"""Scripted and failing providers: each type of entry for each way of calling, and errors of a wrong script."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import llmops_sdk as llmops
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, ToolCall, Usage
from llmops_sdk.testing import FailingProvider, ScriptedProvider, ScriptError, use_provider

ASKED = Request(model="openai/gpt-x", messages=[{"role": "user", "content": "How are you?"}])


async def _all(provider: Provider) -> list[Chunk]:
    return [chunk async for chunk in provider.astream(ASKED)]


def test_scripted_and_failing_are_providers():
    assert isinstance(ScriptedProvider([]), Provider)
    assert isinstance(FailingProvider(ValueError("x")), Provider)


def test_a_text_answers_every_way_of_calling():
    provider = ScriptedProvider(["Good day."] * 4)
    whole = [provider.complete(ASKED), asyncio.run(provider.acomplete(ASKED))]
    pieces = [list(provider.stream(ASKED)), asyncio.run(_all(provider))]

    assert whole[0] == whole[1]
    assert (whole[0].text, whole[0].finish_reason, whole[0].simulated) == ("Good day.", "stop", True)
    assert (whole[0].model, whole[0].provider) == ("gpt-x", "scripted")
    assert whole[0].usage.input_tokens > 0
    assert whole[0].usage.output_tokens > 0
    assert pieces[0] == pieces[1]
    assert "".join(chunk.text for chunk in pieces[0]) == "Good day."
    assert (pieces[0][-1].finish_reason, pieces[0][-1].usage) == ("stop", whole[0].usage)
    assert provider.requests == (ASKED,) * 4
    assert provider.remaining == 0


def test_a_response_keeps_its_own_fields():
    call = ToolCall(id="c1", name="look_up", arguments='{"id": 7}')
    given = llmops.Response(tool_calls=(call,), usage=Usage(input_tokens=7), cost=0.5, model="m", provider="p")
    with use_provider(ScriptedProvider([given, given])):
        answer = llmops.chat("Hi")
        stream = llmops.stream("Hi")
        list(stream)
    for got in (answer, stream.response):
        assert got.tool_calls == (call,)
        assert (got.finish_reason, got.cost, got.usage.input_tokens) == ("tool_calls", 0.5, 7)
        assert (got.model, got.provider, got.simulated) == ("m", "p", True)


def test_pieces_are_streamed_in_order():
    pieces = ["One ", Chunk(text="two", reasoning="hm"), "."]
    with use_provider(ScriptedProvider([pieces, pieces, [Chunk(text="cut", finish_reason="length")]])):
        stream = llmops.stream("Hi")
        assert [chunk.text for chunk in stream] == ["One ", "two", ".", ""]
        assert stream.response.reasoning == "hm"
        assert stream.response.finish_reason == "stop"
        assert llmops.chat("Hi").text == "One two."
        assert llmops.chat("Hi").finish_reason == "length"


def test_a_stream_breaks_where_the_script_says():
    broken = llmops.StreamInterruptedError("reset")
    with use_provider(ScriptedProvider([["One ", "two", broken], ["One", ValueError("mine")]])):
        stream = llmops.stream("Hi")
        seen: list[str] = []
        with pytest.raises(llmops.StreamInterruptedError, match="reset") as caught:
            seen.extend(chunk.text for chunk in stream)
        assert caught.value.partial.text == "One two"
        assert caught.value.model == "offline/echo"
        with pytest.raises(ValueError, match="mine"):
            llmops.chat("Hi")
    assert broken.partial is None  # the script's own is not written to


def test_errors_are_raised_anew_for_each_call():
    slow = llmops.RateLimitError("slow down", status_code=429, retry_after=0.0)
    provider = ScriptedProvider([slow, slow, llmops.ServerError, KeyboardInterrupt])
    with use_provider(provider):
        with pytest.raises(llmops.ServerError) as caught:
            llmops.chat("Hi", retry={"attempts": 3, "base": 0.001})
        assert [one.error_type for one in caught.value.attempts] == ["RateLimitError"] * 2 + ["ServerError"]
        assert [one.status_code for one in caught.value.attempts] == [429, 429, None]
        with pytest.raises(KeyboardInterrupt):
            llmops.chat("Hi")
    assert slow.attempts == ()
    assert slow.model is None


def test_a_function_answers_from_the_request():
    with use_provider(ScriptedProvider([lambda request: request.messages[-1]["content"].upper()], repeat=True)):
        assert [llmops.chat(text).text for text in ("one", "two")] == ["ONE", "TWO"]


def test_embeddings_answer_embed_and_nothing_else():
    made = Embeddings(vectors=[[1.0], [2.0]])
    with use_provider(ScriptedProvider([made, made, llmops.ServerError, "text", made, "text"])):
        assert llmops.embed(["a", "b"]).vectors == [[1.0], [2.0]]
        with pytest.raises(ScriptError, match="call 2 asks for 1 vectors; the script has 2"):
            llmops.embed(["a"])
        assert llmops.LLM(retry=False)
        with pytest.raises(ScriptError, match="call 4 asks for vectors; the script has an object of type str"):
            llmops.embed(["a", "b"])
        with pytest.raises(ScriptError, match="call 5 asks for an answer; the script has an object of type Embeddings"):
            llmops.chat("Hi")


def test_a_script_at_its_end_raises_without_a_retry():
    provider = ScriptedProvider(["one"])
    with use_provider(provider):
        llmops.chat("Hi")
        with pytest.raises(ScriptError, match="call 2 comes after the end of the script, which has 1"):
            llmops.chat("Hi")
    assert len(provider.requests) == 2
    with use_provider(ScriptedProvider([], repeat=True)), pytest.raises(ScriptError, match="which has 0"):
        llmops.chat("Hi")


def test_values_that_are_not_scripts_raise():
    with pytest.raises(TypeError, match=r"give a list, as in \['hello'\]"):
        ScriptedProvider("hello")
    with pytest.raises(TypeError, match="is not an exception"):
        FailingProvider("error")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with use_provider(ScriptedProvider([int, [3]])):  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError):
            llmops.chat("Hi")
        with pytest.raises(ScriptError, match="an object of type int is not a piece of a stream"):
            llmops.chat("Hi")


def test_each_entry_is_taken_once_by_many_threads():
    provider = ScriptedProvider([str(n) for n in range(200)])
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: provider.complete(ASKED).text, range(200)))
    assert sorted(texts, key=int) == [str(n) for n in range(200)]


@pytest.mark.parametrize("way", ["complete", "acomplete", "stream", "astream"])
def test_failing_raises_its_times_then_answers(way: str):
    provider = FailingProvider(llmops.ServerError("down", status_code=503), times=2, then="back")

    def ask() -> str:
        if way == "complete":
            return provider.complete(ASKED).text
        if way == "acomplete":
            return asyncio.run(provider.acomplete(ASKED)).text
        chunks = list(provider.stream(ASKED)) if way == "stream" else asyncio.run(_all(provider))
        return "".join(chunk.text for chunk in chunks)

    for _ in range(2):
        with pytest.raises(llmops.ServerError) as caught:
            ask()
        assert (caught.value.status_code, caught.value.model) == (503, "openai/gpt-x")
    assert [ask(), ask()] == ["back", "back"]
    assert (provider.failures, len(provider.requests)) == (2, 4)


def test_failing_may_never_answer_or_answer_with_a_provider():
    always = FailingProvider(llmops.AuthenticationError)
    for _ in range(3):
        with pytest.raises(llmops.AuthenticationError):
            always.complete(ASKED)
    assert always.failures == 3
    scripted = ScriptedProvider([Embeddings(vectors=[[1.0]]), Embeddings(vectors=[[2.0]])])
    vectors = FailingProvider(llmops.ServerError, times=1, then=scripted)
    with pytest.raises(llmops.ServerError):
        vectors.embed(["a"], ASKED)
    assert vectors.embed(["a"], ASKED).vectors == [[1.0]]
    assert asyncio.run(vectors.aembed(["a"], ASKED)).vectors == [[2.0]]


def test_nothing_is_taken_before_the_first_piece_is_asked_for():
    provider = ScriptedProvider(["one"])
    unread = provider.stream(ASKED)
    assert provider.requests == ()
    assert next(unread).text == "one"
    assert len(provider.requests) == 1


def test_costs_follow_the_configured_prices():
    llmops.configure(
        models={"fast": {"model": "openai/gpt-x"}}, prices={"gpt-x": {"input": 1_000_000, "output": 2_000_000}}
    )
    usage = Usage(input_tokens=3, output_tokens=2)
    answer = llmops.Response(text="Good", usage=usage)
    pieces = [Chunk(text="Good"), Chunk(finish_reason="stop", usage=usage)]
    script = [answer, answer, pieces, ["Good"], Embeddings(vectors=[[1.0]], usage=usage), llmops.Response(cost=9.0)]
    with use_provider(ScriptedProvider(script)):
        assert llmops.chat("Hi", model="fast").cost == 7.0
        for expected in (7.0, 7.0, None):
            stream = llmops.stream("Hi", model="fast")
            list(stream)
            assert stream.response.cost == expected or (expected is None and stream.response.cost > 0)
        assert llmops.embed(["a"], model="fast").cost == 7.0
        assert llmops.chat("Hi", model="fast").cost == 9.0
    with use_provider(ScriptedProvider([answer])):
        assert llmops.chat("Hi", model="openai/other").cost is None
