"""What budgets have spent, as the store has it."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gated_requests import Requests, at_once, never

import llmops_sdk as llmops
from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.config import BudgetSettings, Settings
from llmops_sdk.providers import Response
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.resilience.budgets._call import BudgetCall
from llmops_sdk.resilience.budgets._spent import read_spending, read_start, start_reader
from llmops_sdk.shared._local import LocalState
from llmops_sdk.testing import ScriptedProvider, use_provider

PRICES = {"east": {"input": 1_000_000, "output": 0}}  # a USD for each token of the prompt


def budget(**fields):
    return BudgetSettings(**{"name": "b", "limit_tokens": 1_000, **fields})


def spent(*budgets, now=None):
    assert llmops.flush().pending == 0
    return {(one.policy.settings.name, one.key): one.spent for one in read_spending(budgets, now or time.time(), None)}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Configure a store, with one named model that has a price and one that has none."""
    llmops.configure(
        store={"path": tmp_path / "traces"},
        models={"east": {"model": "offline/echo"}, "free": {"model": "offline/echo"}},
        prices=PRICES,
    )
    return tmp_path / "traces"


def test_sums_are_those_of_the_answers_by_each_key(store):
    with llmops.context(user_id="ada", session_id="s", tags=["x", "y"]), llmops.span("run") as run:
        first = llmops.chat("a prompt", model="east")
    with llmops.context(user_id="bob", tags=["y"]):
        second = llmops.chat("another prompt of more words", model="offline/echo")
    third = llmops.chat("a third", model="free", max_tokens=5)
    used = [one.usage.input_tokens + one.usage.output_tokens for one in (first, second, third)]
    assert spent(budget()) == {("b", ""): sum(used)}
    assert spent(budget(per="user")) == {("b", "ada"): used[0], ("b", "bob"): used[1], ("b", ""): used[2]}
    assert spent(budget(per="session")) == {("b", "s"): used[0], ("b", ""): used[1] + used[2]}
    assert spent(budget(per="run"))[("b", run.trace_id)] == used[0]
    assert spent(budget(per="tag")) == {("b", "x"): used[0], ("b", "y"): used[0] + used[1], ("b", ""): used[2]}
    assert spent(budget(per="model")) == {
        ("b", "east"): used[0],
        ("b", "offline/echo"): used[1],
        ("b", "free"): used[2],
    }
    assert spent(budget(model="east")) == {("b", ""): used[0]}
    assert spent(budget(model="offline/echo")) == {("b", ""): sum(used)}
    assert spent(budget(tag="x"), budget(name="c", tag="nothing")) == {("b", ""): used[0], ("c", ""): 0}


def test_unknown_price_counts_as_unknown_cost_and_a_known_one_as_the_cost(store):
    priced = llmops.chat("a prompt", model="east")
    llmops.chat("a prompt", model="free")
    assert priced.cost is not None
    found = spent(BudgetSettings(name="b", limit_usd=9, unknown_cost=0.25, per="model"))
    assert found == {("b", "east"): pytest.approx(priced.cost), ("b", "free"): 0.25}


def test_answers_of_the_cache_cost_nothing(store):
    asked = [llmops.chat("the same", model="free", cache=True) for _ in range(2)]
    assert [one.cache for one in asked] == [None, "exact"]
    assert spent(BudgetSettings(name="b", limit_usd=9, unknown_cost=0.25)) == {("b", ""): 0.25}
    assert spent(budget()) == {("b", ""): asked[0].usage.input_tokens + asked[0].usage.output_tokens}


@pytest.mark.parametrize(
    ("error", "usd"),
    [
        (llmops.RateLimitError("slow down", status_code=429), 0.0),
        (llmops.AuthenticationError("no key", status_code=401), 0.0),
        (llmops.ProviderTimeoutError("too slow"), 0.25),
        (llmops.ProviderConnectionError("reset"), 0.25),
    ],
)
def test_failed_call_counts_where_the_model_may_have_worked(store, error, usd):
    with use_provider(ScriptedProvider([error])), pytest.raises(type(error)):
        llmops.chat("a prompt", model="free", retry=False)
    assert spent(BudgetSettings(name="b", limit_usd=9, unknown_cost=0.25)) == {("b", ""): usd}


def test_failed_attempts_before_an_answer_count(store):
    """A time-out may have cost a whole answer, a refusal costs nothing."""
    errors = [llmops.ProviderTimeoutError("too slow"), llmops.RateLimitError("slow down", status_code=429)]
    with use_provider(ScriptedProvider([*errors, "an answer"])):
        answer = llmops.chat("a prompt", model="free", retry={"base": 0.0001})
    usage = answer.usage
    assert spent(budget()) == {("b", ""): 2 * usage.input_tokens + usage.output_tokens}
    assert spent(BudgetSettings(name="b", limit_usd=9, unknown_cost=0.25)) == {("b", ""): 0.5}


