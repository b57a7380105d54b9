"""Streams are stored with their chunks, and callers that ask the same at the same time read one stream along."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmops_sdk.errors import ServerError, StreamInterruptedError
from llmops_sdk.providers import Accumulator, Attempt, Chunk, ToolCallDelta, Usage

ATTEMPT = Attempt(number=1, provider="script", model="one", start_ns=1, duration_ms=5.0, status="ok")
CHUNKS = [
    Chunk(reasoning="Let me ", model="one", provider="script", raw=object()),
    Chunk(text="It is", model="one", provider="script"),
    Chunk(text=" ", model="one", provider="script"),
    Chunk(text="sunny.", model="one", provider="script"),
    Chunk(finish_reason="stop", usage=Usage(input_tokens=3, output_tokens=9), cost=0.25, attempts=(ATTEMPT,),
          model="one", provider="script"),
]  # fmt: skip
CALLS = [
    Chunk(tool_calls=(ToolCallDelta(index=0, id="c1", name="look"),), model="one", provider="script"),
    Chunk(tool_calls=(ToolCallDelta(index=0, arguments='{"at": '),), model="one", provider="script"),
    Chunk(tool_calls=(ToolCallDelta(index=0, arguments="1}"),), text="Wait", model="one", provider="script"),
    Chunk(finish_reason="tool_calls", usage=Usage(input_tokens=3, output_tokens=9), cost=0.25, model="one",
          provider="script"),
]  # fmt: skip


class Source:
    """A provider whose streams give a chunk for each permit, and raise what stands in the place of a chunk."""

    name = "script"

    def __init__(self, items=CHUNKS, *, permits=1000):
        self.items = items
        self.opened = 0
        self.closed = 0
        self.pulls: list[int] = []
        self.permits = threading.Semaphore(permits)
        self.pulling = threading.Semaphore(0)

    def stream(self, request):
        self.opened += 1
        try:
            for item in self.items:
                self.pulling.release()
                self.pulls.append(threading.get_ident())
                assert self.permits.acquire(timeout=60)
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1

    async def astream(self, request):
        self.opened += 1
        try:
            for item in self.items:
                self.pulling.release()
                assert await asyncio.to_thread(self.permits.acquire, timeout=60)
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1

    def close(self):
        pass


def until(condition):
    while not condition():
        threading.Event().wait(0.001)


def texts(chunks):
    return [(chunk.text, chunk.reasoning, chunk.tool_calls) for chunk in chunks]


def whole(chunks):
    made = Accumulator()
    for chunk in chunks:
        made.add(chunk)
    return made.response()


async def listed(chunks):
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize("items", [CHUNKS, CALLS])
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_replay_has_the_same_chunks(make, request_, items, way, lookups):
    source = Source(items)
    provider = make(source, tool_calls=True)
    once, again = (
        list(provider.stream(request_)) if way == "stream" else asyncio.run(listed(provider.astream(request_)))
        for _ in range(2)
    )
    assert source.opened == 1
    assert texts(again) == texts(once) == texts(items)
    first, second = whole(once), whole(again)
    assert (second.text, second.tool_calls, second.usage) == (first.text, first.tool_calls, first.usage)
    assert (first.cache, first.cost, second.cache, second.cost, second.saved_cost) == (None, 0.25, "exact", 0.0, 0.25)
    assert {chunk.cache for chunk in again} == {"exact"}
    assert [lookup["decision"] for lookup in lookups()] == ["stored", "served"]
    answer = provider.complete(request_)
    assert (answer.text, answer.tool_calls, answer.saved_cost) == (first.text, first.tool_calls, 0.25)


def test_tool_calls_are_not_stored_unless_asked_for(make, request_, lookups):
    provider = make(Source(CALLS))
    for _ in range(2):
        list(provider.stream(request_))
    assert [(one["decision"], one["reason"]) for one in lookups()] == [("not_stored", "tool_calls")] * 2


@pytest.mark.parametrize("damage", [[], ["x", 3], [{"text": 1}], [{"tool_calls": [{"index": "0"}]}], "x", [{"z": ""}]])
def test_damaged_chunks_are_replaced_by_those_of_the_answer(make, request_, damage):
    from llmops_sdk.caching.exact._chunks import read_chunks

    made = whole(CHUNKS)
    assert whole(read_chunks({"chunks": damage}, made)).text == "It is sunny."


def test_threads_read_one_stream_along(make, request_):
    source = Source(permits=0)
    provider = make(source)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(lambda: list(provider.stream(request_))) for _ in range(8)]
        assert source.pulling.acquire(timeout=60)
        shared = next(iter(provider._streams._under_way.values()))
        until(lambda: shared.readers == 8)
        source.permits.release(len(CHUNKS))
        found = [future.result(60) for future in futures]
    assert source.opened == source.closed == 1
    assert all(texts(one) == texts(CHUNKS) for one in found)
    costs = sorted((whole(one).cost, whole(one).saved_cost or 0.0, whole(one).cache or "") for one in found)
    assert costs == [(0.0, 0.25, "exact")] * 7 + [(0.25, 0.0, "")]
    stats = provider.stats()
    assert (stats.misses, stats.shared, stats.stored) == (1, 7, 1)


async def test_tasks_read_one_stream_along(make, request_):
    source = Source(permits=0)
    provider = make(source)
    tasks = [asyncio.create_task(listed(provider.astream(request_))) for _ in range(8)]
    assert await asyncio.to_thread(source.pulling.acquire, timeout=60)
    shared = next(iter(provider._async_streams._under_way.values()))
    await asyncio.to_thread(until, lambda: shared.readers == 8)
    source.permits.release(len(CHUNKS))
    found = await asyncio.gather(*tasks)
    assert source.opened == source.closed == 1
    assert all(texts(one) == texts(CHUNKS) for one in found)
    assert sorted(whole(one).cost for one in found) == [0.0] * 7 + [0.25]


def test_a_leader_that_leaves_hands_the_stream_over(make, request_, lookups):
    source = Source()
    provider = make(source)
    leader, follower = provider.stream(request_), provider.stream(request_)
    assert next(leader).reasoning == next(follower).reasoning == "Let me "
    leader.close()
    assert source.closed == 0
    rest = list(follower)
    assert texts(rest) == texts(CHUNKS[1:])
    assert whole(rest).cost == 0.25, "the one that reads to the end has the cost"
    assert source.opened == source.closed == 1
    assert [(one["decision"], one["reason"]) for one in lookups()] == [
        ("not_stored", "closed"),
        ("shared", "took_over"),
    ]
    assert provider.complete(request_).cache == "exact"


async def test_a_cancelled_leader_hands_the_stream_over(make, request_):
    source = Source(permits=1)
    provider = make(source)
    leader = asyncio.create_task(listed(provider.astream(request_)))
    follower = provider.astream(request_)
    assert await asyncio.to_thread(source.pulling.acquire, timeout=60)
    assert (await anext(follower)).reasoning == "Let me "
    leader.cancel()  # in the middle of the second chunk
    await asyncio.wait([leader])
    source.permits.release(len(CHUNKS))
    assert texts(await listed(follower)) == texts(CHUNKS[1:])
    assert source.opened == source.closed == 1
    assert (await provider.acomplete(request_)).cache == "exact"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_nobody_reads_is_closed_and_not_stored(make, request_, way):
    source = Source()
    provider = make(source)

    async def leave():
        readers = [provider.astream(request_) for _ in range(2)]
        for reader in readers:
            await anext(reader)
        for reader in readers:
            await reader.aclose()

    if way == "astream":
        asyncio.run(leave())
    else:
        readers = [provider.stream(request_) for _ in range(2)]
        for reader in readers:
            next(reader)
        readers[0].close()
        assert source.closed == 0
        readers[1].close()
    assert source.closed == source.opened == 1
    assert provider.stats().entries == 0
    source.permits.release(10)
    list(provider.stream(request_))
    assert source.opened == 2


def test_an_error_reaches_every_reader_that_has_read_a_chunk(make, request_):
    source = Source([CHUNKS[0], ServerError("broken")])
    provider = make(source)
    leader, reader = provider.stream(request_), provider.stream(request_)
    next(leader)
    next(reader)
    with pytest.raises(ServerError, match="broken") as first:
        next(leader)
    with pytest.raises(ServerError, match="broken") as second:
        next(reader)
    assert first.value is not second.value
    assert source.opened == 1


def test_a_reader_without_a_chunk_leads_anew_after_an_error(make, request_):
    source = Source([ServerError("broken")], permits=0)
    provider = make(source)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(lambda: list(provider.stream(request_))) for _ in range(2)]
        assert source.pulling.acquire(timeout=60)
        shared = next(iter(provider._streams._under_way.values()))
        until(lambda: shared.readers == 2)
        source.items = CHUNKS
        source.permits.release(len(CHUNKS) + 1)
        errors = [future.exception(60) for future in futures]
    assert sorted(map(str, errors)) == ["None", "broken"]
    assert source.opened == 2


async def test_an_error_of_an_async_stream_reaches_every_reader(make, request_):
    source = Source([CHUNKS[0], ServerError("broken")])
    provider = make(source)
    leader, reader = provider.astream(request_), provider.astream(request_)
    await anext(leader)
    await anext(reader)
    for one in (leader, reader):
        with pytest.raises(ServerError, match="broken"):
            await anext(one)
    assert source.closed == source.opened == 1


def test_a_stream_read_along_ends_with_an_error_when_its_leader_is_interrupted(make, request_):
    class Interrupted(Source):
        def stream(self, request):
            yield CHUNKS[1]
            raise KeyboardInterrupt

    provider = make(Interrupted())
    leader, reader = provider.stream(request_), provider.stream(request_)
    next(leader)
    next(reader)
    with pytest.raises(KeyboardInterrupt):
        next(leader)
    with pytest.raises(StreamInterruptedError) as caught:
        next(reader)
    assert caught.value.partial.text == "It is"


def test_a_stream_inside_itself_asks_for_itself(make, request_):
    class Nested(Source):
        def stream(self, request):
            self.opened += 1
            if self.opened == 1:
                yield from provider.stream(request)
            else:
                yield from CHUNKS

    source = Nested()
    provider = make(source)
    assert texts(provider.stream(request_)) == texts(CHUNKS)
    assert source.opened == 2


def test_each_reader_pulls_what_it_needs(make, request_):
    source = Source()
    provider = make(source)
    slow, fast = provider.stream(request_), provider.stream(request_)
    next(slow)
    assert len(source.pulls) == 1
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: len(list(fast))).result(60) == len(CHUNKS)
    assert texts(slow) == texts(CHUNKS[1:])
    assert source.opened == 1
