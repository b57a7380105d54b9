"""`@budget`: on callables of every style, and around blocks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading

import pytest

import llmops_sdk as llmops
from llmops_sdk.resilience._open_scopes import open_scopes
from llmops_sdk.testing import ManualClock, ScriptedProvider, capture_traces, use_provider

USED = 8
"""Tokens of one call: the answer of the script says so."""


@pytest.fixture(autouse=True)
def model(tmp_path):
    """Let every call use eight tokens, and cost a USD."""
    llmops.configure(model="offline/echo", store={"enabled": False})
    answer = llmops.Response(text="ok", usage=llmops.Usage(input_tokens=5, output_tokens=3), cost=1.0)
    with use_provider(ScriptedProvider([answer], repeat=True)) as scripted:
        yield scripted


def ask(text="hi"):
    return llmops.chat(text, max_tokens=3, retry=False)


def budget(**fields):
    return llmops.budget(**({"limit_tokens": 3 * USED} | fields))


def calls_that_pass(most=20):
    for number in range(most):
        try:
            ask()
        except llmops.BudgetExceededError:
            return number
    return most


def test_function():
    @budget()
    def run():
        return calls_that_pass()

    assert run() == 3
    assert run() == 0
    assert calls_that_pass(4) == 4


def test_without_a_trace_a_run_is_one_call_of_the_function_or_one_block():
    policy = budget(per="run")

    @policy
    def run(depth=0):
        return run(depth - 1) if depth else calls_that_pass()

    @policy
    def steps():
        yield calls_that_pass(2)
        yield calls_that_pass()

    assert [run(), run(2)] == [3, 3]
    assert list(steps()) == [2, 1]
    with policy:
        assert calls_that_pass() == 3
    with policy:
        assert calls_that_pass() == 3


def test_in_a_trace_the_trace_is_the_run():
    policy = budget(per="run")
    run = policy(calls_that_pass)
    with llmops.span("agent"):
        assert [run(2), run()] == [2, 1]
    with llmops.span("agent"):
        assert run() == 3


def test_coroutine_and_its_tasks():
    @budget()
    async def run():
        async def one():
            try:
                await llmops.achat("hi", max_tokens=3, retry=False)
            except llmops.BudgetExceededError:
                return 0
            return 1

        return sum(await asyncio.gather(*(one() for _ in range(10))))

    # The estimates of those in flight count: fewer than three at a time.
    assert 1 <= asyncio.run(run()) <= 3


@pytest.mark.parametrize("stream", [False, True])
def test_generator_counts_its_own_calls_only(stream):
    @budget()
    def run():
        while True:
            if stream:
                yield "".join(chunk.text for chunk in llmops.stream("hi", max_tokens=3, retry=False))
            else:
                yield ask().text

    items = run()
    for _ in range(3):
        assert next(items) == "ok"
        assert open_scopes() == ()
        ask()
    with pytest.raises(llmops.BudgetExceededError):
        next(items)
    assert calls_that_pass(4) == 4


def test_generator_passes_values_errors_and_its_result_on():
    closed = []

    @budget()
    def run():
        try:
            got = yield 1
            try:
                yield got
            except KeyError:
                yield "caught"
            return "result"
        finally:
            closed.append(open_scopes())

    items = run()
    assert next(items) == 1
    assert items.send("sent") == "sent"
    assert items.throw(KeyError("x")) == "caught"
    with pytest.raises(StopIteration) as end:
        next(items)
    assert end.value.value == "result"
    early = run()
    next(early)
    early.close()
    assert [len(scopes) for scopes in closed] == [1, 1]
    assert open_scopes() == ()


async def test_async_generator_counts_its_own_calls_only():
    closed = []

    @budget()
    async def run():
        try:
            while True:
                yield (await llmops.achat("hi", max_tokens=3, retry=False)).text
        finally:
            closed.append(len(open_scopes()))

    items = run()
    for _ in range(3):
        assert await anext(items) == "ok"
        assert open_scopes() == ()
        await llmops.achat("hi")
    with pytest.raises(llmops.BudgetExceededError):
        await anext(items)
    other = budget()(run.__wrapped__)()
    assert await anext(other) == "ok"
    await other.aclose()
    assert closed == [1, 1]


async def test_async_generator_passes_values_and_errors_on():
    @budget()
    async def run():
        got = yield 1
        try:
            yield got
        except KeyError:
            yield "caught"

    items = run()
    assert await anext(items) == 1
    assert await items.asend("sent") == "sent"
    assert await items.athrow(KeyError("x")) == "caught"
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_calls_of_other_tasks_do_not_count():
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def with_budget():
        async with budget():
            inside.set()
            await go_on.wait()
            return calls_that_pass()

    task = asyncio.create_task(with_budget())
    await inside.wait()
    assert calls_that_pass(5) == 5
    go_on.set()
    assert await task == 3


def test_block_stream_and_vectors():
    with budget():
        with llmops.stream("hi", max_tokens=3) as chunks:
            assert "".join(chunk.text for chunk in chunks) == "ok"
        assert calls_that_pass() == 2
    with budget(limit_tokens=1), pytest.raises(llmops.BudgetExceededError):
        llmops.embed(["a text of more than four characters"])


def test_stream_that_is_left_early_counts_what_arrived():
    text = "0123456789" * 40
    with use_provider(ScriptedProvider([text, text], repeat=True)), budget(limit_tokens=400) as mine:
        with llmops.stream("hi", max_tokens=300) as chunks:
            next(iter(chunks))
        with pytest.raises(llmops.BudgetExceededError) as caught:
            llmops.chat("hi", max_tokens=10_000)
        assert mine.name == caught.value.budget == "budget"
        assert 0 < 400 - caught.value.left < 150


def test_nested_budgets_all_count():
    with budget(limit_tokens=5 * USED, name="outer") as outer, budget(name="inner"):
        assert calls_that_pass() == 3
        with pytest.raises(llmops.BudgetExceededError) as caught:
            ask()
        assert caught.value.budget == "inner"
    with outer:  # a refusal of the inner one has reserved nothing here
        assert calls_that_pass() == 2


def test_recursion_counts_a_call_once():
    @budget()
    def run(depth):
        return run(depth - 1) if depth else calls_that_pass()

    assert run(5) == 3


def test_threads_count_with_the_executor_only():
    with budget(), llmops.Executor(max_workers=1) as pool:
        assert pool.submit(calls_that_pass, 5).result() == 3
    found = []
    with budget():
        thread = threading.Thread(target=lambda: found.append(calls_that_pass(5)))
        thread.start()
        thread.join()
    assert found == [5]


def test_one_name_is_one_budget_and_no_name_is_its_own():
    with budget(name="job", window="total"):
        assert calls_that_pass(2) == 2
    with budget(name="job", window="total"):
        assert calls_that_pass() == 1
    for _ in range(2):
        with budget(window="total"):
            assert calls_that_pass() == 3


def test_keys_are_those_of_the_context():
    with budget(per="user"):
        for user in ("ada", "bob"):
            with llmops.context(user_id=user):
                assert calls_that_pass() == 3
        assert calls_that_pass() == 3  # without a user: a key of its own


def test_window_starts_again():
    clock = ManualClock()
    policy = budget(window="hour", clock=clock)
    with policy:
        assert calls_that_pass() == 3
        clock.advance(3_600)
        assert calls_that_pass() == 3


def test_soft_budget_records_once_and_refusal_each_time():
    with capture_traces() as traces:
        with llmops.span("outer"), budget(mode="soft", name="soft"):
            assert calls_that_pass(6) == 6
        with llmops.span("outer"), budget(name="hard"):
            calls_that_pass()
    events = [
        dict(event.attributes) for span in traces.spans for event in span.events if event.name == "llmops.traffic"
    ]
    assert [(one["policy"], one["decision"], one["subject"]) for one in events] == [
        ("budget", "exceeded", "soft"), ("budget", "refused", "hard"),
    ]  # fmt: skip


def test_refused_call_reaches_no_model(model):
    with budget(limit_tokens=1), pytest.raises(llmops.BudgetExceededError):
        llmops.chat("hi", max_tokens=3, retry={"attempts": 5})
    assert model.requests == ()


# --- what the callable itself costs -----------------------------------------------------------------------------------


def test_number_is_reserved_before_the_call():
    ran = []

    @llmops.budget(limit_usd=1, cost=0.4)
    def run():
        ran.append(1)
        return "done"

    assert [run(), run()] == ["done", "done"]
    with pytest.raises(llmops.BudgetExceededError, match=r"0\.2 of 1\.00 USD left"):
        run()
    assert len(ran) == 2
    assert run.__name__ == "run"


def test_function_of_the_result_and_unknown_cost():
    @llmops.budget(limit_tokens=1_000, cost=lambda result: result)
    def run(tokens):
        return tokens

    run(700)
    with pytest.raises(llmops.BudgetExceededError) as caught:
        run(0)  # the estimate has learned from the last call
    assert caught.value.left == 300
    unknown = llmops.budget(limit_usd=1, unknown_cost=0.5, cost=lambda _: None)(lambda: None)
    unknown()
    unknown()
    with pytest.raises(llmops.BudgetExceededError):
        unknown()


async def test_items_of_generators_add_up():
    @llmops.budget(limit_tokens=1_000, cost=len)
    def items():
        yield "x" * 300
        yield "y" * 400

    @llmops.budget(limit_tokens=1_000, cost=len)
    async def aitems():
        yield "x" * 300
        yield "y" * 400

    assert len("".join(items())) == 700
    with pytest.raises(llmops.BudgetExceededError) as caught:
        next(items())
    assert caught.value.left == 300
    assert len("".join([one async for one in aitems()])) == 700
    with pytest.raises(llmops.BudgetExceededError):
        await anext(aitems())


def test_generator_that_is_collected_while_its_thread_changes_the_sums_does_not_wait_for_itself():
    policy = llmops.budget(limit_tokens=1_000, cost=len)

    @policy
    def items():
        yield "x" * 300
        yield "never"

    abandoned = items()
    next(abandoned)
    state = policy.budgets().state
    with state._lock:  # as if the collector ran inside
        abandoned.close()
    for thread in threading.enumerate():
        if thread.name == "llmops-budget":
            thread.join(60)
    assert [one.amount for one in state._sums.values()] == [300]


class HttpError(Exception):
    status_code = 503


@pytest.mark.parametrize(("error", "left"), [(HttpError("down"), 1.0), (TimeoutError("slow"), 0.6)])
def test_failed_call_costs_nothing_where_a_server_refused_it(error, left):
    @llmops.budget(limit_usd=1, cost=0.4)
    def run(fails):
        if fails:
            raise error

    with pytest.raises(type(error)):
        run(True)
    for _ in range(int(left / 0.4)):
        run(False)
    with pytest.raises(llmops.BudgetExceededError):
        run(False)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0, "much"])
def test_cost_that_is_no_amount_keeps_the_estimate(wrong):
    run = llmops.budget(limit_usd=1, unknown_cost=0.5, cost=lambda _: wrong)(lambda: "result")
    assert [run(), run()] == ["result", "result"]
    with pytest.raises(llmops.BudgetExceededError):
        run()


async def test_cancelled_call_keeps_its_cost_and_leaves_its_scope():
    began = asyncio.Event()

    @llmops.budget(limit_usd=1, cost=0.6)
    async def run():
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await began.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with pytest.raises(llmops.BudgetExceededError):
        await run()
    assert open_scopes() == ()


# --- the decorator itself ---------------------------------------------------------------------------------------------


class Shop:
    @budget()
    def method(self):
        return calls_that_pass()

    @classmethod
    @budget()
    def of_class(cls) -> int:
        return calls_that_pass()

    @budget()
    @staticmethod
    def static() -> int:
        return calls_that_pass()


def test_methods_of_every_kind():
    assert (Shop().method(), Shop.of_class(), Shop.static()) == (3, 3, 3)
    assert budget()(functools.partial(calls_that_pass, 7))() == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"limit_usd": 1, "limit_tokens": 1}, {"limit_usd": -1}, {"limit_usd": 1, "per": "team"},
        {"limit_usd": 1, "window": "year"}, {"limit_usd": 1, "mode": "loud"}, {"limit_usd": 1, "name": ""},
        {"limit_usd": 1, "cost": -1.0}, {"limit_usd": 1, "cost": float("nan")}, {"limit_usd": 1, "unknown_cost": 0},
    ],
)  # fmt: skip
def test_wrong_values_are_configuration_errors(wrong):
    with pytest.raises(llmops.ConfigError, match="@budget"):
        llmops.budget(**wrong)


def test_long_name_of_a_function_is_cut():
    def run():
        return None

    run.__qualname__ = "deep." * 100
    policy = budget()
    policy(run)()
    assert len(policy.name) == 64
