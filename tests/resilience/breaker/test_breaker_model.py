"""The breaker against a model that keeps the history of calls instead of a state."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmops_sdk.config import BreakerSettings
from llmops_sdk.errors import CircuitOpenError
from llmops_sdk.resilience.breaker._breaker import Breaker, Trial
from llmops_sdk.testing import ManualClock

FAILURES, OPEN, TICK = 3, 8, 0.02


@dataclass
class Model:
    """What must hold, in whole seconds."""

    now: int = 0
    epoch: int = 0  # counts the moments at which earlier calls cease to count
    in_a_row: int = 0
    open_until: int | None = None
    probe_until: int | None = None
    hung: int = 0
    pause_began: int = -1
    pause_seconds: int = 0
    pause_until: int = 0
    calls: dict[int, tuple[int, int, bool]] = field(default_factory=dict)

    def refused_for(self) -> int:
        ends = [self.pause_until]
        if self.open_until is not None:
            ends.append(self.open_until if self.probe_until is None else self.probe_until)
        return max(max(ends) - self.now, 0)

    def admit(self, call: int) -> bool:
        probe = self.open_until is not None
        if probe:
            self.hung = min(self.hung + 1, 4) if self.probe_until is not None else self.hung
            self.epoch += 1
            self.probe_until = self.now + OPEN * 2**self.hung
        self.calls[call] = (self.epoch, self.now, probe)
        return probe

    def close(self) -> None:
        self.epoch, self.in_a_row, self.open_until, self.probe_until, self.hung = self.epoch + 1, 0, None, None, 0

    def confirm(self, call: int) -> None:
        epoch, began, probe = self.calls[call]
        if probe and epoch == self.epoch:
            self.close()
            self.calls[call] = (self.epoch, began, False)

    def end(self, call: int, result: str, wait: int) -> None:
        epoch, began, probe = self.calls.pop(call)
        if wait:
            in_force = self.now < self.pause_until
            burst = began <= self.pause_began and wait <= self.pause_seconds
            if not in_force or (self.now + wait > self.pause_until and not burst):
                self.pause_began, self.pause_seconds, self.pause_until = self.now, wait, self.now + wait
        if epoch != self.epoch:
            return
        if result == "neutral":
            self.probe_until = None if probe else self.probe_until
        elif result == "ok":
            self.in_a_row = 0
            if probe:
                self.close()
        else:
            self.in_a_row += 1
            if probe or self.in_a_row >= FAILURES:
                self.epoch, self.probe_until, self.hung = self.epoch + 1, None, 0
                self.open_until = self.now + OPEN


class BreakerMachine(RuleBasedStateMachine):
    """Calls that overlap in any order, end in any way, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.breaker = Breaker("east", BreakerSettings(failures=FAILURES, open_seconds=OPEN), self.clock)
        self.model = Model()
        self.trials: dict[int, Trial] = {}
        self.number = 0

    @rule(seconds=st.sampled_from([1, 2, OPEN - 1, OPEN]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    @rule(callers=st.integers(1, 4))
    def calls_come(self, callers: int) -> None:
        for _ in range(callers):
            if (refused_for := self.model.refused_for()) > 0:
                with pytest.raises(CircuitOpenError) as caught:
                    self.breaker.admit()
                assert caught.value.retry_at == pytest.approx(refused_for, abs=TICK + 1e-6)
                continue
            self.number += 1
            trial = self.trials[self.number] = self.breaker.admit()
            assert self.model.admit(self.number) == trial.is_probe

    @precondition(lambda self: self.trials)
    @rule(data=st.data())
    def a_stream_shows_its_first_piece(self, data) -> None:
        call = data.draw(st.sampled_from(sorted(self.trials)))
        self.trials[call].confirm()
        self.model.confirm(call)

    @precondition(lambda self: self.trials)
    @rule(
        data=st.data(),
        result=st.sampled_from(["ok", "failure", "failure", "neutral"]),
        wait=st.sampled_from([0, 0, 0, 3, 12]),
    )
    def a_call_ends(self, data, result, wait) -> None:
        call = data.draw(st.sampled_from(sorted(self.trials)))
        trial = self.trials.pop(call)
        trial.end(result, wait or None)
        assert trial.end(result, wait or None) == ()
        self.model.end(call, result, wait)

    @invariant()
    def they_agree(self) -> None:
        refused_for = self.model.refused_for()
        assert self.breaker.is_ready == (refused_for == 0)
        open_until = self.model.open_until
        expected = "closed" if open_until is None else "open" if self.model.now < open_until else "half_open"
        assert self.breaker.state == expected
        # No wedge: whatever hangs, a call passes after the longest pause and the longest probe.
        assert refused_for <= 300 + OPEN * 2**4


BreakerMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestBreaker = BreakerMachine.TestCase
