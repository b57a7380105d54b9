"""`@hedge` on callables of every style."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest
from gated_requests import in_thread, waits_for

import llmops_sdk as llmops

NOW = {"share": 1.0, "samples": 2, "min_delay": 0.001}


class Slow:
    """Calls whose first one of a pair waits for `release`; two calls before that make the policy hedge."""

    def __init__(self) -> None:
        self.calls = 0
        self.release = threading.Event()
        self.lock = threading.Lock()
        self.closed: list[int] = []

    def number(self) -> int:
        with self.lock:
            self.calls += 1
            return self.calls

    def waits(self, number: int) -> bool:
        return number == 3


@pytest.fixture
def slow():
    slow = Slow()
    yield slow
    slow.release.set()


def function(slow):
    @llmops.hedge(**NOW)
    def ask(x: int) -> tuple[int, int]:
        number = slow.number()
        if slow.waits(number):
            waits_for(slow.release)
        return x, number

    return ask


def coroutine(slow):
    @llmops.hedge(**NOW)
    async def ask(x: int) -> tuple[int, int]:
        number = slow.number()
        if slow.waits(number):
            await in_thread(waits_for, slow.release)
        return x, number

    return lambda x: asyncio.run(ask(x))


def generator(slow):
    @llmops.hedge(**NOW)
    def ask(x: int):
        number = slow.number()
        try:
            if slow.waits(number):
                waits_for(slow.release)
            yield x
            yield number
        finally:
            slow.closed.append(number)

    return lambda x: tuple(ask(x))


def asyncgen(slow):
    @llmops.hedge(**NOW)
    async def ask(x: int):
        number = slow.number()
        try:
            if slow.waits(number):
                await in_thread(waits_for, slow.release)
            yield x
            yield number
        finally:
            slow.closed.append(number)

    async def collect(x):
        return tuple([item async for item in ask(x)])

    return lambda x: asyncio.run(collect(x))


@pytest.mark.parametrize("style", [function, coroutine, generator, asyncgen])
def test_a_slow_call_is_made_again_and_the_first_result_counts(style, slow):
    ask = style(slow)
    assert [ask(7), ask(7)] == [(7, 1), (7, 2)]
    assert ask(7) == (7, 4)


@pytest.mark.parametrize("style", [generator, asyncgen])
def test_the_loser_is_closed(style, slow):
    ask = style(slow)
    for _ in range(3):
        ask(7)
    slow.release.set()
    if style is asyncgen:  # cancelled with the call
        assert sorted(slow.closed) == [1, 2, 3, 4]


def test_the_signature_stays():
    def ask(question: str, *, polite: bool = True) -> str:
        return question

    assert inspect.signature(llmops.hedge(ask)) == inspect.signature(ask)


@pytest.mark.parametrize("given", [{"share": 0.0}, {"share": 1.5}, {"percentile": 100.0}, {"samples": 1}])
def test_a_bound_that_is_not_valid_is_an_error(given):
    [(key, value)] = given.items()
    with pytest.raises(llmops.ConfigError, match=rf"^@hedge(: {key} = {value} is not valid: it must be a|\(share=0\))"):
        llmops.hedge(**given)


def test_methods_and_classmethods_can_be_hedged():
    class Client:
        @llmops.hedge
        def ask(self, x: int) -> int:
            return x

        @llmops.hedge
        @classmethod
        def make(cls, x: int) -> int:
            return x

    assert (Client().ask(1), Client.make(2)) == (1, 2)


def test_each_hedge_is_in_the_view(slow):
    ask = function(slow)
    with llmops.span("work"):
        for _ in range(3):
            ask(7)
    llmops.flush()
    found = llmops.query("SELECT policy, decision, deployment FROM traffic ORDER BY time").rows()
    name = "function.<locals>.ask"
    assert [tuple(row) for row in found] == [("hedge", "hedged", name), ("hedge", "won", name)]
