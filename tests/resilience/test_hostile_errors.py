"""Exceptions of the application whose attributes raise or are nonsense: they reach the caller, and nothing leaks."""

from __future__ import annotations

import pytest

import llmops_sdk as llmops
from llmops_sdk.testing import ManualClock


class RaisingResponseError(Exception):
    @property
    def response(self):
        raise RuntimeError("no response yet")


class RaisingAttributesError(Exception):
    def __getattr__(self, name):
        raise AttributeError(name) if name.startswith("__") else RuntimeError(name)


class RaisingWaitError(Exception):
    status_code = 429

    @property
    def retry_after(self):
        raise KeyError("retry_after")


class EndlessWaitError(Exception):
    status_code = 429
    retry_after = 10**400


class UnhashableCodeError(Exception):
    code = ["insufficient_quota"]  # noqa: RUF012 - that is the point


class OddHeadersError(Exception):
    class response:
        headers = type("Headers", (), {"get": lambda _: None, "items": lambda _: [1]})()


ERRORS = [
    RaisingResponseError,
    RaisingAttributesError,
    RaisingWaitError,
    EndlessWaitError,
    UnhashableCodeError,
    OddHeadersError,
]


def raising(error):
    def ask():
        raise error("the application's own")

    return ask


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "decorator",
    [
        lambda: llmops.limit(1, queue=0),
        lambda: llmops.breaker(100),
        lambda: llmops.budget(limit_usd=1.0, cost=0.1),
        lambda: llmops.retry(attempts=1),
        lambda: llmops.hedge(share=0.5),
    ],
    ids=["limit", "breaker", "budget", "retry", "hedge"],
)
def test_an_odd_exception_reaches_the_caller_each_time(decorator, error):
    ask = decorator()(raising(error))
    # The breaker takes the endless wait at its word.
    for _ in range(1 if error is EndlessWaitError else 3):
        with pytest.raises(error, match="own"):
            ask()


@pytest.mark.parametrize("error", ERRORS)
def test_a_fallback_replaces_an_odd_exception(error):
    ask = llmops.fallback(lambda: "second", on=error)(raising(error))
    assert ask() == "second"


@pytest.mark.parametrize("error", ERRORS)
def test_an_odd_exception_leaves_no_slot_taken(error):
    limit = llmops.limit(1, queue=0, clock=ManualClock())
    errors = []
    for _ in range(2):
        try:
            with limit:
                raise error("the application's own")
        except Exception as raised:
            errors.append(raised)  # keeps the frames alive
    assert [type(one) for one in errors] == [error, error]
    assert limit.in_flight == 0


def test_a_filter_that_raises_does_not_hold_the_probe():
    clock = ManualClock()
    breaker = llmops.breaker(1, 30, on=lambda error: error.is_outage, clock=clock)  # no such attribute
    with pytest.raises(ValueError, match="down"), llmops.breaker(1, 30, on=ValueError, clock=clock):
        raise ValueError("down")
    for _ in range(3):
        with pytest.raises(AttributeError, match="is_outage") as caught, breaker:
            raise ValueError("down")
        assert isinstance(caught.value.__context__, ValueError)
    assert breaker.state == "closed"


@pytest.mark.parametrize("on", [3, "ValueError", object(), (ValueError, "x"), int])
@pytest.mark.parametrize("decorator", [llmops.retry, llmops.breaker, llmops.fallback])
def test_what_is_no_filter_is_refused_at_once(decorator, on):
    arguments = (lambda: None,) if decorator is llmops.fallback else ()
    with pytest.raises(llmops.ConfigError, match="exception type, a tuple of them, or a function"):
        decorator(*arguments, on=on)


@pytest.mark.parametrize("name", [3, "", "x" * 257, ["a"], object(), True])
@pytest.mark.parametrize(
    "decorator",
    [
        lambda name: llmops.limit(1, name=name),
        lambda name: llmops.breaker(name=name),
        lambda name: llmops.hedge(name=name),
    ],
    ids=["limit", "breaker", "hedge"],
)
def test_what_is_no_name_is_refused_at_once(decorator, name):
    with pytest.raises(llmops.ConfigError, match=r"name = .* must be a string of 1 to 256 characters") as caught:
        decorator(name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("cost", ["5", True, [], object(), -1, float("nan"), float("inf")])
def test_what_is_no_cost_is_refused_at_once(cost):
    with pytest.raises(llmops.ConfigError, match=r"cost = .* number of at least zero, or a function"):
        llmops.budget(limit_usd=1.0, cost=cost)


@pytest.mark.parametrize("window", [5e-324, 1e-9, 1e12, 1e300])
def test_a_window_without_a_date_is_refused_at_once(window):
    with pytest.raises(llmops.ConfigError, match="window"):
        llmops.budget(limit_usd=1.0, window=window)


def test_the_longest_window_has_a_date_in_its_error():
    ask = llmops.budget(limit_usd=1.0, cost=0.9, window=316_224_000.0)(lambda: 1)
    ask()
    with pytest.raises(llmops.BudgetExceededError, match="it starts again at 20"):
        ask()
