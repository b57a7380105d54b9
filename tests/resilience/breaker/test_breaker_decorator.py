"""`@breaker` on callables of every style, and around blocks."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import (
    AuthenticationError,
    CircuitOpenError,
    ConfigError,
    LimitExceededError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.resilience.breaker._results import pause_of, result_of
from llmops_sdk.testing import capture_traces

OPEN = 30.0


class VendorError(Exception):
    """An error with an HTTP response, as vendors' clients raise them."""

    def __init__(self, status, **headers):
        super().__init__(f"status {status}")
        self.response = type("Response", (), {"status_code": status, "headers": headers})()


def policy_of(clock, failures=1, **given):
    return llmops.breaker(failures, OPEN, clock=clock, **given)


@pytest.fixture(params=["function", "coroutine", "generator", "asyncgen", "with", "async with"])
def style(request):
    """Each style, as a function that runs `body(value)` once under a policy."""

    def under(policy, body):
        if request.param == "function":

            @policy
            def function():
                return body()

            return function
        if request.param == "coroutine":

            @policy
            async def coroutine():
                return body()

            return lambda: asyncio.run(coroutine())
        if request.param == "generator":

            @policy
            def generator():
                yield body()

            return lambda: list(generator())
        if request.param == "asyncgen":

            @policy
            async def asyncgen():
                yield body()

            async def collect():
                return [item async for item in asyncgen()]

            return lambda: asyncio.run(collect())
        if request.param == "with":

            def block():
                with policy:
                    return body()

            return block

        async def ablock():
            async with policy:
                return body()

        return lambda: asyncio.run(ablock())

    return under


def test_every_style_opens_probes_and_closes(style, clock):
    steps = [TimeoutError("slow"), TimeoutError("slow"), TimeoutError("slow"), "fine", "fine"]

    def body():
        step = steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    policy = policy_of(clock, failures=2)
    run = style(policy, body)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            run()
    with pytest.raises(CircuitOpenError) as caught:
        run()
    assert caught.value.retry_at == OPEN
    assert len(steps) == 3  # it was not called
    clock.advance(OPEN)
    with pytest.raises(TimeoutError):
        run()
    assert policy.state == "open"
    clock.advance(OPEN)
    run()
    run()
    assert policy.state == "closed"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError(), SystemExit()])
def test_a_cancelled_probe_is_free_again(style, clock, error):
    errors = [TimeoutError("slow"), error, None]

    def body():
        if (one := errors.pop(0)) is not None:
            raise one

    policy = policy_of(clock)
    run = style(policy, body)
    with pytest.raises(TimeoutError):
        run()
    clock.advance(OPEN)
    with pytest.raises(type(error)):
        run()
    assert policy.state == "half_open"
    run()
    assert policy.state == "closed"


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "ok"),
        (ServerError("down"), "failure"),
        (ServerError("overloaded", status_code=529), "failure"),
        (ProviderTimeoutError("slow"), "failure"),
        (StreamInterruptedError("cut"), "failure"),
        (RateLimitError("slow down"), "neutral"),
        (AuthenticationError("bad key", status_code=401), "ok"),
        (AuthenticationError("no key"), "neutral"),
        (LimitExceededError("too many"), "neutral"),
        (CircuitOpenError("inner"), "neutral"),
        (VendorError(500), "failure"),
        (VendorError(408), "failure"),
        (VendorError(429), "neutral"),
        (VendorError(404), "ok"),
        (ConnectionResetError("reset"), "failure"),
        (TimeoutError("slow"), "failure"),
        (ValueError("a bug"), "neutral"),
        (GeneratorExit(), "neutral"),
    ],
    ids=repr,
)
def test_what_an_end_says(error, result):
    assert result_of(error) == result


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (VendorError(429, **{"Retry-After": "2"}), 2.0),
        (VendorError(503, **{"retry-after-ms": "1500"}), 1.5),
        (VendorError(503), None),
        (VendorError(500, **{"Retry-After": "2"}), None),
        (RateLimitError("busy", retry_after=7.0), 7.0),
        (ServerError("busy", status_code=503, retry_after=7.0), 7.0),
        (ServerError("down", status_code=500, retry_after=7.0), None),
        (None, None),
    ],
    ids=repr,
)
def test_a_429_or_503_says_how_long_to_pause(error, seconds):
    assert pause_of(error, 0.0) == seconds


def test_a_retry_after_pauses_the_callers_of_a_function(clock):
    @policy_of(clock)
    def ask():
        raise VendorError(429, **{"Retry-After": "5"})

    with pytest.raises(VendorError):
        ask()
    with pytest.raises(CircuitOpenError, match="cools down"):
        ask()


@pytest.mark.parametrize(
    "on", [KeyError, (KeyError, OSError), lambda error: isinstance(error, KeyError)], ids=["type", "tuple", "function"]
)
def test_on_says_which_exceptions_are_failures(clock, on):
    errors = [ServerError("down"), KeyError("x")]

    def ask():
        raise errors.pop(0)

    policy = policy_of(clock, on=on)
    ask = policy(ask)
    with pytest.raises(ServerError):
        ask()
    assert policy.state == "closed"
    with pytest.raises(KeyError):
        ask()
    assert policy.state == "open"


