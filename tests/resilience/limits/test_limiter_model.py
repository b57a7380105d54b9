"""A limiter on a virtual clock under random arrivals, ends, withdrawals and waits."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llmops_sdk.config import LimitSettings
from llmops_sdk.errors import LimitExceededError
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.resilience.limits._pass import Pass
from llmops_sdk.shared._local import LocalState
from llmops_sdk.testing import ManualClock

_CALLERS = st.sampled_from(["anna", "ben", "cem"])
_LIMITS = st.none() | st.integers(1, 4)


class LimiterModel(RuleBasedStateMachine):
    """Keeps what was asked and what passed, and compares it with what a limiter promises."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.inside: list[Pass] = []
        self.waiting: list[Pass] = []
        self.starts: list[float] = []
        self.number = 0
        self.order: dict[str, int] = {}
        """The number of arrival of each pass."""
        self.last_passed: dict[str, int] = {}

    @initialize(
        concurrency=_LIMITS,
        requests=st.none() | st.sampled_from([1.0, 7.0, 60.0]),
        tokens=st.none() | st.sampled_from([100.0, 6_000.0]),
        queue=st.sampled_from([0, 2, 1_000]),
        adaptive=st.booleans(),
    )
    def begin(
        self, concurrency: int | None, requests: float | None, tokens: float | None, queue: int, adaptive: bool
    ) -> None:
        self.settings = LimitSettings(
            concurrency=concurrency,
            requests_per_minute=requests,
            tokens_per_minute=tokens,
            queue=queue,
            adaptive=adaptive,
            queue_timeout=1e6,
        )
        self.limiter = Limiter("model", self.settings, LocalState(self.clock), self.clock)

    def note(self, passed: list[Pass]) -> None:
        for one in passed:
            who, number = one.who, self.order[one.holder]
            assert number > self.last_passed.get(who, 0), "order of arrival within a caller"
            self.last_passed[who] = number
            self.waiting.remove(one)
            self.inside.append(one)
            self.starts.append(self.clock.monotonic())
        limit = self.limiter.concurrency
        assert not passed or limit is None or len(self.inside) <= limit

    def settle(self) -> None:
        """Note the calls that passed by themselves when others left."""
        self.note([one for one in self.waiting if one.stage == "inside"])

    def make_room(self, newest: Pass) -> None:
        """Forget the call that a full queue has lost: the last one of whoever had the most."""
        lost = [one for one in self.waiting if one.error is not None]
        if lost:
            [last] = lost
            lines = Counter(one.who for one in self.waiting if one is not newest)
            assert lines.total() == self.settings.queue
            assert lines[last.who] == max(lines.values()) > lines[newest.who] + 1
            assert last is [one for one in self.waiting if one.who == last.who][-1]
            self.waiting.remove(last)

    @rule(who=_CALLERS, tokens=st.sampled_from([0.0, 5.0, 50.0, 700.0]))
    def arrive(self, who: str, tokens: float) -> None:
        try:
            one = self.limiter.ask(tokens=tokens, who=who)
        except LimitExceededError:
            assert len(self.waiting) >= self.settings.queue
        else:
            self.number += 1
            self.order[one.holder] = self.number
            self.waiting.append(one)
            self.make_room(one)
        self.settle()

    @precondition(lambda self: self.inside)
    @rule(
        data=st.data(),
        used=st.none() | st.sampled_from([0.0, 5.0, 900.0]),
        outcome=st.sampled_from(["ok", "throttled", "timeout", "error", "cancelled"]),
    )
    def leave(self, data: st.DataObject, used: float | None, outcome: str) -> None:
        one = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        one.exit(tokens=used, outcome=outcome)
        one.exit()  # again changes nothing
        self.settle()

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """Forget a pass, as a program does that an exception interrupts; the next step of any call notices."""
        self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        self.note(self.limiter.poll())
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        one = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.limiter.withdraw(one)
        self.settle()

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 7.0, 61.0]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.note(self.limiter.poll())

    @precondition(lambda self: self.limiter.due is not None)
    @rule()
    def advance_until_due(self) -> None:
        """The limiter says when the next call passes, and it does, unless others have taken its slot."""
        due = self.limiter.due
        assert due is not None
        self.clock.advance(max(due - self.clock.monotonic(), 0.0) + 1e-6)
        passed = self.limiter.poll()
        self.note(passed)
        assert passed or self.limiter.due is None or self.limiter.due > self.clock.monotonic()

    @rule(concurrency=_LIMITS)
    def configure(self, concurrency: int | None) -> None:
        before = self.settings.concurrency
        if before is None or concurrency is None:
            return  # calls that entered without a limit are not counted under the new one
        self.settings = self.settings.model_copy(update={"concurrency": concurrency})
        self.limiter.configure(self.settings, self.limiter._admission.state)
        self.settle()

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "limiter"):
            return
        assert self.limiter.in_flight == len(self.inside)
        assert self.limiter.waiting == len(self.waiting)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if not hasattr(self, "limiter") or not self.waiting or self.limiter.due is not None:
            return
        # It waits for a slot, so all are taken.
        limit = self.limiter.concurrency
        assert limit is not None
        assert len(self.inside) >= limit

    @invariant()
    def no_minute_has_more_requests_than_the_limit(self) -> None:
        limit = None if not hasattr(self, "limiter") else self.settings.requests_per_minute
        if limit is None:
            return
        for index, start in enumerate(self.starts):
            # Windows of 60 seconds, less what a rounding error may be.
            assert bisect_right(self.starts, start + 60.0 - 1e-3) - index <= limit

    def teardown(self) -> None:
        if not hasattr(self, "limiter"):
            return
        # No wedge and no leak: everyone passes in the end.
        for _ in range(20_000):
            if not self.waiting and not self.inside:
                break
            for one in self.inside:
                one.exit(tokens=0.0)
            self.inside.clear()
            self.settle()
            if self.limiter.due is not None:
                self.clock.advance(max(self.limiter.due - self.clock.monotonic(), 1e-6))
                self.note(self.limiter.poll())
        assert (self.limiter.in_flight, self.limiter.waiting) == (0, 0)


