"""The hedge stage: which answer counts, what becomes of the other one, and what is recorded."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from dataclasses import replace

import pytest
from gated_requests import REQUEST, Requests, after, at_once, in_thread, never, waits_for

from llmops_sdk.config import RetrySettings
from llmops_sdk.errors import AuthenticationError, CircuitOpenError, ServerError
from llmops_sdk.providers import Provider
from llmops_sdk.providers.traffic import Health
from llmops_sdk.resilience import RetryProvider
from llmops_sdk.resilience.hedging import HedgePolicies, HedgeProvider, _provider, _threads
from llmops_sdk.testing import capture_traces
from llmops_sdk.tracing import span

ONCE = RetrySettings(attempts=1)


@pytest.fixture
def hedged(settings, warm):
    """Return a function that puts the stage, and the retry above it, around a provider."""
    made = []

    def make(inner, retry=ONCE, **changes):
        made.append(inner)
        stage = HedgeProvider(inner, settings.model_copy(update=changes), name="smart", policies=warm)
        return RetryProvider(stage, retry, routes=True)

    yield make
    for inner in made:
        inner.released.set()


def summary(attempts):
    return [(attempt.number, attempt.reason, attempt.status, attempt.cost) for attempt in attempts]


def test_it_is_a_provider(settings):
    assert isinstance(HedgeProvider(Requests(), settings), Provider)


@pytest.mark.parametrize("name", ["complete", "stream"])
def test_the_async_twin_has_the_same_parameters(name):
    sync, twin = inspect.signature(getattr(HedgeProvider, name)), inspect.signature(getattr(HedgeProvider, "a" + name))
    assert sync.parameters == twin.parameters


def test_a_fast_answer_is_one_request(way, hedged):
    inner = Requests(at_once())
    text, attempts = way(hedged(inner, min_delay=60.0))
    assert (text, summary(attempts)) == ("fast", [(1, "first", "ok", 0.25)])
    assert len(inner.requests) == 1


def test_a_hedge_that_is_faster_wins(way, hedged):
    inner = Requests(never, at_once())
    text, attempts = way(hedged(inner))
    assert text == "fast"
    # The cancelled request cost about as much as the one that answered.
    assert summary(attempts) == [(1, "first", "cancelled", 0.25), (2, "hedge", "ok", 0.25)]
    assert len(inner.requests) == 2


def test_a_first_request_that_is_faster_than_its_hedge_wins(way, hedged):
    inner = Requests(after(1, end=False), never)
    text, attempts = way(hedged(inner))
    assert text == "late"
    assert summary(attempts) == [(1, "first", "ok", 0.5), (2, "hedge", "cancelled", 0.5)]


def test_the_loser_is_cancelled_where_that_is_possible(way, hedged):
    inner = Requests(never, at_once())
    way(hedged(inner))
    assert inner.cancelled == ([] if way.sync else [0])
    inner.released.set()
    waits_for(inner.ended[0])


def test_a_failed_first_request_is_not_the_last_word(way, hedged):
    inner = Requests(after(1, end=False, error=ServerError("down", status_code=500)), after(0))
    text, attempts = way(hedged(inner))
    assert text == "late"
    assert summary(attempts) == [(1, "first", "error", None), (2, "hedge", "ok", 0.5)]
    assert (attempts[0].error_type, attempts[0].status_code) == ("ServerError", 500)


def test_a_failed_hedge_is_not_the_last_word(way, hedged):
    inner = Requests(after(1), at_once(error=ServerError("down", status_code=500)))
    text, attempts = way(hedged(inner))
    assert text == "late"
    assert summary(attempts) == [(1, "first", "ok", 0.5), (2, "hedge", "error", None)]


def test_when_both_fail_the_error_of_the_first_counts(way, hedged):
    first, second = AuthenticationError("one"), ServerError("two")
    inner = Requests(after(1, error=first), at_once(error=second))
    with pytest.raises(AuthenticationError, match="one") as caught:
        way(hedged(inner))
    assert [(one.number, one.reason, one.error_type) for one in caught.value.attempts] == [
        (1, "first", "AuthenticationError"),
        (2, "hedge", "ServerError"),
    ]


def test_a_failure_before_the_delay_is_left_to_the_retry(way, hedged):
    inner = Requests(at_once(error=ServerError("down")), at_once())
    text, attempts = way(hedged(inner, RetrySettings(attempts=2, base=0.001), min_delay=60.0))
    assert text == "fast"
    assert [(one.number, one.reason, one.status) for one in attempts] == [(1, "first", "error"), (2, "retry", "ok")]


def test_the_attempts_after_a_hedged_one_are_numbered_on(way, hedged):
    inner = Requests(after(1, error=ServerError("one")), at_once(error=ServerError("two")), at_once())
    _, attempts = way(hedged(inner, RetrySettings(attempts=2, base=0.001)))
    assert [(one.number, one.reason, one.status) for one in attempts] == [
        (1, "first", "error"),
        (2, "hedge", "error"),
        (3, "retry", "ok"),
    ]


def test_a_hedge_does_not_count_as_one_of_the_attempts_allowed(way, hedged):
    down = [after(1, error=ServerError("1")), at_once(error=ServerError("2")), at_once(error=ServerError("3"))]
    inner = Requests(*down, at_once())
    text, _ = way(hedged(inner, RetrySettings(attempts=3, base=0.001)))
    assert text == "fast"


def test_a_refused_hedge_is_no_attempt_and_costs_no_share(way, hedged, warm):
    inner = Requests(after(1), at_once(error=CircuitOpenError("open")))
    policy = warm.streams if way.streams else warm.answers
    text, attempts = way(hedged(inner))
    assert (text, summary(attempts)) == ("late", [(1, "first", "ok", 0.5)])
    assert sum(policy.take() for _ in range(50)) == 11  # ten calls before, and this one


def test_calls_with_tools_are_not_hedged_unless_asked(way, hedged):
    request = replace(REQUEST, tools=({"type": "function", "function": {"name": "pay"}},))
    first_ends = threading.Event()

    def alone(requests, _request):
        assert not requests.began[1].is_set()
        first_ends.set()
        return at_once()(requests, _request)

    inner = Requests(alone, never)
    assert way(hedged(inner), request)[0] == "fast"
    assert len(inner.requests) == 1
    again = Requests(never, at_once())
    assert way(hedged(again, tools=True), request)[0] == "fast"
    assert len(again.requests) == 2


@pytest.mark.parametrize("health", [Health(waiting=1), Health(ready=False)])
def test_a_call_is_not_hedged_while_the_hedge_could_not_go_out_at_once(way, hedged, health):
    asked = threading.Event()

    class Full(Requests):
        def health(self):
            asked.set()
            return health

    def until_asked(requests, request):
        waits_for(asked)
        return at_once()(requests, request)

    inner = Full(until_asked, never)
    assert way(hedged(inner))[0] == "fast"
    assert len(inner.requests) == 1


def test_embeddings_are_not_hedged(hedged):
    inner = Requests(at_once(), at_once())
    hedged(inner).embed(["a"], REQUEST)
    asyncio.run(hedged(inner).aembed(["a"], REQUEST))
    assert len(inner.requests) == 2


def test_the_hedge_has_only_the_time_that_is_left(way, hedged):
    inner = Requests(never, at_once())
    way(hedged(inner))
    first, second = (request.timeout.total for request in inner.requests)
    assert second < first <= 100


def test_the_requests_see_the_context_of_the_caller(way, hedged):
    user = contextvars.ContextVar("user")
    seen = []

    def note(requests, request):
        seen.append(user.get())
        return at_once()(requests, request)

    def call():
        user.set("ada")
        return way(hedged(Requests(after(1), note)))

    contextvars.copy_context().run(call)
    assert seen == ["ada"]


def test_without_a_free_thread_the_call_is_made_unhedged(hedged, monkeypatch):
    monkeypatch.setattr(_threads, "MAX_THREADS", 0)
    monkeypatch.setattr(_threads, "_pool", _threads._Pool())
    inner = Requests(at_once())
    assert hedged(inner).complete(REQUEST).text == "fast"
    assert inner.threads == [threading.get_ident()]


def test_the_threads_are_bounded(hedged, monkeypatch):
    monkeypatch.setattr(_threads, "MAX_THREADS", 2)
    monkeypatch.setattr(_threads, "_pool", _threads._Pool())
    for _ in range(20):
        assert hedged(Requests(at_once()), min_delay=60.0).complete(REQUEST).text == "fast"
    assert 1 <= _threads._pool._threads <= 2


def test_a_sync_loser_that_answers_later_is_dropped_and_closed(hedged):
    inner = Requests(never, at_once())
    assert "".join(chunk.text for chunk in hedged(inner).stream(REQUEST)) == "fast"
    assert not inner.ended[0].is_set()
    inner.released.set()
    waits_for(inner.ended[0])  # its generator is closed after its first piece


@pytest.mark.parametrize("name", ["complete", "stream"])
def test_a_hedge_whose_thread_has_not_begun_is_never_sent_and_costs_no_share(hedged, warm, monkeypatch, name):
    jobs = []
    submitted = threading.Event()

    def submit(job):
        jobs.append(job)
        if len(jobs) == 1:
            return _threads.submit(job)
        submitted.set()
        return True

    def first(requests, request):
        waits_for(submitted)
        return at_once("first")(requests, request)

    monkeypatch.setattr("llmops_sdk.resilience.hedging._race.submit", submit)
    inner = Requests(first, at_once("hedge"))
    with capture_traces() as traces, span("call"):
        if name == "complete":
            response = hedged(inner).complete(REQUEST)
            assert (response.text, summary(response.attempts)) == ("first", [(1, "first", "ok", response.cost)])
        else:
            assert "".join(chunk.text for chunk in hedged(inner).stream(REQUEST)) == "first"
        jobs[1]()  # the pool gets to it now
    assert len(inner.requests) == 1
    (root,) = traces.spans
    assert [event.name for event in root.events if event.name == "llmops.traffic"] == []
    assert (warm.answers if name == "complete" else warm.streams)._earned >= 10.0


def test_a_cancelled_caller_cancels_both_requests(hedged):
    inner = Requests(never, never)

    async def main():
        task = asyncio.create_task(hedged(inner).acomplete(REQUEST))
        await in_thread(waits_for, inner.began[1])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(inner.cancelled) == [0, 1]
        inner.released.set()

    asyncio.run(main())


def test_a_stream_left_before_its_first_piece_cancels_both_requests(hedged):
    inner = Requests(never, never)

    async def main():
        chunks = hedged(inner).astream(REQUEST)
        task = asyncio.create_task(anext(chunks))
        await in_thread(waits_for, inner.began[1])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await chunks.aclose()
        assert sorted(inner.cancelled) == [0, 1]
        inner.released.set()

    asyncio.run(main())


def test_a_closed_stream_closes_the_winner(hedged):
    inner = Requests(never, at_once())
    chunks = hedged(inner).stream(REQUEST)
    assert next(chunks).text == "f"
    chunks.close()
    assert inner.ended[1].is_set()


def test_an_interrupt_in_a_thread_reaches_the_caller(hedged):
    def interrupt(requests, request):
        waits_for(requests.began[1])
        raise KeyboardInterrupt

    inner = Requests(interrupt, after(0, error=ServerError("down")))
    with pytest.raises(KeyboardInterrupt):
        hedged(inner).complete(REQUEST)


def test_both_answers_at_the_same_time_leave_no_open_stream(settings, warm):
    closed = []

    class Chunks:
        def __init__(self, name):
            self.name = name

        async def aclose(self):
            closed.append(self.name)

    async def main():
        call = HedgeProvider(Requests(), settings, policies=warm)._call(warm.streams, REQUEST)
        gate = asyncio.Event()

        async def send(entry):
            if entry is not call.first:
                gate.set()
            await gate.wait()
            return [], Chunks("first" if entry is call.first else "hedge")

        _, chunks = await _provider.arace(call, send, lambda opened: opened[1].aclose())
        return chunks.name

    assert asyncio.run(main()) == "first"
    assert closed == ["hedge"]


def test_the_policy_sees_the_latency_of_first_requests_alone(hedged, settings):
    policies = HedgePolicies.of(settings)
    stage = HedgeProvider(Requests(at_once(), at_once(error=ServerError("down"))), settings, policies=policies)
    stage.complete(REQUEST)
    with pytest.raises(ServerError):
        stage.complete(REQUEST)
    assert len(policies.answers._recent) == 1
    assert len(policies.streams._recent) == 0
