"""A hard budget is never exceeded, whatever threads and tasks do. `tests/integration` runs this over servers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from llmops_sdk import BudgetExceededError
from llmops_sdk.config import BudgetSettings
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.resilience.budgets._call import BudgetCall
from llmops_sdk.shared._local import LocalState
from llmops_sdk.testing import ManualClock

LIMITS = {"": 1_000.0, "ada": 300.0, "bob": 300.0}
BUDGETS = (
    BudgetSettings(name="all", limit_tokens=LIMITS[""], window="total"),
    BudgetSettings(name="each", limit_tokens=LIMITS["ada"], per="user", window="total"),
)


class Ledger:
    """Counts what is in flight and spent, by itself."""

    def __init__(self):
        self.lock = threading.Lock()
        self.held = dict.fromkeys(LIMITS, 0)
        self.worst = dict.fromkeys(LIMITS, 0)

    def add(self, user, amount):
        with self.lock:
            for key in ("", user):
                self.held[key] += amount
                self.worst[key] = max(self.worst[key], self.held[key])


PLANS = st.lists(
    st.tuples(st.sampled_from(["ada", "bob"]), st.integers(1, 120), st.floats(0, 1), st.sampled_from("sscr")),
    min_size=1, max_size=40,
)  # fmt: skip


def end(reservation, ledger, user, amount, share, how):
    """Settle with at most the estimate, twice, or give it back."""
    used = amount if how == "c" else 0 if how == "r" else int(amount * share)
    # Before the settlement: until then, the whole estimate is taken.
    ledger.add(user, used - amount)
    if how == "c":
        reservation.settle()
    elif how == "r":
        reservation.release()
    else:
        reservation.settle(tokens=used)
        reservation.settle(tokens=0)


@settings(max_examples=25)
@given(st.lists(PLANS, min_size=2, max_size=6))
def test_threads_never_exceed_a_hard_budget(plans):
    budgets, ledger = Budgets(BUDGETS, LocalState(), ManualClock()), Ledger()
    barrier = threading.Barrier(len(plans))

    def work(plan):
        barrier.wait(60)
        for user, amount, share, how in plan:
            try:
                one = budgets.reserve(BudgetCall(user_id=user, input_tokens=amount))
            except BudgetExceededError:
                continue
            ledger.add(user, amount)
            end(one, ledger, user, amount, share, how)

    with ThreadPoolExecutor(len(plans)) as pool:
        list(pool.map(work, plans))
    assert all(ledger.worst[key] <= LIMITS[key] for key in LIMITS)
    # What the budgets have counted is what was used: nothing leaked.
    left = {"": LIMITS[""] - ledger.held[""], "ada": LIMITS["ada"] - ledger.held["ada"]}
    fits = min(left.values())
    with pytest.raises(BudgetExceededError):
        budgets.reserve(BudgetCall(user_id="ada", input_tokens=int(fits) + 1))
    assert budgets.reserve(BudgetCall(user_id="ada", input_tokens=int(fits))).is_open


@settings(max_examples=25)
@given(st.lists(PLANS, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_tasks_never_exceed_a_hard_budget(plans, random):
    budgets, ledger = Budgets(BUDGETS, LocalState(), ManualClock()), Ledger()

    async def one_call(user, amount, share, how):
        try:
            one = await budgets.areserve(BudgetCall(user_id=user, input_tokens=amount))
        except BudgetExceededError:
            return
        ledger.add(user, amount)
        try:
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
        finally:
            end(one, ledger, user, amount, share, how)

    async def work(plan):
        for user, amount, share, how in plan:
            task = asyncio.create_task(one_call(user, amount, share, how))
            await asyncio.sleep(0)
            if random.random() < 0.3:
                task.cancel()
            await asyncio.wait([task])

    async def everything():
        await asyncio.gather(*map(work, plans))

    asyncio.run(everything())
    assert all(ledger.worst[key] <= LIMITS[key] for key in LIMITS)
    fits = int(LIMITS["bob"] - ledger.held["bob"])
    if fits <= LIMITS[""] - ledger.held[""]:
        assert budgets.reserve(BudgetCall(user_id="bob", input_tokens=fits)).is_open


class BudgetMachine(RuleBasedStateMachine):
    """Reservations, settlements and time against sums that are kept by hand."""

    open_ones = Bundle("open_ones")

    @initialize(mode=st.sampled_from(["hard", "soft"]))
    def begin(self, mode):
        self.clock = ManualClock()
        self.mode = mode
        one = BudgetSettings(name="b", limit_tokens=500, per="user", window="minute", mode=mode)
        self.told = []
        self.budgets = Budgets((one,), LocalState(self.clock), self.clock, record=self.tell)
        self.sums = {}
        self.exceeded = set()

    def tell(self, policy, decision, **fields):
        self.told.append(decision)

    def account(self, user):
        return user, self.clock.time() // 60

    @rule(target=open_ones, user=st.sampled_from(["ada", "bob", None]), amount=st.integers(0, 300))
    def reserve(self, user, amount):
        account = self.account(user)
        total = self.sums.get(account, 0) + amount
        fits = total <= 500
        asked = BudgetCall(user_id=user, output_tokens=amount)
        if not fits and self.mode == "hard":
            with pytest.raises(BudgetExceededError) as caught:
                self.budgets.reserve(asked)
            assert caught.value.left == 500 - self.sums.get(account, 0)
            return None
        one = self.budgets.reserve(asked)
        self.sums[account] = total
        if not fits:
            self.exceeded.add(account)
        return one, account, amount

    @rule(taken=consumes(open_ones), used=st.none() | st.integers(0, 300), twice=st.booleans())
    def settle(self, taken, used, twice):
        if taken is None:
            return
        one, account, amount = taken
        used = used if used is None or self.mode == "soft" else min(used, amount)
        one.settle(tokens=used)
        if twice:
            one.settle(tokens=7)
        self.sums[account] += 0 if used is None else used - amount

    @rule(seconds=st.sampled_from([0.5, 20.0, 59.9, 60.0, 200.0]))
    def pass_time(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def limit_holds(self):
        if getattr(self, "mode", "soft") == "hard":
            assert all(total <= 500 for total in self.sums.values())

    @invariant()
    def soft_budget_recorded_once(self):
        if hasattr(self, "told"):
            assert len([one for one in self.told if one == "exceeded"]) == len(self.exceeded)


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestBudgetMachine = BudgetMachine.TestCase
