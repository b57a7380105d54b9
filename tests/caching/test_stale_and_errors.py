"""Stale answers while a new one is asked for, errors that would come again, and what is admitted."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace

import pytest
from four_ways import WAYS, answer_of

from llmops_sdk._util._guard import failures
from llmops_sdk.caching import cache
from llmops_sdk.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowError,
    NotFoundError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from llmops_sdk.providers import Attempt, ToolCall


def until(condition):
    while not condition():
        threading.Event().wait(0.001)


# --- Stale answers ---------------------------------------------------------------------------------------------------


def numbered(counting, good):
    """Return a provider whose n-th answer is its number."""
    made = counting(lambda _: replace(good, text=str(made.calls)))
    return made


@pytest.mark.parametrize("way", ["complete", "stream"])
def test_a_stale_answer_is_served_while_a_new_one_is_made(make, counting, request_, good, clock, lookups, way):
    inner = numbered(counting, good)
    provider = make(inner, ttl=100.0, stale_while_revalidate=50.0)
    assert answer_of(provider, request_, way).text == "1"
    clock.advance(120)
    old = answer_of(provider, request_, way)
    assert (old.text, old.cache) == ("1", "exact")
    assert lookups()[-1]["decision"] == "stale"
    until(lambda: provider.stats().stored == 2)
    assert answer_of(provider, request_, way).text == "2"
    assert lookups()[-1]["decision"] == "served"
    stats = provider.stats()
    assert (stats.stale, stats.refreshes, stats.refresh_errors, inner.calls) == (1, 1, 0, 2)


@pytest.mark.parametrize("way", ["acomplete", "astream"])
async def test_a_stale_answer_is_served_while_a_task_makes_a_new_one(make, counting, request_, good, clock, way):
    inner = numbered(counting, good)
    provider = make(inner, ttl=100.0, stale_while_revalidate=50.0)

    async def ask():
        if way == "acomplete":
            return (await provider.acomplete(request_)).text
        return "".join([chunk.text async for chunk in provider.astream(request_)])

    assert await ask() == "1"
    clock.advance(120)
    assert await ask() == "1"
    await asyncio.to_thread(until, lambda: provider.stats().stored == 2)
    assert await ask() == "2"
    assert provider.stats().refreshes == 1


def test_many_calls_for_a_stale_answer_make_one_refresh(make, counting, request_, good, clock):
    go, entered = threading.Event(), threading.Event()

    def answer(_):
        if inner.calls > 1:
            entered.set()
            assert go.wait(60)
        return replace(good, text=str(inner.calls))

    inner = counting(answer)
    provider = make(inner, ttl=100.0, stale_while_revalidate=50.0)
    provider.complete(request_)
    clock.advance(120)
    for _ in range(20):
        assert provider.complete(request_).text == "1"
    assert entered.wait(60)
    for _ in range(20):
        assert provider.complete(request_).text == "1"
    go.set()
    until(lambda: provider.stats().stored == 2)
    assert inner.calls == 2


def test_a_failed_refresh_is_counted_and_the_stale_answer_stays(make, counting, request_, good, clock):
    def answer(_):
        if inner.calls > 1:
            raise ServerError("down")
        return good

    inner = counting(answer)
    provider = make(inner, ttl=100.0, stale_while_revalidate=50.0)
    provider.complete(request_)
    clock.advance(120)
    for count in (1, 2):
        assert provider.complete(request_).cache == "exact"
        until(lambda count=count: provider.stats().refresh_errors == count)
    assert provider.stats().stored == 1


def test_after_the_stale_time_the_call_is_made(make, counting, ask_both, request_, good, clock):
    inner = numbered(counting, good)
    provider = make(inner, ttl=100.0, stale_while_revalidate=50.0)
    provider.complete(request_)
    clock.advance(150)
    assert ask_both(provider, request_).cache is None
    assert inner.calls == 2


@pytest.fixture(params=["complete", "astream"])
def ask_both(request):
    return lambda provider, asked: answer_of(provider, asked, request.param)


def test_by_default_nothing_stale_is_served(make, counting, request_, clock):
    inner = counting()
    provider = make(inner, ttl=100.0)
    provider.complete(request_)
    clock.advance(100)
    assert provider.complete(request_).cache is None


def test_a_function_is_refreshed_in_the_background(tmp_path, clock):
    calls = []

    @cache(ttl=10, stale_while_revalidate=10, path=tmp_path, clock=clock)
    def f(x):
        calls.append(x)
        return len(calls)

    assert f(0) == 1
    clock.advance(15)
    assert f(0) == 1
    until(lambda: f(0) == 2)
    assert len(calls) == 2


# --- Errors ----------------------------------------------------------------------------------------------------------


def failing(counting, error):
    def answer(_):
        raise error

    return counting(answer)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cls", [BadRequestError, ContextWindowError, ContentFilterError])
def test_an_error_that_would_come_again_is_raised_from_the_cache(make, counting, request_, clock, cls, way, lookups):
    error = cls("too long: 9 tokens", provider="script", model="script/one", status_code=400)
    inner = failing(counting, error)
    provider = make(inner, negative_ttl=60.0)
    with pytest.raises(cls) as first:
        answer_of(provider, request_, way)
    assert first.value is error
    clock.advance(20)
    with pytest.raises(cls, match="too long: 9 tokens") as again:
        answer_of(provider, request_, way)
    assert type(again.value) is cls
    assert (again.value.provider, again.value.model, again.value.status_code) == ("script", "script/one", 400)
    assert "from the cache, stored 20 s ago" in again.value.__notes__[0]
    assert inner.calls == 1
    assert [(one["decision"], one["reason"], one["hit"]) for one in lookups()] == [
        ("stored", "error", False),
        ("served", "error", True),
    ]
    clock.advance(40)
    with pytest.raises(cls):
        answer_of(provider, request_, way)
    assert inner.calls == 2


ATTEMPT = Attempt(number=1, provider="p", model="m", start_ns=1, duration_ms=1.0, status="error", reason="fallback")


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("x"),
        RateLimitError("x"),
        NotFoundError("x"),
        ProviderTimeoutError("x"),
        ServerError("x"),
        BadRequestError("x", status_code=409),
        BadRequestError("x", status_code=408),
        BadRequestError("x", status_code=400, retry_after=3.0),
        BadRequestError("x", attempts=(ATTEMPT,)),
    ],
    ids=str,
)
def test_an_error_that_may_pass_is_not_stored(make, counting, request_, error):
    inner = failing(counting, error)
    provider = make(inner, negative_ttl=60.0)
    for _ in range(2):
        with pytest.raises(type(error)):
            provider.complete(request_)
    assert inner.calls == 2


def test_by_default_no_error_is_stored(make, counting, request_, tmp_path):
    inner = failing(counting, BadRequestError("x", status_code=400))
    provider = make(inner)
    for _ in range(2):
        with pytest.raises(BadRequestError):
            provider.complete(request_)
    with pytest.raises(BadRequestError):
        make(inner, negative_ttl=60.0, path=tmp_path).complete(request_)
    with pytest.raises(BadRequestError):
        provider.complete(request_)
    assert inner.calls == 4, "one that stores errors does not force them on one that does not"


# --- Admission -------------------------------------------------------------------------------------------------------

CALLS = (ToolCall(id="1", name="f", arguments="{}"),)


@pytest.mark.parametrize(
    ("changes", "settings", "stored"),
    [
        ({"finish_reason": "tool_calls", "tool_calls": CALLS, "text": ""}, {"tool_calls": True}, True),
        ({"finish_reason": "length", "tool_calls": CALLS}, {"tool_calls": True}, False),
        ({"finish_reason": "tool_calls", "tool_calls": CALLS}, {}, False),
        ({"finish_reason": "length"}, {"admit": lambda _: True}, True),
        ({}, {"admit": lambda answer: len(answer.text) < 5}, False),
        ({"unchecked": True}, {"admit": lambda _: True}, False),
    ],
)
def test_admission_can_be_changed(make, counting, request_, good, changes, settings, stored):
    inner = counting(replace(good, **changes))
    provider = make(inner, **settings)
    provider.complete(request_)
    again = provider.complete(request_)
    assert (again.cache == "exact") is stored
    assert again.tool_calls == changes.get("tool_calls", ())


def test_an_admission_that_raises_stores_nothing(make, counting, request_, application, caplog):
    def admit(_):
        raise RuntimeError("bug")

    inner = counting()
    before = failures().get("cache admission", 0)
    provider = make(inner, admit=admit)
    with caplog.at_level(logging.CRITICAL, logger="llmops_sdk"):
        assert [provider.complete(request_).cache for _ in range(2)] == [None, None]
    assert failures()["cache admission"] - before == 2


def test_a_function_has_its_own_admission(tmp_path):
    calls = []

    @cache(admit=lambda result: result is not None, path=tmp_path)
    def f(x):
        calls.append(x)
        return x

    for value in (None, None, 1, 1):
        f(value)
    assert calls == [None, None, 1]