def test_failed_attempt_costs_as_much_as_the_answer_where_that_is_known(store):
    with use_provider(ScriptedProvider([llmops.ProviderTimeoutError("too slow"), Response(text="so", cost=0.5)])):
        llmops.chat("a prompt", model="free", retry={"base": 0.0001})
    assert spent(BudgetSettings(name="b", limit_usd=9, unknown_cost=0.25)) == {("b", ""): 1.0}


def test_lost_hedge_counts(tmp_path):
    """The request that lost is an attempt like another one, with the cost of the answer as its estimate."""
    hedge = {"share": 1.0, "samples": 2, "min_delay": 0.001}
    llmops.configure(store={"path": tmp_path / "traces"}, model="offline/echo", hedge=hedge)
    with use_provider(ScriptedProvider([Response(text="warm", cost=0.25)] * 2)):
        for _ in range(2):
            llmops.chat("a prompt")
    raced = Requests(never, at_once(cost=0.5))
    try:
        with use_provider(raced):
            assert [one.reason for one in llmops.chat("a prompt").attempts] == ["first", "hedge"]
    finally:
        raced.released.set()
    assert spent(BudgetSettings(name="b", limit_usd=9, unknown_cost=0.125)) == {("b", ""): 2 * 0.25 + 2 * 0.5}


@pytest.mark.parametrize("failed", [False, True])
def test_call_without_an_answer_counts_by_its_texts(store, failed):
    """A stream that its reader leaves, or a call that times out, has no tokens."""
    prompt = "a prompt of many words " * 10
    if failed:
        late = ScriptedProvider([llmops.ProviderTimeoutError("too slow")])
        with use_provider(late), pytest.raises(llmops.ProviderTimeoutError):
            llmops.chat(prompt, model="free", retry=False)
    else:
        chunks = llmops.stream(prompt, model="free")
        next(iter(chunks))
        chunks.close()
    (tokens,) = spent(budget()).values()
    assert len(prompt) / 4 <= tokens <= len(prompt) / 4 + 60  # the messages' JSON has some signs more
    assert spent(BudgetSettings(name="b", limit_usd=9, unknown_cost=0.25)) == {("b", ""): 0.25}


def test_calls_of_other_libraries_do_not_count(store):
    with llmops.span("chat gpt", kind="llm", attributes={"gen_ai.request.model": "gpt"}) as span:
        span.usage(input_tokens=100, output_tokens=100, cost=5.0, model="gpt")
    assert spent(budget()) == {("b", ""): 0}


def test_other_windows_do_not_count(store):
    llmops.chat("a prompt", model="east")
    tomorrow = time.time() + 86_400
    assert spent(budget(), budget(name="u", per="user"), now=tomorrow) == {("b", ""): 0}
    assert set(spent(budget(name="all", window="total"), now=tomorrow)) == {("all", "")}


def test_largest_sums_come_first_and_are_bounded(store):
    for words in range(1, 6):
        with llmops.context(user_id=f"u{words}"):
            llmops.chat("word " * words, model="east")
    llmops.flush()
    found = read_spending([budget(per="user")], time.time(), None, most=2)
    assert [one.key for one in found] == ["u5", "u4"]


def test_spending_survives_a_restart(store):
    with llmops.context(user_id="ada"):
        used = llmops.chat("a prompt", model="east").usage
    llmops.flush()
    settings = (budget(limit_tokens=used.input_tokens + used.output_tokens + 10, per="user", window="week"),)
    start = start_reader(Settings(store={"path": store}), LocalState())
    budgets = Budgets(settings, LocalState(), SYSTEM_CLOCK, start=start)
    with pytest.raises(llmops.BudgetExceededError) as caught:
        budgets.reserve(BudgetCall(user_id="ada", input_tokens=11))
    assert caught.value.left == 10
    assert budgets.reserve(BudgetCall(user_id="ada", input_tokens=10)).is_open


def test_short_windows_are_not_read(store):
    llmops.chat("a prompt", model="east")
    llmops.flush()
    windows = {"minute": 0, "hour": 1, 3_599.0: 0, "total": 1}
    for window, read in windows.items():
        assert len(read_start(store, [budget(window=window)], time.time())) == read, window


def test_no_store_and_a_shared_state_begin_without_reading(store):
    class Server(LocalState):
        blocking = True

    assert start_reader(Settings(store={"enabled": False}), LocalState()) is None
    assert start_reader(Settings(), Server()) is None
    assert read_start(store / "nowhere", [budget()], time.time()) == {}


def test_unreadable_store_is_one_warning_and_begins_at_zero(tmp_path, caplog):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_text('{"format": 9999}')
    llmops.configure(store={"path": tmp_path / "other"})
    with caplog.at_level(logging.WARNING, "llmops_sdk"):
        assert read_start(tmp_path / "store", [budget()], time.time()) == {}
    assert len([one for one in caplog.records if "what budgets have spent cannot be read" in one.message]) == 1


def test_database_is_loaded_only_for_a_budget_that_is_read():
    program = (
        "import sys, llmops_sdk as l; l.configure(model='offline/echo', store={'path': sys.argv[1]}); l.chat('x');"
        "l.budget(limit_tokens=9, name='b')(lambda: None)(); print('duckdb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, "traces"], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
