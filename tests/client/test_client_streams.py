"""Streamed answers: one span, the caller's context untouched, and every way to leave."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator

import pytest

import llmops_sdk as llmops
from llmops_sdk.providers import Chunk, Request, Usage
from llmops_sdk.testing import ScriptedProvider, use_provider

TEXT = "one two three four"


def test_a_stream_yields_chunks_then_the_whole_response(rows):
    stream = llmops.stream(TEXT)
    texts = [chunk.text for chunk in stream]
    assert "".join(texts) == TEXT
    assert len(texts) > 2
    response = stream.response
    assert (response.text, response.finish_reason) == (TEXT, "stop")
    assert [attempt.status for attempt in response.attempts] == ["ok"]
    (span,) = rows("SELECT *, attributes->>'gen_ai.request.stream' AS streamed FROM llm_calls")
    assert (span["name"], span["status"], span["streamed"]) == ("chat echo", "ok", "true")
    assert (span["trace_id"], span["span_id"]) == (response.trace_id, response.span_id)
    assert span["output_tokens"] == response.usage.output_tokens > 0
    assert 0 <= span["ttft_ms"] <= span["duration_ms"]
    assert TEXT in span["output_messages"]
    assert span["attempts"] == 1


def test_reading_the_response_early_raises():
    stream = llmops.stream(TEXT)
    with pytest.raises(llmops.LLMOpsError, match="exhaust it or close it"):
        _ = stream.response
    next(stream)
    with pytest.raises(llmops.LLMOpsError, match="exhaust it or close it"):
        _ = stream.response
    stream.close()
    assert stream.response.text == "one"


def test_nothing_is_recorded_of_a_stream_that_is_never_iterated(rows):
    llmops.stream(TEXT).close()
    abandoned = llmops.stream(TEXT)
    del abandoned
    gc.collect()
    llmops.chat("Say hello")
    assert rows("SELECT count(*) AS calls FROM llm_calls") == [{"calls": 1}]


@pytest.mark.parametrize("leave", ["close", "with", "break"])
def test_leaving_early_ends_the_span_as_closed(leave, rows):
    stream = llmops.stream(TEXT)
    if leave == "with":
        with stream:
            next(stream)
    else:
        for _ in stream:
            break
        if leave == "close":
            stream.close()
            stream.close()
    if leave == "break":
        del stream
        gc.collect()
    else:
        assert (stream.response.text, stream.response.finish_reason) == ("one", None)
        assert list(stream) == []
    (span,) = rows("SELECT status, output_tokens FROM llm_calls")
    assert span == {"status": "closed", "output_tokens": None}
    (attempt,) = rows("SELECT status FROM attempts")
    assert attempt == {"status": "cancelled"}


def test_the_span_is_current_only_inside_next(rows):
    with llmops.span("request") as above:
        first, second = llmops.stream(TEXT), llmops.stream(TEXT)
        next(first)
        next(second)
        assert llmops.current_span().span_id == above.span_id
        list(first)
        assert llmops.current_span().span_id == above.span_id
        list(second)
    parents = rows("SELECT DISTINCT parent_span_id FROM llm_calls")
    assert parents == [{"parent_span_id": above.span_id}]


def test_the_span_is_a_child_of_where_the_stream_was_made(rows):
    with llmops.span("handler") as above, llmops.context(session_id="s-1"):
        stream = llmops.stream(TEXT)
    # As a web framework does: iterated after the handler has returned, in another context.
    contextvars.Context().run(list, stream)
    assert rows("SELECT parent_span_id, session_id FROM llm_calls") == [
        {"parent_span_id": above.span_id, "session_id": "s-1"}
    ]


def test_an_error_before_the_first_chunk_ends_the_span(rows):
    llmops.configure(options={"failures": {"sequence": ["bad_request"]}})
    stream = llmops.stream(TEXT)
    with pytest.raises(llmops.BadRequestError) as caught:
        next(stream)
    assert len(caught.value.attempts) == 1
    assert list(stream) == []
    assert rows("SELECT status, error_type FROM llm_calls") == [{"status": "error", "error_type": "BadRequestError"}]


def test_a_failure_before_the_first_chunk_is_retried(rows):
    llmops.configure(options={"failures": {"sequence": ["server"]}}, retry={"base": 0.001})
    stream = llmops.stream(TEXT)
    assert "".join(chunk.text for chunk in stream) == TEXT
    assert [attempt.status for attempt in stream.response.attempts] == ["error", "ok"]
    assert rows("SELECT status, attempts FROM llm_calls") == [{"status": "ok", "attempts": 2}]


def test_a_broken_stream_raises_with_its_partial_answer(rows):
    llmops.configure(options={"failures": {"sequence": ["interrupted"]}})
    stream = llmops.stream(TEXT)
    seen: list[str] = []
    with pytest.raises(llmops.StreamInterruptedError) as caught:
        seen.extend(chunk.text for chunk in stream)
    partial = caught.value.partial
    assert TEXT.startswith(partial.text)
    assert partial.text
    assert stream.response == partial
    (span,) = rows("SELECT status, error_type, span_id FROM llm_calls")
    assert span == {"status": "error", "error_type": "StreamInterruptedError", "span_id": partial.span_id}


async def test_an_async_stream_yields_chunks_then_the_response(rows):
    stream = llmops.astream(TEXT)
    assert "".join([chunk.text async for chunk in stream]) == TEXT
    assert stream.response.finish_reason == "stop"
    assert "".join([chunk.text async for chunk in await llmops.astream(TEXT)]) == TEXT
    assert rows("SELECT count(*) AS calls, count(ttft_ms) AS timed FROM llm_calls WHERE status = 'ok'") == [
        {"calls": 2, "timed": 2}
    ]


@pytest.mark.parametrize("leave", ["aclose", "with", "break"])
async def test_leaving_an_async_stream_early_ends_the_span_as_closed(leave, rows):
    with llmops.span("request") as above:
        stream = llmops.astream(TEXT)
        if leave == "with":
            async with stream:
                await anext(stream)
        else:
            async for _ in stream:
                break
            if leave == "aclose":
                await stream.aclose()
        if leave == "break":
            del stream
            gc.collect()
            await asyncio.sleep(0)
        else:
            assert stream.response.text == "one"
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        assert llmops.current_span().span_id == above.span_id
    assert rows("SELECT status FROM llm_calls") == [{"status": "closed"}]


async def test_a_cancelled_consumer_closes_the_stream(rows):
    llmops.configure(options={"tokens_per_second": 0.001})
    first = asyncio.Event()

    async def consume() -> None:
        async for _ in llmops.astream(TEXT):
            first.set()

    task = asyncio.create_task(consume())
    await first.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rows("SELECT status FROM llm_calls") == [{"status": "closed"}]
    assert rows("SELECT status FROM attempts") == [{"status": "cancelled"}]


async def test_asyncio_timeout_around_a_stream_fires(rows):
    llmops.configure(options={"tokens_per_second": 0.001})

    async def consume() -> None:
        async with asyncio.timeout(0.05):
            async for _ in llmops.astream(TEXT):
                pass

    with pytest.raises(TimeoutError):
        await consume()
    assert rows("SELECT status FROM llm_calls") == [{"status": "closed"}]


@pytest.mark.parametrize("how", ["cancel", "aclose", "break"])
async def test_a_stream_that_is_left_has_the_tokens_and_cost_that_are_known(how, rows):
    known = Chunk(text="one", usage=Usage(input_tokens=7, output_tokens=1), cost=0.25, model="m", provider="p")
    first = asyncio.Event()

    async def chunks(request: Request) -> AsyncIterator[Chunk]:
        yield known
        first.set()
        await asyncio.Event().wait()

    async def consume() -> None:
        async with llmops.astream("Hi") as stream:
            async for _ in stream:
                if how == "aclose":
                    await stream.aclose()
                elif how == "break":
                    break

    provider = ScriptedProvider(["unused"])
    provider.astream = chunks
    with use_provider(provider):
        task = asyncio.create_task(consume())
        if how == "cancel":
            await first.wait()
            task.cancel()
        _ = await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled() is (how == "cancel")
    assert rows("SELECT status, input_tokens, output_tokens, cost FROM llm_calls") == [
        {"status": "closed", "input_tokens": 7, "output_tokens": 1, "cost": 0.25}
    ]


async def test_interleaved_async_streams_are_siblings(rows):
    with llmops.span("request") as above:
        first, second = llmops.astream("a b c"), llmops.astream("d e f")
        got = [await anext(first), await anext(second), await anext(first), await anext(second)]
        assert "".join(chunk.text for chunk in got) == "ad b e"
        await second.aclose()
        await first.aclose()
    assert rows("SELECT DISTINCT parent_span_id FROM llm_calls") == [{"parent_span_id": above.span_id}]


def test_wrong_arguments_raise_before_iteration():
    with pytest.raises(TypeError, match="temperature"):
        llmops.stream(TEXT, temprature=1)
    with pytest.raises(llmops.ConfigError):
        llmops.astream(TEXT, model="no-such-model")
