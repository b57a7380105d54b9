"""The fallback stage: which errors, attempts and deadlines, streams, notes on the error."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import traceback
from dataclasses import replace

import pytest

from llmops_sdk.config import FallbackSettings, RetrySettings, Timeout
from llmops_sdk.errors import (
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    CircuitOpenError,
    ConfigError,
    ContentFilterError,
    ContextWindowError,
    GuardrailViolation,
    IncompleteResponseError,
    LimitExceededError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response
from llmops_sdk.resilience import Candidate, FallbackProvider, RetryProvider, should_fall_back

REQUEST = Request(
    model="one/a", messages=[{"role": "user", "content": "Hi"}], timeout=Timeout(total=100), extra={"vendor": 1}
)
GOOD = Response(text="Hello", finish_reason="stop", cost=0.25, provider="two", model="two/b")
CHUNKS = [Chunk(model="b"), Chunk(text="Hel"), Chunk(text="lo", finish_reason="stop"), Chunk(cost=0.25)]


@pytest.fixture(params=["complete", "acomplete", "stream", "astream"])
def way(request):
    """Each of the four ways to a whole answer."""

    def run(provider, asked=REQUEST):
        if request.param == "complete":
            return provider.complete(asked)
        if request.param == "acomplete":
            return asyncio.run(provider.acomplete(asked))
        whole = Accumulator()
        if request.param == "stream":
            for chunk in provider.stream(asked):
                whole.add(chunk)
        else:

            async def collect():
                async for chunk in provider.astream(asked):
                    whole.add(chunk)

            asyncio.run(collect())
        return whole.response()

    run.good = list(CHUNKS) if "stream" in request.param else GOOD
    return run


def chain(clock, *inners, policy=None, attempts=1):
    """A fallback over providers, each with its own retries."""
    for inner, name in zip(inners, ("one", "two", "three"), strict=False):
        inner.name = name
    retry = RetrySettings(attempts=attempts, base=1.0)
    candidates = [
        Candidate(f"{inner.name}/{letter}", RetryProvider(inner, retry, clock=clock, random=lambda _, high: high))
        for inner, letter in zip(inners, "abc", strict=False)
    ]
    return FallbackProvider(candidates, policy or FallbackSettings(), clock=clock)


def test_it_is_a_provider(script, clock):
    provider = chain(clock, script(), script())
    assert isinstance(provider, Provider)
    assert provider.name == "one"
    with pytest.raises(ValueError, match="at least one"):
        FallbackProvider([], FallbackSettings())


@pytest.mark.parametrize("name", ["complete", "stream", "embed", "close"])
def test_the_async_twin_has_the_same_parameters(name):
    sync, twin = (
        inspect.signature(getattr(FallbackProvider, name)),
        inspect.signature(getattr(FallbackProvider, "a" + name)),
    )
    assert sync.parameters == twin.parameters


def test_no_other_model_is_asked_after_an_answer(way, script, clock):
    first, second = script(way.good), script()
    response = way(chain(clock, first, second))
    assert response.text == "Hello"
    assert [(one.number, one.reason, one.provider) for one in response.attempts] == [(1, "first", "one")]
    assert first.requests == [REQUEST]
    assert second.requests == []


def test_attempts_are_numbered_through_and_each_is_recorded(way, script, clock):
    first = script(ServerError("down", status_code=503), ServerError("down", status_code=503))
    second = script(RateLimitError("busy", status_code=429, retry_after=3600.0))
    third = script(ServerError("down"), way.good)
    response = way(chain(clock, first, second, third, attempts=2))
    assert response.text == "Hello"
    assert [(a.number, a.provider, a.model, a.status, a.error_type, a.reason) for a in response.attempts] == [
        (1, "one", "a", "error", "ServerError", "first"),
        (2, "one", "a", "error", "ServerError", "retry"),
        (3, "two", "b", "error", "RateLimitError", "fallback"),
        (4, "three", "c", "error", "ServerError", "fallback"),
        (5, "three", "c", "ok", None, "retry"),
    ]
    assert response.attempts[-1].cost == 0.25
    assert clock.waits == [1.0, 1.0]


def test_the_last_error_is_raised_with_notes_on_the_others(way, script, clock):
    last = AuthenticationError("no key", status_code=401)
    inners = [script(ServerError("on fire")), script(ProviderConnectionError("refused")), script(last)]
    with pytest.raises(AuthenticationError) as caught:
        way(chain(clock, *inners))
    assert caught.value is last
    assert [(a.number, a.provider, a.error_type) for a in last.attempts] == [
        (1, "one", "ServerError"),
        (2, "two", "ProviderConnectionError"),
        (3, "three", "AuthenticationError"),
    ]
    text = "".join(traceback.format_exception(last))
    assert "one/a failed with ServerError: on fire" in text
    assert "two/b failed with ProviderConnectionError: refused" in text
    assert pickle.loads(pickle.dumps(last)).attempts == last.attempts


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (RateLimitError("busy"), True),
        (ServerError("down"), True),
        (ProviderConnectionError("refused"), True),
        (ProviderTimeoutError("slow"), True),
        (AuthenticationError("no key"), True),
        (PermissionDeniedError("not paid"), True),
        (NotFoundError("no such model"), True),
        (ContextWindowError("too long"), True),
        (CircuitOpenError("open"), True),
        (LimitExceededError("full"), True),
        (StreamInterruptedError("cut", partial=Response()), True),
        (IncompleteResponseError("cut", partial=Response(text="Once")), False),
        (ContentFilterError("refused"), False),
        (BadRequestError("bad"), False),
        (BudgetExceededError("spent"), False),
        (BudgetExceededError("spent", per="model"), True),
        (BudgetExceededError("spent", model="a/one"), True),
        (GuardrailViolation("blocked"), False),
        (ConfigError("unknown"), False),
        (ValueError("a bug"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_which_errors_fall_back(way, script, clock, error, goes_on):
    second = script(way.good)
    provider = chain(clock, script(error), second)
    assert should_fall_back(error, FallbackSettings()) is goes_on
    if goes_on:
        assert way(provider).text == "Hello"
    else:
        with pytest.raises(type(error)) as caught:
            way(provider)
        assert caught.value is error
    assert len(second.requests) == goes_on


@pytest.mark.parametrize(
    ("error", "policy", "goes_on"),
    [
        (ContextWindowError("long"), FallbackSettings(context_window=False), False),
        (ContentFilterError("refused"), FallbackSettings(content_filter=True), True),
    ],
)
def test_the_policy_decides_about_long_prompts_and_filters(error, policy, goes_on):
    assert should_fall_back(error, policy) is goes_on


def test_the_next_model_gets_its_name_and_not_the_vendors_parameters(way, script, clock):
    second, third = script(ServerError("down")), script(way.good)
    provider = chain(clock, script(ServerError("down")), second, third)
    third.name = "one"
    way(provider)
    assert [(r.model, r.extra, r.messages) for r in (*second.requests, *third.requests)] == [
        ("two/b", {}, REQUEST.messages),
        ("three/c", {"vendor": 1}, REQUEST.messages),
    ]


def test_attempt_numbers_continue_from_the_request(script, clock):
    provider = chain(clock, script(ServerError("down")), script(GOOD))
    attempts = provider.complete(replace(REQUEST, first_attempt=4, reason="reask")).attempts
    assert [(one.number, one.reason) for one in attempts] == [(4, "reask"), (5, "fallback")]


# --- The total deadline ----------------------------------------------------------------------------------------------


def slow(clock, seconds, error):
    def step(*_):
        clock.advance(seconds)
        raise error

    return step


def test_the_deadline_spans_all_models(script, clock):
    first, second = script(slow(clock, 30, ServerError("down"))), script(slow(clock, 30, ServerError("down")))
    third = script(GOOD)
    chain(clock, first, second, third).complete(REQUEST)
    assert [one.requests[0].timeout.total for one in (first, second, third)] == [100.0, 70.0, 40.0]
    assert third.requests[0].timeout.between_chunks == REQUEST.timeout.between_chunks


def test_no_other_model_is_asked_after_the_deadline(way, script, clock):
    step = slow(clock, 100, ProviderTimeoutError("late"))
    second = script(way.good)
    first = script([step] if isinstance(way.good, list) else step)
    with pytest.raises(ProviderTimeoutError):
        way(chain(clock, first, second))
    assert second.requests == []


def test_no_deadline_is_passed_on_without_one(way, script, clock):
    second = script(way.good)
    asked = replace(REQUEST, timeout=Timeout(total=None))
    way(chain(clock, script(ServerError("down")), second), asked)
    assert second.requests[0].timeout.total is None


@pytest.mark.parametrize("seconds", [3600.0, 50.0])
def test_a_retry_after_too_long_falls_back_at_once(way, script, clock, seconds):
    """Longer than `max_retry_after`, or than what is left of the deadline."""
    first = script(RateLimitError("busy", status_code=429, retry_after=seconds))
    asked = replace(REQUEST, timeout=Timeout(total=40))
    assert way(chain(clock, first, script(way.good), attempts=3), asked).text == "Hello"
    assert clock.waits == []


# --- Streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sync", [True, False])
def test_held_chunks_of_the_failed_model_are_dropped(script, sync):
    first = script([Chunk(model="a"), Chunk(), ServerError("down")])
    second = script(list(CHUNKS))
    provider = FallbackProvider([Candidate("one/a", first), Candidate("two/b", second)], FallbackSettings())

    async def collect():
        return [chunk async for chunk in provider.astream(REQUEST)]

    got = list(provider.stream(REQUEST)) if sync else asyncio.run(collect())
    assert got == CHUNKS
    assert (first.closed, second.closed) == (1, 1)


@pytest.mark.parametrize("sync", [True, False])
def test_no_fallback_after_the_first_piece(script, clock, sync):
    cut = StreamInterruptedError("cut", partial=Response(text="Hel"))
    first, second, third = script(ServerError("down")), script([*CHUNKS[:2], cut]), script(list(CHUNKS))
    provider, got = chain(clock, first, second, third), []

    async def collect():
        async for chunk in provider.astream(REQUEST):
            got.append(chunk.text)  # noqa: PERF401 - a list comprehension would lose what came before the error

    with pytest.raises(StreamInterruptedError) as caught:
        got.extend(chunk.text for chunk in provider.stream(REQUEST)) if sync else asyncio.run(collect())
    assert "".join(got) == "Hel"
    assert caught.value is cut
    assert [(one.number, one.provider, one.status) for one in cut.attempts] == [
        (1, "one", "error"),
        (2, "two", "error"),
    ]
    assert third.requests == []
    assert (first.closed, second.closed) == (1, 1)


def test_an_empty_stream_is_passed_on(way, script, clock):
    if isinstance(way.good, list):
        assert way(chain(clock, script([Chunk(model="a")]), script())).model == "a"


def test_a_stream_does_nothing_before_it_is_iterated(script, clock):
    first = script(list(CHUNKS))
    chain(clock, first, script()).stream(REQUEST)
    assert first.requests == []


def test_a_stream_that_its_consumer_leaves_is_closed(script, clock):
    first, second = script(ServerError("down")), script(list(CHUNKS))
    stream = chain(clock, first, second).stream(REQUEST)
    next(stream)
    stream.close()
    assert (first.closed, second.closed) == (1, 1)


async def test_an_async_stream_that_its_consumer_leaves_is_closed(script, clock):
    first, second = script(ServerError("down")), script(list(CHUNKS))
    stream = chain(clock, first, second).astream(REQUEST)
    await anext(stream)
    await stream.aclose()
    assert (first.closed, second.closed) == (1, 1)


# --- What is not passed on -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupt_is_raised_untouched(way, script, clock, error):
    second = script()
    with pytest.raises(type(error)) as caught:
        way(chain(clock, script(error), second))
    assert caught.value is error
    assert second.requests == []


@pytest.mark.parametrize("streams", [True, False])
async def test_a_cancelled_call_asks_no_other_model(script, clock, streams):
    class Stuck(script):
        cancelled = 0
        began = asyncio.Event()

        async def acomplete(self, request):
            self.began.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1

        async def astream(self, request):
            await self.acomplete(request)
            yield Chunk()

    first, second = Stuck(), script(GOOD)
    provider = chain(clock, first, second)

    async def call():
        if streams:
            return [chunk async for chunk in provider.astream(REQUEST)]
        return await provider.acomplete(REQUEST)

    task = asyncio.create_task(call())
    await first.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.cancelled == 1
    assert second.requests == []


async def test_only_the_first_model_makes_embeddings(script, clock):
    second = script()
    with pytest.raises(ServerError):
        chain(clock, script(ServerError("down")), second).embed(["a"], REQUEST)
    with pytest.raises(ServerError):
        await chain(clock, script(ServerError("down")), second).aembed(["a"], REQUEST)
    assert second.requests == []


async def test_every_candidate_is_closed(script, clock):
    class Closed(script):
        count = 0

        def close(self):
            self.count += 1

        async def aclose(self):
            self.count += 1

    inners = [Closed(), Closed()]
    provider = chain(clock, *inners)
    provider.close()
    await provider.aclose()
    assert [one.count for one in inners] == [2, 2]


async def test_100_tasks_do_not_mix_their_attempts(script, clock):
    providers = [chain(clock, script(*([ServerError("down")] if n % 2 else [GOOD])), script(GOOD)) for n in range(100)]
    answers = await asyncio.gather(*(provider.acomplete(REQUEST) for provider in providers))
    assert [len(answer.attempts) for answer in answers] == [n % 2 + 1 for n in range(100)]
