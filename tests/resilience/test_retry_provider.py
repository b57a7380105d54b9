"""The retry stage: attempts, deadlines, streams, cancellation."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from dataclasses import replace

import pytest

from llmops_sdk.config import RetrySettings, Timeout
from llmops_sdk.errors import (
    AuthenticationError,
    IncompleteResponseError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.providers import Chunk, Provider, Request, Response, WrapperProvider
from llmops_sdk.resilience import RetryProvider

REQUEST = Request(model="script/one", messages=[{"role": "user", "content": "Hi"}], timeout=Timeout(total=100))
GOOD = Response(text="Hello", finish_reason="stop", cost=0.25, provider="script", model="script/one")
CHUNKS = [Chunk(text="Hel"), Chunk(text="lo", finish_reason="stop"), Chunk(cost=0.25)]
POLICY = RetrySettings(attempts=3, base=1.0)


def highest(_low: float, high: float) -> float:
    return high


@pytest.fixture(params=["complete", "acomplete", "stream", "astream"])
def way(request):
    """Each of the four ways, as a function that gives (text, attempts)."""

    def run(provider, asked=REQUEST):
        if request.param == "complete":
            response = provider.complete(asked)
            return response.text, response.attempts
        if request.param == "acomplete":
            response = asyncio.run(provider.acomplete(asked))
            return response.text, response.attempts
        if request.param == "stream":
            chunks = list(provider.stream(asked))
        else:

            async def collect():
                return [chunk async for chunk in provider.astream(asked)]

            chunks = asyncio.run(collect())
        return "".join(chunk.text for chunk in chunks), chunks[-1].attempts

    run.streams = "stream" in request.param
    return run


def answer(way):
    return list(CHUNKS) if way.streams else GOOD


def test_it_is_a_provider(script, clock):
    assert isinstance(RetryProvider(script(), POLICY, clock=clock), Provider)


@pytest.mark.parametrize("name", ["complete", "stream", "embed", "close"])
def test_the_async_twin_has_the_same_parameters(name):
    sync, twin = inspect.signature(getattr(RetryProvider, name)), inspect.signature(getattr(RetryProvider, "a" + name))
    assert sync.parameters == twin.parameters


def test_a_good_answer_is_one_attempt(way, script, clock):
    inner = script(answer(way))
    text, attempts = way(RetryProvider(inner, POLICY, clock=clock))
    assert text == "Hello"
    assert [(a.number, a.status, a.reason, a.cost, a.provider, a.model) for a in attempts] == [
        (1, "ok", "first", 0.25, "script", "one")
    ]
    assert clock.waits == []


def test_attempts_equal_the_configuration_and_each_is_recorded(way, script, clock):
    inner = script(RateLimitError("busy", status_code=429, retry_after=3.0), ServerError("down"), answer(way))
    text, attempts = way(RetryProvider(inner, POLICY, clock=clock, random=highest))
    assert text == "Hello"
    assert [(a.number, a.status, a.status_code, a.error_type, a.retry_after, a.reason) for a in attempts] == [
        (1, "error", 429, "RateLimitError", 3.0, "first"),
        (2, "error", None, "ServerError", None, "retry"),
        (3, "ok", None, None, None, "retry"),
    ]
    assert clock.waits == [3.0, 2.0]
    assert attempts[1].start_ns - attempts[0].start_ns == 3_000_000_000


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_last_error_is_raised_unchanged(way, script, clock, count):
    failures = [ServerError(f"down {n}") for n in range(10)]
    inner = script(*failures)
    with pytest.raises(ServerError) as caught:
        way(RetryProvider(inner, RetrySettings(attempts=count), clock=clock))
    assert caught.value is failures[count - 1]
    assert len(inner.requests) == count
    assert [attempt.number for attempt in caught.value.attempts] == list(range(1, count + 1))
    assert "RetryError" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("error", [AuthenticationError("no key", status_code=401), ValueError("a bug")])
def test_a_permanent_error_is_one_attempt(way, script, clock, error):
    inner = script(error)
    with pytest.raises(type(error)) as caught:
        way(RetryProvider(inner, POLICY, clock=clock))
    assert caught.value is error
    assert len(inner.requests) == 1


def test_a_retry_after_beyond_the_bound_fails_at_once(way, script, clock):
    inner = script(RateLimitError("busy", retry_after=3600.0))
    with pytest.raises(RateLimitError):
        way(RetryProvider(inner, POLICY, clock=clock))
    assert clock.waits == []


def test_no_wait_goes_past_the_deadline(way, script, clock):
    inner = script(RateLimitError("busy", retry_after=50.0))
    with pytest.raises(RateLimitError):
        way(RetryProvider(inner, POLICY, clock=clock), replace(REQUEST, timeout=Timeout(total=50)))
    assert clock.waits == []


def test_each_attempt_gets_the_time_that_is_left(way, script, clock):
    inner = script(ServerError("down"), ServerError("down"), answer(way))
    way(RetryProvider(inner, POLICY, clock=clock, random=highest))
    assert [request.timeout.total for request in inner.requests] == [100.0, 99.0, 97.0]
    assert inner.requests[0].timeout.between_chunks == REQUEST.timeout.between_chunks


def test_an_overlong_wait_ends_without_another_attempt(script, clock):
    class LateClock(type(clock)):
        def sleep(self, seconds):
            super().sleep(seconds * 200)

    error = ServerError("down")
    inner = script(error)
    with pytest.raises(ServerError) as caught:
        RetryProvider(inner, POLICY, clock=LateClock(), random=highest).complete(REQUEST)
    assert caught.value is error
    assert len(error.attempts) == 1


def test_attempt_numbers_continue_from_the_request(script, clock):
    inner = script(ServerError("down"), GOOD)
    asked = replace(REQUEST, first_attempt=4, reason="reask")
    attempts = RetryProvider(inner, POLICY, clock=clock).complete(asked).attempts
    assert [(attempt.number, attempt.reason) for attempt in attempts] == [(4, "reask"), (5, "retry")]


def test_what_an_application_calls_health_is_not_ours(script, clock):
    inner = script(ServerError("down"), GOOD)
    inner.health = lambda: "fine"
    assert RetryProvider(inner, POLICY, clock=clock).complete(REQUEST).text == "Hello"


def test_embeddings_are_retried(script, clock):
    inner = script(ServerError("down"), GOOD, ServerError("down"), GOOD)
    provider = RetryProvider(inner, POLICY, clock=clock)
    assert provider.embed(["a", "b"], REQUEST).vectors == [[0.0], [0.0]]
    assert asyncio.run(provider.aembed(["a"], REQUEST)).vectors == [[0.0]]
    assert len(inner.requests) == 4


# --- Streams ---------------------------------------------------------------------------------------------------------


def test_a_stream_does_nothing_before_it_is_iterated(script, clock):
    inner = script([*CHUNKS])
    RetryProvider(inner, POLICY, clock=clock).stream(REQUEST)
    assert inner.requests == []


def test_a_cut_after_the_first_piece_is_never_replayed(script, clock):
    partial = Response(text="Once upon")
    inner = script([Chunk(text="Once "), Chunk(text="upon"), StreamInterruptedError("cut", partial=partial)])
    stream, got = RetryProvider(inner, POLICY, clock=clock).stream(REQUEST), []
    with pytest.raises(StreamInterruptedError) as caught:
        got.extend(chunk.text for chunk in stream)
    assert got == ["Once ", "upon"]
    assert caught.value.partial is partial
    assert [attempt.status for attempt in caught.value.attempts] == ["error"]
    assert inner.closed == 1


def test_a_server_error_in_mid_stream_is_not_replayed_either(script, clock):
    inner = script([Chunk(text="Once"), ServerError("down", status_code=503)], list(CHUNKS))
    with pytest.raises(ServerError):
        list(RetryProvider(inner, POLICY, clock=clock).stream(REQUEST))
    assert len(inner.requests) == 1


def test_empty_chunks_do_not_prevent_a_retry(script, clock):
    cut = StreamInterruptedError("cut", partial=Response())
    inner = script([Chunk(model="a"), cut], [Chunk(model="b"), *CHUNKS])
    got = list(RetryProvider(inner, POLICY, clock=clock).stream(REQUEST))
    assert [(chunk.model, chunk.text) for chunk in got] == [("b", ""), (None, "Hel"), (None, "lo"), (None, "")]
    assert inner.closed == 2


def test_chunks_from_the_finish_reason_on_have_the_attempts(script, clock):
    got = list(RetryProvider(script(list(CHUNKS)), POLICY, clock=clock).stream(REQUEST))
    assert [len(chunk.attempts) for chunk in got] == [0, 1, 1]
    assert [attempt.cost for chunk in got for attempt in chunk.attempts] == [None, 0.25]


@pytest.mark.parametrize("sync", [True, False])
def test_a_dripping_stream_ends_at_the_total_deadline(script, clock, sync):
    def drip():
        clock.advance(30)

    inner = script([Chunk(text="a"), drip, Chunk(text="b"), drip, Chunk(text="c"), drip, drip, Chunk(text="d")])
    provider, got = RetryProvider(inner, POLICY, clock=clock), []

    async def collect():
        async for chunk in provider.astream(REQUEST):
            got.append(chunk.text)  # noqa: PERF401 - a list comprehension would lose what came before the error

    with pytest.raises(StreamInterruptedError) as caught:
        got.extend(chunk.text for chunk in provider.stream(REQUEST)) if sync else asyncio.run(collect())
    assert got == ["a", "b", "c"]
    assert caught.value.partial.text == "abc"
    assert not isinstance(caught.value, IncompleteResponseError)
    assert inner.closed == 1


@pytest.mark.parametrize("first", [Chunk(text="a"), Chunk()])
def test_a_first_piece_after_the_deadline_is_a_timeout(script, clock, first):
    inner = script([lambda: clock.advance(101), first, Chunk(text="b")])
    with pytest.raises(ProviderTimeoutError) as caught:
        list(RetryProvider(inner, POLICY, clock=clock).stream(REQUEST))
    assert len(caught.value.attempts) == 1
    assert inner.closed == 1


def test_the_deadline_does_not_take_a_finished_answer_away(script, clock):
    inner = script([Chunk(text="a", finish_reason="stop"), lambda: clock.advance(200), Chunk(cost=1.0)])
    assert [chunk.text for chunk in RetryProvider(inner, POLICY, clock=clock).stream(REQUEST)] == ["a", ""]


# --- A provider that keeps to no deadline ----------------------------------------------------------------------------


class Stuck(WrapperProvider):
    """Waits for ever, whole or after a first chunk."""

    def __init__(self, pieces: list[Chunk]) -> None:
        self.pieces = pieces
        self.cancelled = 0

    name = "stuck"

    async def _wait(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1

    async def acomplete(self, request):
        await self._wait()

    async def astream(self, request):
        for piece in self.pieces:
            yield piece
        await self._wait()


SOON = replace(REQUEST, timeout=Timeout(total=0.05))


async def test_an_async_call_ends_at_the_deadline_whatever_the_provider_does():
    inner = Stuck([])
    with pytest.raises(ProviderTimeoutError):
        await RetryProvider(inner, POLICY).acomplete(SOON)
    assert inner.cancelled == 1


@pytest.mark.parametrize(("pieces", "error"), [([], ProviderTimeoutError), ([Chunk(text="a")], StreamInterruptedError)])
async def test_an_async_stream_ends_at_the_deadline_whatever_the_provider_does(pieces, error):
    inner = Stuck(pieces)
    with pytest.raises(error):
        async for _ in RetryProvider(inner, POLICY).astream(SOON):
            pass
    assert inner.cancelled == 1


# --- Cancellation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupt_is_raised_untouched_and_recorded(way, script, clock, error):
    inner = script(ServerError("down"), error)
    with pytest.raises(type(error)) as caught:
        way(RetryProvider(inner, POLICY, clock=clock))
    assert caught.value is error
    assert len(inner.requests) == 2


async def test_a_cancelled_call_is_cancelled(clock):
    inner = Stuck([])
    task = asyncio.create_task(RetryProvider(inner, POLICY, clock=clock).acomplete(REQUEST))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.cancelled == 1


async def test_cancelling_in_the_middle_of_a_wait_makes_no_further_attempt(script):
    waiting = asyncio.Event()

    class NeverClock:
        def time(self):
            return 0.0

        def monotonic(self):
            return 0.0

        async def asleep(self, seconds):
            waiting.set()
            await asyncio.Event().wait()

        def sleep(self, seconds):
            raise AssertionError

    inner = script(ServerError("down"))
    task = asyncio.create_task(RetryProvider(inner, POLICY, clock=NeverClock()).acomplete(REQUEST))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(inner.requests) == 1


def test_a_stream_that_its_consumer_leaves_is_closed(script, clock):
    inner = script(list(CHUNKS))
    stream = RetryProvider(inner, POLICY, clock=clock).stream(REQUEST)
    next(stream)
    stream.close()
    assert inner.closed == 1


async def test_100_tasks_do_not_mix_their_attempts(script, clock):
    policy = POLICY.model_copy(update={"budget": None})  # as many retries at once are what it is against
    providers = [RetryProvider(script(*[ServerError("down")] * (n % 3), GOOD), policy, clock=clock) for n in range(100)]
    answers = await asyncio.gather(*(provider.acomplete(REQUEST) for provider in providers))
    assert [len(answer.attempts) for answer in answers] == [n % 3 + 1 for n in range(100)]
