"""Reserving and settling in budgets."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
from datetime import UTC, datetime

import pytest

from llmops_sdk import BudgetExceededError
from llmops_sdk.config import FallbackSettings
from llmops_sdk.resilience import should_fall_back
from llmops_sdk.resilience.budgets._call import BudgetCall
from llmops_sdk.shared._local import LocalState


def call(tokens=0, usd=None, **fields):
    return BudgetCall(input_tokens=tokens, usd=usd, **fields)


def passes(book, one):
    try:
        return book.budgets.reserve(one)
    except BudgetExceededError:
        return None


def test_call_above_the_limit_is_refused_and_reserves_nothing(open_book):
    book = open_book({"name": "dollars", "limit_usd": 1}, {"name": "tokens", "limit_tokens": 100})
    book.budgets.reserve(call(60, usd=0.5))
    with pytest.raises(BudgetExceededError) as caught:
        book.budgets.reserve(call(50, usd=0.1))
    assert caught.value.budget == "tokens"
    assert book.budgets.reserve(call(40, usd=0.5)).is_open  # the refused call took nothing of the dollars
    assert passes(book, call(0, usd=0.01)) is None


def test_error_says_which_budget_whose_how_much_is_left_and_until_when(open_book, clock):
    clock.advance(datetime(2027, 3, 31, 12, tzinfo=UTC).timestamp() - clock.time())
    book = open_book({"name": "team", "limit_usd": 2, "per": "user", "window": "month"})
    book.budgets.reserve(call(usd=1.75, user_id="ada"))
    with pytest.raises(BudgetExceededError) as caught:
        book.budgets.reserve(call(usd=0.5, user_id="ada"))
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == (
        "budget \"team\" of user 'ada' has 0.25 of 2.00 USD left, and the call needs about 0.5; "
        "it starts again at 2027-04-01 00:00 UTC: wait until then, raise the limit, or set a lower max_tokens"
    )
    assert (error.budget, error.per, error.key, error.unit, error.limit, error.left) == (
        "team", "user", "ada", "usd", 2.0, pytest.approx(0.25),
    )  # fmt: skip
    assert error.resets_at == datetime(2027, 4, 1, tzinfo=UTC).timestamp()
    [refused] = book.decisions
    assert (refused["decision"], refused["subject"], refused["limit"]) == ("refused", "team:ada", 2.0)
    assert refused["value"] == pytest.approx(1.75)


@pytest.mark.parametrize(
    ("window", "amount", "cure"),
    [
        ("total", 1.5, "; it never starts again: raise the limit, or set a lower max_tokens"),
        ("day", 3.0, "; raise the limit, or set a lower max_tokens"),  # waiting would not help
    ],
)
def test_error_says_what_helps(open_book, window, amount, cure):
    book = open_book({"name": "team", "limit_usd": 2, "window": window})
    book.budgets.reserve(call(usd=1.0))
    with pytest.raises(BudgetExceededError) as caught:
        book.budgets.reserve(call(usd=amount))
    assert str(caught.value).endswith(cure)


def test_hostile_key_is_cut_in_the_message(open_book):
    book = open_book({"limit_tokens": 1, "per": "user", "window": "total"})
    with pytest.raises(BudgetExceededError) as caught:
        book.budgets.reserve(call(5, user_id="\x1b[31m\n" + "x" * 10_000))
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "raise the limit" in str(caught.value)


@pytest.mark.parametrize(
    ("used", "left"),
    [
        ({"tokens": 10}, 90), ({"tokens": 150}, 0), ({"tokens": None}, 40), ({"tokens": 0}, 100),
        ({"tokens": -5}, 40), ({"tokens": math.nan}, 40), ({"tokens": math.inf}, 40),
    ],
)  # fmt: skip
def test_settling_replaces_the_estimate_and_keeps_it_when_unknown(open_book, used, left):
    book = open_book({"limit_tokens": 100})
    book.budgets.reserve(call(60)).settle(**used)
    assert passes(book, call(left + 1)) is None
    if left:
        assert passes(book, call(left)) is not None


def test_settling_twice_changes_nothing(open_book):
    book = open_book({"limit_tokens": 100})
    one = book.budgets.reserve(call(60))
    one.settle(tokens=50)
    assert not one.is_open
    one.settle(tokens=0)
    one.release()
    assert passes(book, call(51)) is None
    assert passes(book, call(50)) is not None


@pytest.mark.parametrize("settle", [{"usd": None}, {}])
def test_unknown_price_counts_as_unknown_cost(open_book, settle):
    book = open_book({"limit_usd": 1, "unknown_cost": 0.25})
    for _ in range(4):
        book.budgets.reserve(call(10)).settle(**settle)
    assert passes(book, call(10)) is None
    assert passes(book, call(usd=0.001)) is None


def test_known_cost_of_a_call_of_unknown_price_counts(open_book):
    book = open_book({"limit_usd": 1, "unknown_cost": 0.5})
    book.budgets.reserve(call()).settle(usd=0.1)
    assert passes(book, call(usd=0.9)) is not None


def test_sums_of_decimals_fit_exactly(open_book):
    book = open_book({"limit_usd": 0.3})
    for _ in range(3):
        book.budgets.reserve(call(usd=0.1)).settle(usd=0.1)
    assert passes(book, call(usd=0.0001)) is None


@pytest.mark.parametrize(
    ("per", "mine", "others"),
    [
        ("all", {"user_id": "a"}, None),
        ("model", {"models": ("east", "openai/x")}, {"models": ("west", "openai/x")}),
        ("user", {"user_id": "a"}, {"user_id": "b"}),
        ("user", {"user_id": "a"}, {}),
        ("user", {}, {"user_id": "a"}),
        ("session", {"session_id": "s"}, {"session_id": "t"}),
        ("run", {"run": "1" * 32}, {"run": "2" * 32}),
        ("tag", {"tags": ("x", "y")}, {"tags": ("z",)}),
    ],
)
def test_each_key_has_its_own_sum(open_book, per, mine, others):
    book = open_book({"limit_tokens": 10, "per": per})
    assert passes(book, call(10, **mine)) is not None
    assert passes(book, call(1, **mine)) is None
    assert (passes(book, call(10, **(others or {}))) is not None) is (others is not None)


def test_call_counts_under_each_of_its_tags(open_book):
    book = open_book({"limit_tokens": 10, "per": "tag"})
    assert passes(book, call(6, tags=("x", "y"))) is not None
    assert passes(book, call(5, tags=("y", "z"))) is None
    assert passes(book, call(10, tags=("z",))) is not None


@pytest.mark.parametrize(
    ("only", "counts", "does_not"),
    [
        ({"model": "fast"}, {"models": ("east", "fast", "openai/x")}, {"models": ("east", "openai/x")}),
        ({"model": "openai/x"}, {"models": ("east", "openai/x")}, {"models": ("openai/y",)}),
        ({"tag": "beta"}, {"tags": ("a", "beta")}, {"tags": ("betas",)}),
    ],
)
def test_filters_choose_the_calls_that_count(open_book, only, counts, does_not):
    book = open_book({"limit_tokens": 10, **only})
    assert passes(book, call(99, **does_not)) is not None
    assert passes(book, call(10, **counts)) is not None
    assert passes(book, call(1, **counts)) is None
    assert passes(book, call(1, **does_not)) is not None


def test_window_starts_again_at_its_end(open_book, clock):
    book = open_book({"limit_tokens": 10, "window": "day"})
    late = book.budgets.reserve(call(10))
    end = book.budgets.reserve(call(0)) and math.ceil(clock.time() / 86_400) * 86_400
    clock.advance(end - clock.time() - 0.001)
    assert passes(book, call(1)) is None
    clock.advance(0.001)
    assert passes(book, call(10)) is not None
    late.settle(tokens=1_000)  # a call of yesterday does not count today
    assert passes(book, call(1)) is None
    clock.advance(86_400)
    assert passes(book, call(10)) is not None


def test_total_budget_lasts(open_book, clock):
    book = open_book({"limit_tokens": 10, "window": "total"})
    book.budgets.reserve(call(10)).settle(tokens=10)
    clock.advance(5 * 365 * 86_400.0)
    assert passes(book, call(1)) is None


def test_soft_budget_passes_and_records_once_for_each_window_and_key(open_book, clock):
    book = open_book({"limit_tokens": 10, "mode": "soft", "per": "user", "window": "hour"})
    for _ in range(3):
        book.budgets.reserve(call(6, user_id="a")).settle(tokens=6)
    book.budgets.reserve(call(1, user_id="b"))
    assert [(one["decision"], one["subject"], one["value"]) for one in book.decisions] == [("exceeded", "b:a", 12.0)]
    book.budgets.reserve(call(11, user_id="b"))
    assert len(book.decisions) == 2
    clock.advance(3_600)
    book.budgets.reserve(call(11, user_id="a"))
    assert [one["subject"] for one in book.decisions] == ["b:a", "b:b", "b:a"]


def test_budgets_of_the_same_name_and_other_windows_keep_apart(open_book, clock):
    state = LocalState(clock)
    hourly = open_book({"limit_tokens": 10, "window": "hour"}, state=state)
    daily = open_book({"limit_tokens": 10, "window": "day"}, state=state)
    again = open_book({"limit_tokens": 20, "window": "hour"}, state=state)  # the settings were changed
    hourly.budgets.reserve(call(10))
    assert passes(daily, call(10)) is not None
    assert passes(again, call(11)) is None
    assert passes(again, call(10)) is not None


def test_server_does_not_see_the_names_of_users(open_book, clock):
    class Server(LocalState):
        blocking = True
        seen: list[str] = []  # noqa: RUF012

        def reserve(self, tallies):
            self.seen.extend(one.key for one in tallies)
            return super().reserve(tallies)

    book = open_book({"limit_tokens": 10, "per": "user"}, state=Server(clock))
    book.budgets.reserve(call(1, user_id="ada@example.com"))
    [key] = Server.seen
    assert "ada" not in key
    assert key.startswith("budget:tokens:day@")


def test_many_keys_stay_bounded(open_book, monkeypatch):
    monkeypatch.setattr("llmops_sdk.shared._local._MOST_KEYS", 100)
    monkeypatch.setattr("llmops_sdk.resilience.budgets._budgets._MOST_TOLD", 50)
    book = open_book({"limit_tokens": 1, "per": "user", "mode": "soft"})
    for number in range(1_000):
        book.budgets.reserve(call(2, user_id=str(number)))
    assert len(book.state._sums) <= 100
    assert len(book.budgets._told) == 50


@pytest.mark.parametrize(("per", "falls_back"), [("model", True), ("all", False), ("user", False)])
def test_only_a_budget_of_one_model_lets_another_answer(open_book, per, falls_back):
    book = open_book({"limit_tokens": 1, "per": per})
    with pytest.raises(BudgetExceededError) as caught:
        book.budgets.reserve(call(2, models=("a",)))
    assert should_fall_back(caught.value, FallbackSettings()) is falls_back


def test_start_is_read_once_before_the_first_reservation(open_book, clock):
    asked = []

    def start(settings, now):
        asked.append((settings, now))
        day = math.floor(now / 86_400) * 86_400.0
        return {("b", "ada", day): 8.0, ("b", "bob", day - 86_400): 10.0}

    book = open_book({"limit_tokens": 10, "per": "user"}, start=start)
    assert book.budgets.blocking
    assert passes(book, call(3, user_id="ada")) is None
    assert passes(book, call(2, user_id="ada")) is not None
    assert passes(book, call(10, user_id="bob")) is not None
    assert asked == [(book.budgets.settings, clock.time())]
    assert not book.budgets.blocking
    clock.advance(86_400)
    assert passes(book, call(10, user_id="ada")) is not None


def test_callers_wait_until_the_start_is_read(open_book):
    reading, go_on = threading.Event(), threading.Event()

    def start(settings, now):
        reading.set()
        assert go_on.wait(60)
        return {("b", "", math.floor(now / 86_400) * 86_400.0): 10.0}

    book = open_book({"limit_tokens": 10}, start=start)
    results: list[object] = []
    threads = [threading.Thread(target=lambda: results.append(passes(book, call(1)))) for _ in range(4)]
    for one in threads:
        one.start()
    assert reading.wait(60)
    assert results == []
    go_on.set()
    for one in threads:
        one.join(60)
    assert results == [None] * 4


async def test_cancelled_reservation_is_given_back(open_book):
    reading, go_on = threading.Event(), threading.Event()

    def start(settings, now):
        reading.set()
        assert go_on.wait(60)
        return {}

    book = open_book({"limit_tokens": 10}, start=start)
    task = asyncio.create_task(book.budgets.areserve(call(10)))
    assert await asyncio.to_thread(reading.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.get_running_loop().shutdown_default_executor()  # the thread has ended
    assert passes(book, call(10)) is not None


async def test_refusal_in_a_thread_reaches_the_task(open_book):
    book = open_book({"limit_tokens": 10}, start=lambda *_: {})
    with pytest.raises(BudgetExceededError):
        await book.budgets.areserve(call(11))
    one = await book.budgets.areserve(call(10))
    await one.asettle(tokens=3)
    assert passes(book, call(7)) is not None


async def test_settlement_on_a_server_survives_cancellation(open_book, clock):
    began, go_on = threading.Event(), threading.Event()

    class Server(LocalState):
        blocking = True

        def settle(self, tallies, actual):
            began.set()
            assert go_on.wait(60)
            super().settle(tallies, actual)

    book = open_book({"limit_tokens": 10}, state=Server(clock))
    one = await book.budgets.areserve(call(10))
    task = asyncio.create_task(one.asettle(tokens=1))
    assert await asyncio.to_thread(began.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not one.is_open
    assert passes(book, call(9)) is not None
