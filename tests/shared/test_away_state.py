"""A server that goes away and returns: this process keeps to its part meanwhile, and nothing that it spent is lost."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from llmops_sdk.shared._away import Addition, AwayState
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._server import BackendError
from llmops_sdk.shared._state import Bucket, Slots, Tally
from llmops_sdk.testing import ManualClock


class SwitchableServer(LocalState):
    """A state that several processes would share, with a switch; tests/integration has the real servers."""

    is_up = True
    peer_total = 4
    name = "first"
    tries = 0

    place = "the server"

    def _check(self) -> None:
        self.tries += 1
        if not self.is_up:
            raise BackendError("the shared state failed")

    def claim(self, holder, claims):
        self._check()
        return super().claim(holder, claims)

    def release(self, holder, claims, *, refund=()):
        self._check()
        super().release(holder, claims, refund=refund)

    def reserve(self, tallies):
        self._check()
        return super().reserve(tallies)

    def settle(self, tallies, actual):
        self._check()
        super().settle(tallies, actual)

    def paused(self, key):
        self._check()
        return super().paused(key)

    def peers(self, name: str, seconds: float) -> tuple[int, str]:
        self._check()
        return self.peer_total, self.name

    def adopt(self, key: str, holders: Sequence[str], seconds: float = 0.0) -> None:
        super().adopt(key, holders)

    def add(self, sums: Mapping[str, Addition]) -> None:
        self._check()
        for key, one in sums.items():
            if key in self._sums:
                LocalState.settle(self, [Tally(key, 0.0, None, 1.0)], [one.amount])
            elif one.seconds > 0:
                LocalState.reserve(self, [Tally(key, one.amount, None, one.seconds, start=one.floor)])

    def lose_everything(self, name: str) -> None:
        self.name = name
        self._sums.clear()
        self._holders.clear()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> SwitchableServer:
    return SwitchableServer(clock)


@pytest.fixture
def changes() -> list[str]:
    return []


@pytest.fixture
def state(server: SwitchableServer, clock: ManualClock, changes: list[str]) -> AwayState:
    return AwayState(server, clock, changes.append)


def test_limits_are_divided_by_the_number_of_peers(state, server, clock, changes):
    slots, bucket = Slots("s", 8), Bucket("b", 1.0, 4.0, 8.0)
    assert state.paused("x") == 0.0  # it announces itself, and hears of four
    server.is_up = False
    got = [state.claim(f"{n}", [slots]).refused is None for n in range(4)]
    assert got == [True, True, False, False]
    assert [state.claim("b", [bucket]).refused for _ in range(3)] == [None, None, "b"]
    assert state.claim("b", [bucket]).wait == pytest.approx(1.0), "a quarter of 4 a second"
    assert changes == ["away"]


def test_a_process_may_spend_its_part_of_what_was_left(state, server):
    tally = Tally("usd", 1.0, 10.0, 600.0)
    assert [state.reserve([tally]).refused for _ in range(2)] == [None, None]
    server.is_up = False
    assert [state.reserve([tally]).refused for _ in range(3)] == [None, None, 0]


def test_what_was_spent_and_corrected_is_in_the_sum_when_the_server_is_back(state, server, clock, changes):
    tally, before = Tally("usd", 1.0, 10.0, 600.0), Tally("old", 5.0, None, 600.0)
    state.reserve([tally])
    state.reserve([before])
    server.is_up = False
    state.reserve([tally])
    state.settle([tally], [0.25])
    state.settle([before], [3.0])
    server.is_up = True
    clock.advance(5.0)
    assert state.reserve([Tally("usd", 0.0, None, 600.0), Tally("old", 0.0, None, 600.0)]).sums == (1.25, 3.0)
    assert changes == ["away", "back"]


def test_a_server_that_has_lost_its_state_gets_it_back(state, server, clock):
    tally, slots = Tally("usd", 4.0, 10.0, 600.0), Slots("s", 1)
    state.reserve([tally])
    state.claim("under way", [slots])
    server.lose_everything("second")
    clock.advance(5.0)
    assert state.reserve([tally]).sums == (8.0,)
    assert state.claim("another", [slots]).refused == "s"


def test_calls_under_way_count_while_the_server_is_away_and_after(state, server, clock):
    slots = Slots("s", 8)
    state.claim("first", [slots])
    server.is_up = False
    assert [state.claim(name, [slots]).refused for name in ("second", "third")] == [None, "s"]
    state.release("first", [slots])
    assert state.claim("third", [slots]).refused is None
    server.is_up = True
    clock.advance(5.0)
    assert state.paused("x") == 0.0
    assert [len(server._holders["s"]), "first" in server._holders["s"]] == [3, True], "its lease ends by itself"


def test_the_server_is_tried_again_every_five_seconds_by_one_caller(state, server, clock, caplog):
    server.is_up = False
    for _ in range(50):
        state.paused("x")
        clock.advance(0.1)
    assert server.tries <= 2
    clock.advance(5.0)
    begin, before = threading.Barrier(8), server.tries

    def call() -> None:
        begin.wait(60)
        assert state.paused("x") == 0.0

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert server.tries == before + 1
    warnings = [record.getMessage() for record in caplog.records]
    assert "".join(warnings) == (
        "llmops: the shared state failed; until it is back, this process keeps to its part of the limits and budgets: "
        "one of 1"
    )


def test_a_server_that_fails_while_it_returns_loses_nothing(state, server, clock):
    tally = Tally("usd", 1.0, None, 600.0)
    state.reserve([tally])
    server.is_up = False
    state.reserve([tally])
    server.is_up = True
    add = server.add

    def fail(sums: Mapping[str, Addition]) -> None:
        raise BackendError("it has gone again")

    server.add = fail  # type: ignore[method-assign]
    clock.advance(5.0)
    state.reserve([tally])
    server.add = add  # type: ignore[method-assign]
    clock.advance(5.0)
    assert state.reserve([Tally("usd", 0.0, None, 600.0)]).sums == (3.0,)
