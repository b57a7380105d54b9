"""The circuit breaker: what opens and closes it, its one probe, generations, and the cooldown."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmops_sdk.config import BreakerSettings
from llmops_sdk.errors import CircuitOpenError
from llmops_sdk.resilience.breaker._breaker import Breaker
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._server import BackendError

OPEN = 30.0


def breaker_of(clock, failures=3, state=None, **settings):
    return Breaker("east", BreakerSettings(failures=failures, open_seconds=OPEN, **settings), clock, state)


def opened(clock, **settings):
    breaker = breaker_of(clock, failures=1, **settings)
    breaker.admit().end("failure")
    return breaker


def decisions(changes):
    return [change.decision for change in changes]


@pytest.mark.parametrize(
    ("results", "state"),
    [
        (["failure"] * 2, "closed"),
        (["failure"] * 3, "open"),
        (["failure", "failure", "ok", "failure"], "closed"),
        (["failure", "failure", "neutral", "failure"], "open"),
        (["neutral"] * 9, "closed"),
    ],
)
def test_failures_in_a_row_open_it(clock, results, state):
    breaker = breaker_of(clock)
    for result in results:
        breaker.admit().end(result)
    assert breaker.state == state
    assert breaker.is_ready is (state == "closed")


def test_an_open_breaker_refuses_and_says_until_when(clock):
    breaker = opened(clock)
    clock.advance(10)
    for ask in (breaker.check, breaker.admit):
        with pytest.raises(CircuitOpenError, match="east had 1 failures in a row") as caught:
            ask()
        assert (caught.value.retry_at, caught.value.deployment) == (20.0, "east")
    assert breaker.retry_in == 20.0


def test_check_takes_no_probe(clock):
    breaker = opened(clock)
    clock.advance(OPEN)
    breaker.check()
    breaker.check()
    assert breaker.admit().is_probe
    with pytest.raises(CircuitOpenError, match="one call probes"):
        breaker.check()


def test_the_probes_success_closes_it_and_its_failure_opens_it_again(clock):
    breaker = opened(clock)
    clock.advance(OPEN)
    assert decisions(breaker.admit().end("failure")) == ["opened"]
    assert breaker.retry_in == OPEN
    clock.advance(OPEN)
    assert decisions(breaker.admit().end("ok")) == ["closed"]
    assert breaker.state == "closed"
    assert not breaker.admit().is_probe


def test_ending_twice_counts_once(clock):
    breaker = breaker_of(clock, failures=2)
    trial = breaker.admit()
    trial.end("failure")
    assert trial.end("failure") == ()
    assert breaker.state == "closed"


def test_a_late_success_of_an_older_generation_does_not_close_it(clock):
    breaker = breaker_of(clock, failures=1)
    slow, slower = breaker.admit(), breaker.admit()
    breaker.admit().end("failure")
    assert slow.end("ok") == ()
    assert breaker.state == "open"
    clock.advance(OPEN)
    probe = breaker.admit()
    assert slower.end("ok") == ()
    assert breaker.state == "half_open"
    probe.end("ok")
    assert breaker.state == "closed"


def test_a_late_failure_of_an_older_generation_does_not_open_it_again(clock):
    breaker = breaker_of(clock, failures=1)
    slow = breaker.admit()
    breaker.admit().end("failure")
    clock.advance(OPEN)
    breaker.admit().end("ok")
    assert slow.end("failure") == ()
    assert breaker.state == "closed"


def test_a_cancelled_probe_leaves_its_place_to_the_next_call(clock):
    breaker = opened(clock)
    clock.advance(OPEN)
    breaker.admit().end("neutral")
    assert breaker.is_ready
    assert breaker.admit().is_probe


def test_a_hanging_probe_is_given_up_and_its_late_result_counts_no_more(clock):
    breaker = opened(clock)
    clock.advance(OPEN)
    hanging = breaker.admit()
    clock.advance(OPEN - 1)
    with pytest.raises(CircuitOpenError) as caught:
        breaker.admit()
    assert caught.value.retry_at == 1.0
    clock.advance(1)
    second = breaker.admit()
    assert second.is_probe
    for late in ("failure", "ok"):
        assert hanging.end(late) == ()
    assert breaker.state == "half_open"
    assert decisions(second.end("ok")) == ["closed"]


def test_a_deployment_slower_than_the_open_time_is_found_to_work(clock):
    breaker = opened(clock)
    clock.advance(OPEN)
    for _ in range(10):
        probe = breaker.admit()
        clock.advance(100)  # each call takes that long, and succeeds
        probe.end("ok")
        if breaker.state == "closed":
            break
        while not breaker.is_ready:
            clock.advance(1)
    assert breaker.state == "closed"


@pytest.mark.parametrize("callers", ["threads", "tasks"])
def test_of_100_concurrent_callers_exactly_one_is_the_probe(clock, callers):
    breaker = opened(clock)
    clock.advance(OPEN)
    barrier = threading.Barrier(100)

    def ask():
        try:
            return breaker.admit()
        except CircuitOpenError as error:
            return error

    async def ask_all():
        async def one():
            await asyncio.sleep(0)
            return ask()

        return await asyncio.gather(*(one() for _ in range(100)))

    if callers == "threads":
        with ThreadPoolExecutor(100) as pool:
            found = list(pool.map(lambda _: (barrier.wait(30), ask())[1], range(100)))
    else:
        found = asyncio.run(ask_all())
    errors = [one for one in found if isinstance(one, CircuitOpenError)]
    assert len(errors) == 99
    assert {error.retry_at for error in errors} == {OPEN}
    (probe,) = [one for one in found if not isinstance(one, CircuitOpenError)]
    assert probe.is_probe


def test_the_first_piece_of_a_probes_stream_closes_it_and_its_break_counts_again(clock):
    breaker = opened(clock)
    clock.advance(OPEN)
    probe = breaker.admit()
    assert decisions(probe.confirm()) == ["closed"]
    assert probe.confirm() == ()
    assert decisions(probe.end("failure")) == ["opened"]


def test_streams_that_all_break_after_their_first_piece_open_it(clock):
    breaker = breaker_of(clock)
    for _ in range(3):
        trial = breaker.admit()
        trial.confirm()
        trial.end("failure")
    assert breaker.state == "open"


# --- Cooldown


def test_a_retry_after_pauses_all_callers_and_lets_the_callers_own_retry_pass(clock):
    breaker = breaker_of(clock)
    assert decisions(breaker.admit().end("neutral", retry_after=2.0)) == ["paused"]
    with pytest.raises(CircuitOpenError, match="cools down") as caught:
        breaker.check()
    assert caught.value.retry_at == pytest.approx(2.0, abs=0.05)
    assert breaker.state == "closed"
    clock.sleep(2.0)
    assert not breaker.admit().is_probe


def test_a_burst_of_refused_calls_does_not_keep_out_its_own_first_retry(clock):
    breaker = breaker_of(clock)
    trials = [breaker.admit() for _ in range(50)]
    for trial in trials:
        trial.end("neutral", retry_after=2.0)
        clock.advance(0.03)
    clock.advance(2.0 - 50 * 0.03)
    breaker.check()


def test_a_longer_wait_prolongs_the_pause_and_a_shorter_one_does_not(clock):
    breaker = breaker_of(clock)
    first, second, third = (breaker.admit() for _ in range(3))
    first.end("neutral", retry_after=5.0)
    assert second.end("neutral", retry_after=1.0) == ()
    assert decisions(third.end("neutral", retry_after=9.0)) == ["paused"]
    assert breaker.retry_in == pytest.approx(9.0, abs=0.05)


@pytest.mark.parametrize(
    ("given", "paused"), [(0.0, False), (-1.0, False), (float("nan"), False), (None, False), (1e9, True)]
)
def test_a_senseless_wait_does_not_pause_and_a_long_one_is_bounded(clock, given, paused):
    breaker = breaker_of(clock, max_cooldown=60.0)
    breaker.admit().end("neutral", retry_after=given)
    assert breaker.retry_in == (pytest.approx(60.0, abs=0.05) if paused else None)


def test_without_cooldown_no_call_is_paused(clock):
    breaker = breaker_of(clock, state=LocalState(clock), cooldown=False)
    assert breaker.admit().end("neutral", retry_after=9.0) == ()
    breaker.check()


def test_a_pause_outlasts_the_open_time(clock):
    breaker = breaker_of(clock, failures=1)
    assert decisions(breaker.admit().end("failure", retry_after=50.0)) == ["paused", "opened"]
    clock.advance(OPEN)
    with pytest.raises(CircuitOpenError, match="cools down") as caught:
        breaker.admit()
    assert caught.value.retry_at == pytest.approx(20.0, abs=0.05)
    clock.advance(20)
    assert breaker.admit().is_probe


class _Server(LocalState):
    """A state that counts how often it is asked, and can be away."""

    away = False
    looks = 0

    @property
    def blocking(self) -> bool:
        return True

    def paused(self, key):
        self.looks += 1
        if self.away:
            raise BackendError("away")
        return super().paused(key)

    def pause(self, key, seconds):
        if self.away:
            raise BackendError("away")
        super().pause(key, seconds)


def test_processes_share_a_pause_and_look_at_most_every_quarter_second(clock):
    state = LocalState(clock)
    one, other = breaker_of(clock, state=state), breaker_of(clock, state=state)
    other.check()
    one.admit().end("neutral", retry_after=10.0)
    other.check()  # it looked just now
    clock.advance(0.25)
    with pytest.raises(CircuitOpenError):
        other.check()
    assert other.retry_in == pytest.approx(9.75, abs=0.05)


def test_a_server_is_asked_only_by_refresh_and_publish(clock):
    state = _Server(clock)
    one, other = breaker_of(clock, state=state), breaker_of(clock, state=state)
    (change,) = one.admit().end("neutral", retry_after=10.0)
    other.check()
    assert (state.looks, state.paused("pause:east"), other.refresh_due) == (0, 0.0, True)
    one.publish(change.seconds)
    other.refresh()
    assert not other.refresh_due
    with pytest.raises(CircuitOpenError):
        other.check()
    clock.advance(0.25)
    assert other.refresh_due


def test_the_own_pause_read_back_a_little_later_does_not_keep_out_the_callers_retry(clock):
    state = _Server(clock)
    breaker = breaker_of(clock, state=state)
    breaker.admit().end("neutral", retry_after=2.0)
    clock.advance(0.1)  # the server takes a while
    breaker.publish(2.0)
    breaker.refresh()
    clock.advance(1.9)
    breaker.check()


def test_each_process_has_its_own_pauses_while_the_server_is_away(clock):
    state = _Server(clock)
    state.away = True
    breaker = breaker_of(clock, state=state)
    breaker.refresh()
    breaker.publish(5.0)
    breaker.check()
    breaker.admit().end("neutral", retry_after=5.0)
    with pytest.raises(CircuitOpenError):
        breaker.check()


# --- Locks


def test_a_trial_that_the_garbage_collector_ends_under_the_lock_does_not_wait_for_it(clock):
    breaker = breaker_of(clock)
    trial = breaker.admit()
    with breaker.lock:
        trial.end("neutral")
    assert trial.ended


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gets_a_free_lock_and_a_free_probe(clock):
    breaker = opened(clock)
    clock.advance(OPEN)
    breaker.admit()
    held, done = threading.Event(), threading.Event()

    def hold():
        with breaker.lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if breaker.admit().is_probe else 1)
    done.set()
    thread.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_newer_settings_hold_from_now_on_and_an_open_breaker_stays_open(clock):
    breaker = opened(clock)
    breaker.configure(BreakerSettings(failures=2, open_seconds=5), None)
    assert breaker.retry_in == OPEN
    clock.advance(OPEN)
    breaker.admit().end("failure")
    assert breaker.retry_in == 5