def test_a_generator_works_from_its_first_item_on_and_breaking_later_is_a_failure(clock):
    @(policy := policy_of(clock))
    def items(fail):
        yield 1
        if fail:
            raise ConnectionResetError("reset")
        yield 2

    for fail in (True, False):
        stream = items(fail)
        assert next(stream) == 1
        if fail:
            with pytest.raises(ConnectionResetError):
                next(stream)
            assert policy.state == "open"
            clock.advance(OPEN)
        else:
            assert policy.state == "closed"  # the probe has ended, the stream has not
            assert list(stream) == [2]


def test_a_generator_left_early_frees_the_probe(clock):
    fails = [True]

    @(policy := policy_of(clock))
    def items():
        if fails:
            raise ConnectionResetError("reset")
        yield 1
        yield 2

    with pytest.raises(ConnectionResetError):
        next(items())
    fails.clear()
    clock.advance(OPEN)
    stream = items()
    next(stream)
    stream.close()
    assert policy.state == "closed"


def test_everything_under_one_policy_shares_its_state(clock):
    policy = policy_of(clock, name="vendor")

    @policy
    def bad():
        raise TimeoutError("slow")

    @policy
    async def good():
        return 1

    with pytest.raises(TimeoutError):
        bad()
    with pytest.raises(CircuitOpenError, match="vendor had 1 failures"):
        asyncio.run(good())
    with pytest.raises(CircuitOpenError), policy:
        pass


@pytest.mark.parametrize("callers", ["threads", "tasks"])
def test_of_100_blocks_at_the_same_time_exactly_one_is_the_probe(clock, callers):
    policy = policy_of(clock)
    with pytest.raises(TimeoutError), policy:
        raise TimeoutError("slow")
    clock.advance(OPEN)
    inside = []

    if callers == "threads":
        barrier, refused = threading.Barrier(100), threading.Semaphore(0)

        def one(_):
            barrier.wait(30)
            try:
                with policy:
                    inside.append(1)
                    for _ in range(99):
                        assert refused.acquire(timeout=30)
            except CircuitOpenError:
                refused.release()

        with ThreadPoolExecutor(100) as pool:
            list(pool.map(one, range(100)))
    else:

        async def main():
            refused = asyncio.Semaphore(0)

            async def task():
                try:
                    async with policy:
                        inside.append(1)
                        for _ in range(99):
                            await refused.acquire()
                except CircuitOpenError:
                    refused.release()

            await asyncio.gather(*(task() for _ in range(100)))

        asyncio.run(main())
    assert inside == [1]
    assert policy.state == "closed"


def test_blocks_of_tasks_that_end_in_another_order_keep_their_own_results(clock):
    async def main():
        policy = policy_of(clock, failures=2)
        slow, fast = asyncio.Event(), asyncio.Event()

        async def block(until, error):
            async with policy:
                await until.wait()
                if error:
                    raise TimeoutError("slow")

        first = asyncio.create_task(block(slow, error=True))
        second = asyncio.create_task(block(fast, error=False))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError), policy:
            raise TimeoutError("slow")
        fast.set()
        await second  # a success: the failures in a row begin again
        slow.set()
        with pytest.raises(TimeoutError):
            await first
        return policy.state

    assert asyncio.run(main()) == "closed"


def test_a_block_entered_in_one_thread_and_left_in_another_frees_the_probe(clock):
    policy = policy_of(clock)
    with pytest.raises(TimeoutError), policy:
        raise TimeoutError("slow")
    clock.advance(OPEN)
    policy.__enter__()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(policy.__exit__, None, None, None).result(30)
    assert policy.state == "closed"


def test_the_decorator_keeps_what_the_function_is():
    @llmops.breaker
    def plain(a: int, *, b: str = "x") -> str:
        """Say."""
        return b * a

    assert (plain(2), plain.__name__, plain.__doc__) == ("xx", "plain", "Say.")
    assert list(inspect.signature(plain).parameters) == ["a", "b"]

    class Asker:
        @llmops.breaker()
        def ask(self):
            return "method"

        @classmethod
        @llmops.breaker(failures=2)
        def of_class(cls) -> str:
            return cls.__name__

        @llmops.breaker
        @staticmethod
        def static() -> str:
            return "static"

    assert (Asker().ask(), Asker.of_class(), Asker.static()) == ("method", "Asker", "static")


@pytest.mark.parametrize(
    ("decorated", "name"),
    [
        (lambda policy: policy(test_what_an_end_says), "test_what_an_end_says"),
        (lambda policy: policy(functools.partial(print)), "partial"),
        (lambda policy: policy.__enter__(), "breaker"),
    ],
)
def test_a_policy_is_named_after_what_it_first_guards(clock, decorated, name):
    policy = policy_of(clock)
    decorated(policy)
    assert policy.name == name
    policy(print)
    assert policy.name == name


@pytest.mark.parametrize("given", [{"failures": 0}, {"failures": "many"}, {"failures": None}, {"open_seconds": 0}])
def test_a_bound_that_is_not_valid_is_a_config_error(given):
    (name,) = given
    with pytest.raises(ConfigError, match=f"{name} ?= ?{given[name]}|{name} = {given[name]!r}"):
        llmops.breaker(**given)


def test_what_it_does_is_on_the_span(clock):
    @policy_of(clock)
    def ask():
        raise TimeoutError("slow")

    with capture_traces() as traces, llmops.span("work"):
        for error in (TimeoutError, CircuitOpenError):
            with pytest.raises(error):
                ask()
    (work,) = traces.spans
    assert [
        (one.attributes["decision"], one.attributes["deployment"], one.attributes["reason"]) for one in work.events
    ] == [("opened", ask.__qualname__, "TimeoutError"), ("refused", ask.__qualname__, "open")]
