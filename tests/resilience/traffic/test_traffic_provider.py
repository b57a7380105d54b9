"""The stage of a deployment: the order of its policies, what a call used, and that nothing stays taken."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from traffic_waits import settle, until

from llmops_sdk.config import BreakerSettings, LimitSettings, RetrySettings, Timeout
from llmops_sdk.errors import (
    BadRequestError,
    BudgetExceededError,
    CircuitOpenError,
    IncompleteResponseError,
    LimitExceededError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
    ScriptError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.providers import Chunk, Embeddings, Provider, RateLimits, Request, Response, Usage
from llmops_sdk.resilience import RetryProvider
from llmops_sdk.resilience.balance import BalanceProvider, Balancer, Deployment
from llmops_sdk.resilience.breaker._breaker import Breaker
from llmops_sdk.resilience.traffic._provider import TrafficProvider
from llmops_sdk.shared._local import LocalState
from llmops_sdk.testing import capture_traces
from llmops_sdk.tracing import span

PROMPT = 11  # tokens of the prompt, estimated: 32 characters and one message
REQUEST = Request(
    model="script/one", messages=[{"role": "user", "content": "x" * 32}], params={"max_tokens": 50},
    timeout=Timeout(total=100),
)  # fmt: skip
USAGE = Usage(input_tokens=20, output_tokens=5)
GOOD = Response(text="Hello", finish_reason="stop", usage=USAGE)
CHUNKS = [Chunk(text="Hel"), Chunk(text="lo", finish_reason="stop"), Chunk(usage=USAGE)]
OPEN = 30.0


@pytest.fixture(params=["complete", "acomplete", "stream", "astream"])
def way(request):
    """Each of the four ways, as a function that gives the text."""

    def run(provider, asked=REQUEST):
        if request.param == "complete":
            return provider.complete(asked).text
        if request.param == "acomplete":
            return asyncio.run(provider.acomplete(asked)).text
        if request.param == "stream":
            return "".join(chunk.text for chunk in provider.stream(asked))

        async def collect():
            return "".join([chunk.text async for chunk in provider.astream(asked)])

        return asyncio.run(collect())

    run.streams = "stream" in request.param
    run.answer = list(CHUNKS) if run.streams else GOOD
    return run


def failing(way, deployed, error, asked=REQUEST):
    with pytest.raises(type(error)) as caught:
        way(deployed.stage, asked)
    assert caught.value is error


def test_it_is_a_provider_and_its_async_twins_have_the_same_parameters(script):
    assert isinstance(TrafficProvider(script(), "east"), Provider)
    for name in ("complete", "stream", "embed", "close"):
        sync, twin = getattr(TrafficProvider, name), getattr(TrafficProvider, "a" + name)
        assert inspect.signature(sync).parameters == inspect.signature(twin).parameters


def test_a_good_call_counts_what_it_used_and_leaves_nothing_taken(way, script, deploy):
    deployed = deploy(script(way.answer, way.answer))
    assert way(deployed.stage) == "Hello"
    assert way(deployed.stage) == "Hello"
    assert deployed.spent == 2 * 25
    assert deployed.is_idle()


def test_vectors_pass_the_same_policies(script, deploy):
    deployed = deploy(script(GOOD, ServerError("down", status_code=500)))
    assert deployed.stage.embed(["a"] * 4, REQUEST) == Embeddings(vectors=[[0.0]] * 4)
    assert deployed.spent == 4  # no usage in the answer: the estimate of the texts
    with pytest.raises(ServerError):
        asyncio.run(deployed.stage.aembed(["a"], REQUEST))
    assert deployed.breaker.state == "open"
    assert deployed.is_idle()


# --- The order


def test_an_open_breaker_refuses_before_anything_is_taken(way, script, deploy):
    deployed = deploy(script(), limit_tokens=1)
    deployed.breaker.admit().end("failure")
    with pytest.raises(CircuitOpenError) as caught:
        way(deployed.stage)
    assert (caught.value.retry_at, caught.value.deployment) == (OPEN, "east")
    assert (deployed.spent, deployed.inner.requests) == (0, [])
    assert deployed.is_idle()


def test_a_budget_refuses_before_a_slot_or_the_probe_is_taken(way, script, deploy, clock):
    deployed = deploy(script(), limit_tokens=60)
    deployed.breaker.admit().end("failure")
    clock.advance(OPEN)
    with pytest.raises(BudgetExceededError):
        way(deployed.stage)
    assert deployed.breaker.is_ready
    assert (deployed.spent, deployed.inner.requests) == (0, [])
    assert deployed.is_idle()


def test_a_limit_that_refuses_gives_the_reservation_back_and_takes_no_probe(way, script, deploy, clock):
    deployed = deploy(script(), queue=0)
    held = deployed.limiter.enter()
    deployed.breaker.admit().end("failure")
    clock.advance(OPEN)
    with pytest.raises(LimitExceededError) as caught:
        way(deployed.stage)
    assert caught.value.deployment == "east"
    assert deployed.breaker.is_ready
    assert deployed.spent == 0
    held.exit()
    assert deployed.is_idle()


def test_a_breaker_that_opens_while_a_call_waits_gives_slot_and_reservation_back(script, deploy, system_clock):
    deployed = deploy(script(), clock=system_clock)
    held = deployed.limiter.enter()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(deployed.stage.complete, REQUEST)
        until(lambda: deployed.stage.health().waiting == 1)
        assert deployed.spent == PROMPT + 50
        deployed.breaker.admit().end("failure")
        held.exit()
        with pytest.raises(CircuitOpenError):
            waiting.result(30)
    assert (deployed.spent, deployed.inner.requests) == (0, [])
    assert deployed.is_idle()


def test_a_call_that_the_breaker_refuses_late_counts_in_no_rate(script, deploy):
    deployed = deploy(script())
    deployed.limiter.configure(LimitSettings(requests_per_minute=60), deployed.state)
    deployed.breaker.check = lambda: None  # it opens between the look at it and the call
    deployed.breaker.admit().end("failure")
    with pytest.raises(CircuitOpenError):
        deployed.stage.complete(REQUEST)
    full = [level.amount for level in deployed.state._levels.values()]
    deployed.limiter.enter().exit()
    assert [level.amount for level in deployed.state._levels.values()] == [amount - 1 for amount in full]
    assert full == [pytest.approx(deployed.limiter._admission.claims.requests.capacity)]


# --- What a call used, and what it says


@pytest.mark.parametrize(
    ("error", "spent", "state"),
    [
        (ServerError("down", status_code=503), 0, "open"),
        (ProviderConnectionError("reset"), PROMPT, "open"),
        (ProviderTimeoutError("too slow"), PROMPT, "open"),
        (RateLimitError("slow down", status_code=429), 0, "closed"),
        (BadRequestError("no such role", status_code=400), 0, "closed"),
        (ScriptError("a test's own"), 0, "closed"),
        (ValueError("a bug"), PROMPT, "closed"),
        (KeyboardInterrupt(), PROMPT, "closed"),
        (SystemExit(), PROMPT, "closed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_a_failure_counts_what_it_may_have_cost_and_leaves_nothing_taken(way, script, deploy, error, spent, state):
    deployed = deploy(script(error))
    failing(way, deployed, error)
    assert deployed.spent == spent
    assert deployed.breaker.state == state
    assert deployed.is_idle()


def test_a_connection_that_was_never_made_costs_nothing(way, script, deploy):
    error = ProviderConnectionError("no connection")
    error.__cause__ = ConnectionRefusedError(111, "refused")
    deployed = deploy(script(error))
    failing(way, deployed, error)
    assert deployed.spent == 0


@pytest.mark.parametrize("error", [StreamInterruptedError("cut"), IncompleteResponseError("no end")])
@pytest.mark.parametrize("way", ["stream", "astream"], indirect=True)
def test_a_broken_stream_is_a_failure_and_counts_what_arrived(way, script, deploy, error):
    deployed = deploy(script([Chunk(text="x" * 40), error]))
    failing(way, deployed, error)
    assert deployed.spent == PROMPT + 10
    assert deployed.breaker.state == "open"
    assert deployed.is_idle()


def test_a_call_of_unknown_use_counts_its_prompt_and_its_answer(way, script, deploy):
    plain = [Chunk(text="x" * 40, finish_reason="stop")] if way.streams else Response(text="x" * 40)
    deployed = deploy(script(plain))
    way(deployed.stage)
    assert deployed.spent == PROMPT + 10


@pytest.mark.parametrize("usage", [Usage(input_tokens=10**400), Usage(input_tokens=-99, output_tokens=9)])
def test_impossible_counts_of_a_provider_keep_the_estimate(way, script, deploy, usage):
    chunk = Chunk(text="x" * 40, finish_reason="stop", usage=usage)
    deployed = deploy(script([chunk] if way.streams else Response(text="x" * 40, usage=usage)))
    way(deployed.stage)
    assert deployed.spent == PROMPT + 10
    assert deployed.is_idle()


def test_the_usual_length_of_answers_is_learnt(way, script, deploy):
    deployed = deploy(script(way.answer))
    before = deployed.stage.gates.estimator.usual_output
    way(deployed.stage)
    assert deployed.stage.gates.estimator.usual_output < before


# --- Streams


def test_a_stream_holds_its_slot_to_the_end_and_its_first_piece_ends_the_probe(script, deploy, clock):
    deployed = deploy(script(list(CHUNKS)))
    deployed.breaker.admit().end("failure")
    clock.advance(OPEN)
    chunks = deployed.stage.stream(REQUEST)
    assert deployed.is_idle()  # nothing happens before the first `next`
    next(chunks)
    assert deployed.breaker.state == "closed"
    assert (deployed.stage.health().in_flight, deployed.limiter.in_flight) == (1, 1)
    list(chunks)
    assert deployed.is_idle()


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_a_stream_closed_early_frees_everything(script, deploy, clock, pieces):
    deployed = deploy(script(list(CHUNKS)))
    deployed.breaker.admit().end("failure")
    clock.advance(OPEN)
    chunks = deployed.stage.stream(REQUEST)
    for _ in range(pieces):
        next(chunks)
    chunks.close()
    assert deployed.is_idle()
    assert (deployed.breaker.state, deployed.inner.closed) == ("closed", 1)
    assert deployed.spent == {1: PROMPT + 1, 2: PROMPT + 2, 3: 25}[pieces]


def test_an_abandoned_stream_frees_everything(script, deploy):
    deployed = deploy(script(list(CHUNKS)))
    chunks = deployed.stage.stream(REQUEST)
    next(chunks)
    del chunks
    gc.collect()
    until(deployed.is_idle)


def test_an_abandoned_async_stream_frees_everything(script, deploy):
    async def abandon():
        chunks = deployed.stage.astream(REQUEST)
        await anext(chunks)
        del chunks
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)

    deployed = deploy(script(list(CHUNKS)))
    asyncio.run(abandon())
    assert deployed.is_idle()


def test_a_stream_that_the_garbage_collector_closes_under_a_lock_does_not_wait_for_it(script, deploy):
    deployed = deploy(script(list(CHUNKS)))

    def collect():
        cycle = [deployed.stage.stream(REQUEST)]
        next(cycle[0])
        cycle.append(cycle)
        with deployed.state._lock:  # as inside any call of the state
            del cycle
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    until(deployed.is_idle)
    assert deployed.spent == PROMPT + 1


def test_a_generator_that_was_never_started_takes_nothing(script, deploy):
    deployed = deploy(script())
    deployed.stage.stream(REQUEST).close()
    asyncio.run(deployed.stage.astream(REQUEST).aclose())
    assert deployed.is_idle()
    assert deployed.inner.requests == []


# --- Cancelled


class Hanging:
    """A provider whose calls hang until they are released."""

    name = "hanging"

    def __init__(self, *, streams: bool = True) -> None:
        self.began = threading.Semaphore(0)
        self.release = threading.Event()
        self.seen = 0

    def complete(self, request):
        self.seen += 1
        self.began.release()
        assert self.release.wait(30)
        return GOOD

    async def acomplete(self, request):
        self.seen += 1
        self.began.release()
        await asyncio.Event().wait()

    async def astream(self, request):
        yield Chunk(text="x" * 8)
        await self.acomplete(request)


def test_a_cancelled_probe_frees_slot_reservation_and_probe(deploy, clock):
    async def main():
        task = asyncio.create_task(deployed.stage.acomplete(REQUEST))
        await settle(lambda: deployed.inner.seen == 1)
        assert deployed.breaker.retry_in is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    deployed = deploy(Hanging())
    deployed.breaker.admit().end("failure")
    clock.advance(OPEN)
    asyncio.run(main())
    assert deployed.is_idle()
    assert (deployed.breaker.state, deployed.breaker.is_ready) == ("half_open", True)
    assert deployed.spent == PROMPT


def test_a_call_cancelled_in_the_queue_gives_everything_back(deploy, system_clock):
    async def main():
        inside = asyncio.create_task(deployed.stage.acomplete(REQUEST))
        await settle(lambda: deployed.inner.seen == 1)
        waiting = [asyncio.create_task(deployed.stage.acomplete(REQUEST)) for _ in range(3)]
        await settle(lambda: deployed.stage.health().waiting == 3)
        assert deployed.stage.health().in_flight == 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (deployed.stage.health().waiting, deployed.spent) == (0, PROMPT + 50)
        inside.cancel()
        await asyncio.gather(inside, return_exceptions=True)

    deployed = deploy(Hanging(), clock=system_clock)
    with capture_traces() as traces, span("work"):
        asyncio.run(main())
    assert deployed.is_idle()
    assert (deployed.inner.seen, deployed.spent) == (1, PROMPT)
    rows = [one.attributes for one in traces.spans[0].events]
    assert [(one["decision"], one["deployment"], one["subject"]) for one in rows] == [
        ("cancelled", "east", "concurrency")
    ] * 3
    assert all(one["wait_ms"] > 0 for one in rows)


def test_a_stream_cancelled_in_the_middle_frees_everything(deploy):
    async def main():
        async def read():
            async for _ in deployed.stage.astream(REQUEST):
                pass

        task = asyncio.create_task(read())
        await settle(lambda: deployed.inner.seen == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    deployed = deploy(Hanging())
    asyncio.run(main())
    assert deployed.is_idle()
    assert (deployed.breaker.state, deployed.spent) == ("closed", PROMPT + 2)


def test_a_call_that_a_stage_outside_cancels_at_its_deadline_is_a_time_out(deploy, clock):
    async def main():
        task = asyncio.create_task(deployed.stage.acomplete(REQUEST))
        await settle(lambda: deployed.inner.seen == 1)
        clock.advance(REQUEST.timeout.total)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    deployed = deploy(Hanging())
    asyncio.run(main())
    assert deployed.breaker.state == "open"
    assert deployed.is_idle()


# --- Many callers


def test_of_100_threads_exactly_one_probes_when_the_time_is_up(deploy, clock):
    deployed = deploy(Hanging(), concurrency=100, limit_tokens=1e6)
    deployed.breaker.admit().end("failure")
    clock.advance(OPEN)
    barrier = threading.Barrier(100)

    def ask(_):
        barrier.wait(30)
        return deployed.stage.complete(REQUEST)

    with ThreadPoolExecutor(100) as pool:
        calls = [pool.submit(ask, number) for number in range(100)]
        until(lambda: sum(call.done() for call in calls) == 99)
        deployed.inner.release.set()
        errors = [call.exception(30) for call in calls]
    assert [type(error) for error in errors].count(CircuitOpenError) == 99
    assert (errors.count(None), deployed.inner.seen) == (1, 1)
    assert deployed.breaker.state == "closed"
    assert deployed.is_idle()
    assert deployed.spent == 25


def test_of_100_tasks_exactly_one_probes_when_the_time_is_up(deploy, clock):
    async def main():
        tasks = [asyncio.create_task(deployed.stage.acomplete(REQUEST)) for _ in range(100)]
        await settle(lambda: sum(task.done() for task in tasks) == 99)
        (probe,) = [task for task in tasks if not task.done()]
        probe.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    deployed = deploy(Hanging(), concurrency=100, limit_tokens=1e6)
    deployed.breaker.admit().end("failure")
    clock.advance(OPEN)
    errors = asyncio.run(main())
    assert [type(error) for error in errors].count(CircuitOpenError) == 99
    assert deployed.inner.seen == 1
    assert deployed.is_idle()


# --- The deadline


def test_the_deadline_bounds_the_queue_and_the_request_gets_the_time_that_is_left(script, deploy, clock):
    deployed = deploy(script(GOOD))
    held = deployed.limiter.enter()
    with pytest.raises(LimitExceededError) as caught:
        deployed.stage.complete(REQUEST.__class__(model="a/b", messages=[], timeout=Timeout(total=4)))
    assert caught.value.waited == pytest.approx(4, abs=0.1)
    assert deployed.spent == 0
    began = clock.monotonic()
    clock.sleep, sleep = (lambda seconds: (held.exit(), sleep(seconds))), clock.sleep
    deployed.stage.complete(REQUEST)
    waited = clock.monotonic() - began
    assert waited > 0
    assert deployed.inner.requests[0].timeout.total == pytest.approx(100 - waited)


def test_a_time_out_after_most_of_the_time_in_our_queue_says_nothing_about_the_deployment(script, deploy, clock):
    def answer(request):
        raise ProviderTimeoutError("too slow")

    deployed = deploy(script(answer))
    held = deployed.limiter.enter()
    sleep = clock.sleep
    clock.sleep = lambda _seconds: (held.exit(), sleep(20))
    short = Request(model="a/b", messages=[], timeout=Timeout(total=30))
    with pytest.raises(ProviderTimeoutError):
        deployed.stage.complete(short)
    assert deployed.inner.requests[0].timeout.total == 10
    assert deployed.breaker.state == "closed"


# --- Cooldown


def test_a_retry_after_pauses_other_callers_and_the_own_retry_passes(way, script, deploy):
    deployed = deploy(script(RateLimitError("busy", status_code=429, retry_after=3.0), way.answer))
    retrying = RetryProvider(deployed.stage, RetrySettings(attempts=2), clock=deployed.clock, random=lambda low, _: low)
    assert way(retrying) == "Hello"
    assert deployed.clock.waits == [3.0]


def refusing_another(way, deployed, error, seconds=7.0):
    """Return a step that fails while another caller is told to wait."""

    def other():
        deployed.breaker.admit().end("neutral", seconds)

    def fail(_request):
        other()
        raise error

    return [other, error] if way.streams else fail


def test_a_retry_waits_no_shorter_than_the_cooldown_that_another_call_caused(way, script, deploy):
    deployed = deploy(script(way.answer), failures=9)
    deployed.inner.steps.insert(0, refusing_another(way, deployed, ProviderConnectionError("reset")))
    retrying = RetryProvider(deployed.stage, RetrySettings(), clock=deployed.clock, random=lambda low, _: low)
    assert way(retrying) == "Hello"
    assert deployed.clock.waits == [pytest.approx(7.0)]


@pytest.mark.parametrize("bound", [{"timeout": Timeout(total=5)}, {}])
def test_a_cooldown_beyond_the_deadline_or_the_longest_wait_ends_the_call_at_once(way, script, deploy, bound):
    deployed, error = deploy(script(), failures=9), ServerError("down", status_code=500)
    deployed.inner.steps.append(refusing_another(way, deployed, error))
    retrying = RetryProvider(deployed.stage, RetrySettings(max_retry_after=60 if bound else 6), clock=deployed.clock)
    with pytest.raises(ServerError) as caught:
        way(retrying, replace(REQUEST, **bound))
    assert caught.value is error
    assert deployed.clock.waits == []


def test_a_cooldown_that_begins_during_the_wait_prolongs_it(way, script, deploy, clock):
    class Interrupted(type(clock)):
        def sleep(self, seconds):
            super().sleep(seconds)
            if len(self.waits) == 1:
                deployed.breaker.admit().end("neutral", 7.0)

        async def asleep(self, seconds):
            self.sleep(seconds)

    deployed = deploy(script(ServerError("down", status_code=500), way.answer), failures=9, clock=Interrupted())
    retrying = RetryProvider(deployed.stage, RetrySettings(base=1.0), clock=deployed.clock, random=lambda _, high: high)
    assert way(retrying) == "Hello"
    assert deployed.clock.waits == [1.0, pytest.approx(7.0)]


def test_a_retry_waits_for_the_first_of_several_deployments_that_cool_down(way, script, deploy):
    east, west = deploy(script(), failures=9), deploy(script(way.answer), failures=9)
    west.breaker.admit().end("neutral", 3.0)
    east.inner.steps.append(refusing_another(way, east, ServerError("down", status_code=500)))
    pair = [Deployment(name, "script/one", one.stage) for name, one in (("east", east), ("west", west))]
    balanced = BalanceProvider(pair, Balancer("weighted", [1.0, 1.0]), clock=east.clock)
    retrying = RetryProvider(balanced, RetrySettings(), clock=east.clock, random=lambda low, _: low, routes=True)
    assert way(retrying) == "Hello"
    assert east.clock.waits == [pytest.approx(3.0)]


def test_a_pause_holds_for_callers_of_the_deployment(way, script, deploy):
    error = ServerError("busy", status_code=503, retry_after=9.0)
    deployed = deploy(script(error), failures=5)
    failing(way, deployed, error)
    with pytest.raises(CircuitOpenError, match="cools down"):
        way(deployed.stage)
    assert deployed.stage.health().retry_in == pytest.approx(9.0, abs=0.05)
    assert deployed.stage.health().ready is False


class _Server(LocalState):
    @property
    def blocking(self) -> bool:
        return True


def test_a_pause_reaches_other_processes_over_a_server(way, script, clock):
    state = _Server(clock)
    settings = BreakerSettings(failures=5)
    stages = [
        TrafficProvider(script(error), "east", breaker=Breaker("east", settings, clock, state), clock=clock)
        for error in (RateLimitError("busy", status_code=429, retry_after=9.0), way.answer)
    ]
    with pytest.raises(RateLimitError):
        way(stages[0])
    until(lambda: state.paused("pause:east") > 0)
    with pytest.raises(CircuitOpenError):
        way(stages[1])


# --- Rate-limit headers


def test_the_limiter_hears_what_the_rate_limit_headers_say(way, script, deploy):
    left = RateLimits(requests_left=0, requests_reset_s=50)
    answer = [Chunk(text="x", rate_limits=left), *CHUNKS] if way.streams else replace(GOOD, rate_limits=left)
    error = RateLimitError("busy", status_code=429, rate_limits=left)
    for step in (answer, error):
        deployed = deploy(script(step), queue=0)
        if step is error:
            failing(way, deployed, error)
        else:
            way(deployed.stage)
        with pytest.raises(LimitExceededError) as caught:
            way(deployed.stage)
        assert caught.value.limit == "requests_per_minute"


# --- Records


def test_decisions_are_events_of_the_current_span(script, deploy, clock):
    deployed = deploy(script(ServerError("down", status_code=500), list(CHUNKS)), queue=0)
    with capture_traces() as traces, span("work"):
        with pytest.raises(ServerError):
            deployed.stage.complete(REQUEST)
        with pytest.raises(CircuitOpenError):
            deployed.stage.complete(REQUEST)
        clock.advance(OPEN)
        list(deployed.stage.stream(REQUEST))
        with deployed.limiter.enter(), pytest.raises(LimitExceededError):
            deployed.stage.complete(REQUEST)
    (work,) = traces.spans
    found = [(one.attributes["policy"], one.attributes["decision"]) for one in work.events]
    assert found == [
        ("breaker", "opened"),
        ("breaker", "refused"),
        ("breaker", "half_open"),
        ("breaker", "closed"),
        ("limit", "refused"),
    ]
    assert {one.attributes["deployment"] for one in work.events} == {"east"}
    assert work.events[0].attributes["reason"] == "ServerError"
    assert work.events[1].attributes["wait_ms"] == OPEN * 1_000


def test_a_call_that_just_passes_is_no_event(way, script, deploy):
    deployed = deploy(script(way.answer))
    with capture_traces() as traces, span("work"):
        way(deployed.stage)
    assert [one.events for one in traces.spans] == [()]


def test_budgets_without_an_estimator_are_an_error(script, deploy):
    budgets = deploy(script()).stage.gates.budgets
    with pytest.raises(ValueError, match="estimator"):
        TrafficProvider(script(), "east", budgets=budgets)