LimiterModel.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=40)
TestLimiterModel = LimiterModel.TestCase


def test_a_lower_limit_waits_until_calls_have_left_and_a_higher_one_lets_waiting_calls_pass():
    clock = ManualClock()
    state = LocalState(clock)
    limiter = Limiter("model", LimitSettings(concurrency=2), state, clock)
    first, second, third = (limiter.ask() for _ in range(3))

    limiter.configure(LimitSettings(concurrency=1), state)
    first.exit()
    assert third.stage == "waiting"
    limiter.configure(LimitSettings(concurrency=2), state)
    assert third.stage == "inside"
    second.exit()
    third.exit()
    assert limiter.in_flight == 0


@pytest.mark.parametrize("per_minute", [0.5, 1.0, 2.0, 60.0, 61.5, 1_000.0])
def test_steady_demand_gets_at_least_nine_tenths_of_the_requests_a_minute(per_minute: float):
    clock = ManualClock()
    limiter = Limiter(
        "model", LimitSettings(requests_per_minute=per_minute, queue_timeout=1e6), LocalState(clock), clock
    )
    minutes, passed = 20, 0
    waiting = [limiter.ask()]
    while clock.monotonic() < 60.0 * minutes:
        if waiting[-1].stage == "inside":
            waiting.pop().exit()
            passed += 1
            waiting.append(limiter.ask())
        else:
            assert limiter.due is not None
            clock.advance(max(limiter.due - clock.monotonic(), 1e-6))
            limiter.poll()

    assert 0.9 * per_minute * minutes - 1 <= passed <= per_minute * (minutes + 1)


@given(sizes=st.lists(st.floats(1.0, 3_000.0), min_size=1, max_size=60), pauses=st.lists(st.floats(0.0, 90.0)))
def test_no_minute_has_more_tokens_than_the_limit_and_one_call(sizes: list[float], pauses: list[float]):
    clock = ManualClock()
    limiter = Limiter("model", LimitSettings(tokens_per_minute=1_000, queue_timeout=1e6), LocalState(clock), clock)
    starts: list[float] = []
    for number, size in enumerate(sizes):
        clock.advance(pauses[number] if number < len(pauses) else 0.0)
        limiter.enter(tokens=size).exit(tokens=size)
        starts.append(clock.monotonic())

    for index, start in enumerate(starts):
        end = bisect_right(starts, start + 60.0 - 1e-3)
        assert sum(sizes[index:end]) <= 1_000 + max(sizes[index:end]) + 1e-6


def test_a_call_larger_than_the_burst_passes_when_the_bucket_is_full_and_the_next_ones_pay_for_it():
    clock = ManualClock()
    limiter = Limiter("model", LimitSettings(tokens_per_minute=6_000, queue_timeout=1e6), LocalState(clock), clock)

    large = limiter.ask(tokens=6_000)
    next_one = limiter.ask(tokens=1)
    assert (large.stage, next_one.stage) == ("inside", "waiting")
    assert limiter.due is not None
    # All but the burst of a tenth is a debt, which comes back at nine tenths of the rate.
    assert limiter.due - clock.monotonic() == pytest.approx(5_400 / 90, rel=0.01)
    large.exit(tokens=600)
    assert limiter.poll() == [] or next_one.stage == "inside"
    clock.advance(0.1)
    limiter.poll()
    assert next_one.stage == "inside"


def test_a_call_whose_time_is_long_over_gets_no_slot_and_does_not_hold_up_the_next():
    clock = ManualClock()
    limiter = Limiter("model", LimitSettings(concurrency=1), LocalState(clock), clock)
    held, gone = limiter.ask(), limiter.ask(timeout=5.0)  # as of a task whose event loop no longer runs
    next_one = limiter.ask(timeout=20.0)

    clock.advance(10.0)
    held.exit()
    assert (gone.stage, next_one.stage) == ("left", "inside")
    assert (limiter.in_flight, limiter.waiting) == (1, 0)
