"""A limiter over a state that waits for a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from llmops_sdk.config import LimitSettings
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._server import BackendError
from llmops_sdk.shared._state import Bucket, Claim, Grant, Slots


class Server(LocalState):
    """A state that several limiters share as processes do, and that notes who asks it."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self.claims = 0
        self.renewed: list[str] = []
        self.is_away = False
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()

    @property
    def blocking(self) -> bool:
        return True

    def claim(self, holder: str, claims: Sequence[Claim]) -> Grant:
        self.threads.add(threading.get_ident())
        self.claims += 1
        self.asked.set()
        assert self.gate.wait(30)
        if self.is_away:
            raise BackendError("the server is away")
        return super().claim(holder, claims)

    def renew(self, holder: str, claims: Sequence[Slots]) -> None:
        self.renewed.append(holder)

    def release(self, holder: str, claims: Sequence[Claim], *, refund: Sequence[Bucket] = ()) -> None:
        self.threads.add(threading.get_ident())
        super().release(holder, claims, refund=refund)

    @property
    def holders(self) -> int:
        return sum(len(holders) for holders in self._holders.values())


def make(server: Server, **settings: Any) -> Limiter:
    return Limiter("model", LimitSettings(**settings), server)


def test_a_slot_that_another_process_gives_back_goes_to_a_waiting_call():
    server = Server()
    ours, theirs = make(server, concurrency=1), make(server, concurrency=1)
    held = theirs.enter()
    passed: list[float] = []
    waiting = threading.Thread(target=lambda: passed.append(ours.enter().waited))
    waiting.start()
    while not ours.waiting:
        threading.Event().wait(0.001)

    held.exit()
    waiting.join(30)
    assert len(passed) == 1
    assert passed[0] > 0


def test_only_the_head_of_the_queue_asks_the_server():
    server = Server()
    limiter = make(server, concurrency=1)
    held = limiter.enter()
    threads = [threading.Thread(target=lambda: limiter.enter().exit()) for _ in range(8)]
    for thread in threads:
        thread.start()
    while limiter.waiting < 8:
        threading.Event().wait(0.001)
    askers: set[int] = set()
    server.threads = askers
    before = server.claims
    while server.claims < before + 3:
        threading.Event().wait(0.001)

    assert len(askers) == 1
    held.exit()
    for thread in threads:
        thread.join(30)
    assert (limiter.in_flight, limiter.waiting, server.holders) == (0, 0, 0)


async def test_the_event_loops_thread_never_asks_the_server():
    server = Server()
    limiter = make(server, concurrency=2)

    async def call() -> None:
        one = await limiter.aenter()
        await asyncio.sleep(0)
        one.exit()

    await asyncio.gather(*(call() for _ in range(10)))

    assert threading.get_ident() not in server.threads
    assert server.threads


async def test_a_call_cancelled_while_the_server_is_asked_gives_its_slot_back():
    server = Server()
    limiter = make(server, concurrency=1)
    server.gate.clear()
    task = asyncio.create_task(limiter.aenter())
    await asyncio.to_thread(server.asked.wait, 30)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.gate.set()
    one = await limiter.aenter(timeout=10.0)
    assert server.holders == 1
    one.exit()


async def test_a_head_cancelled_while_another_call_asks_for_it_gives_its_slot_back():
    server = Server()
    limiter = make(server, concurrency=1)
    held = await limiter.aenter()
    tasks = [asyncio.create_task(limiter.aenter()) for _ in range(2)]
    while limiter.waiting < 2:
        await asyncio.to_thread(threading.Event().wait, 0.001)

    held.exit()
    tasks[0].cancel()
    one = await tasks[1]
    assert server.holders == 1
    one.exit()
    again = await limiter.aenter(timeout=10.0)
    again.exit()
    await asyncio.gather(tasks[0], return_exceptions=True)


def test_the_error_of_a_server_reaches_the_caller_and_leaks_nothing():
    server = Server()
    limiter = make(server, concurrency=1)
    server.is_away = True

    with pytest.raises(BackendError, match="away"):
        limiter.enter()
    server.is_away = False
    limiter.enter().exit()
    assert (limiter.in_flight, limiter.waiting, server.holders) == (0, 0, 0)


def test_the_error_of_a_server_reaches_a_waiting_call_and_leaks_nothing():
    server = Server()
    limiter = make(server, concurrency=1)
    held = limiter.enter()
    errors: list[Exception] = []

    def call() -> None:
        try:
            limiter.enter()
        except BackendError as error:
            errors.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    while not limiter.waiting:
        threading.Event().wait(0.001)
    server.is_away = True
    waiting.join(30)

    assert len(errors) == 1
    server.is_away = False
    held.exit()
    assert (limiter.in_flight, limiter.waiting, server.holders) == (0, 0, 0)


def test_slots_of_calls_inside_are_renewed_until_they_leave():
    server = Server()
    limiter = make(server, concurrency=2)
    first, second = limiter.enter(), limiter.enter()

    assert limiter._admission.renew()
    assert sorted(server.renewed) == sorted([first.holder, second.holder])
    first.exit()
    second.exit()
    assert not limiter._admission.renew()


def test_a_lost_pass_gives_its_slot_on_the_server_back():
    server = Server()
    limiter = make(server, concurrency=1)
    limiter.enter()

    limiter.enter(timeout=10.0).exit()
    assert server.holders == 0


def test_settings_may_move_a_limiter_from_this_process_to_a_server():
    server = Server()
    limiter = Limiter("model", LimitSettings(concurrency=1), LocalState())
    before = limiter.enter()

    limiter.configure(LimitSettings(concurrency=1), server)
    one = limiter.enter()
    assert server.holders == 1
    before.exit()
    one.exit()
    assert server.holders == 0
