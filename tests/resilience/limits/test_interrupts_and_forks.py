"""A limiter after Ctrl-C at any point, and in a forked child."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.resilience.limits import _limiter
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.resilience.limits._pass import Pass

MakeLimiter = Callable[..., Limiter]

_FOLDERS = (str(Path(_limiter.__file__).parent), str(Path(_limiter.__file__).parents[2] / "shared"))
_MOST_POINTS = 800


class Interrupter:
    """Raises KeyboardInterrupt at the n-th point where the interpreter looks for signals, as Ctrl-C may.

    Such points are the beginning of a function, and the end of a call into C. A profiler can raise there; a tracer
    raises at other places, too, such as between a `with` statement and its lock, where Ctrl-C never strikes.
    """

    def __init__(self, point: int) -> None:
        self.left = point

    @property
    def fired(self) -> bool:
        return self.left <= 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event in {"call", "c_return"} and frame.f_code.co_filename.startswith(_FOLDERS):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    @contextmanager
    def armed(self) -> Generator[None]:
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            yield
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(before)


def interrupt_everywhere(make: Callable[[], Limiter], act: Callable[[Limiter], None]) -> int:
    """Run `act` again and again, interrupted at each point in turn; the limiter must work afterwards."""
    for point in range(1, _MOST_POINTS):
        limiter = make()
        interrupter = Interrupter(point)
        with interrupter.armed():
            act(limiter)
        if not interrupter.fired:
            return point
        limiter.enter(timeout=0.0).exit()
        assert (limiter.in_flight, limiter.waiting) == (0, 0), f"after an interrupt at point {point}"
    raise AssertionError("the action never ended")


def test_ctrl_c_at_any_point_of_a_call_leaks_no_slot(make_virtual: MakeLimiter):
    def call(limiter: Limiter) -> None:
        one = limiter.enter(tokens=5.0)
        one.exit(tokens=3.0)

    assert interrupt_everywhere(lambda: make_virtual(concurrency=1, tokens_per_minute=1e6), call) > 20


def test_ctrl_c_at_any_point_of_a_wait_in_vain_leaves_the_queue(make_virtual: MakeLimiter):
    def call(limiter: Limiter) -> None:
        held = limiter.ask()
        try:
            with pytest.raises(llmops.LimitExceededError):
                limiter.enter(timeout=0.5)
        finally:
            held.exit()

    assert interrupt_everywhere(lambda: make_virtual(concurrency=1), call) > 50


def test_ctrl_c_at_any_point_of_a_call_that_lets_another_pass_leaves_that_one_its_turn(make_virtual: MakeLimiter):
    for point in range(1, _MOST_POINTS):
        limiter = make_virtual(concurrency=1)
        held: list[Pass] = [limiter.ask()]
        waiting = limiter.ask()
        interrupter = Interrupter(point)
        with interrupter.armed():
            held.pop().exit()
        limiter.poll()  # a waiting call does that at least once a second
        assert waiting.stage == "inside", f"after an interrupt at point {point}"
        waiting.exit()
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        if not interrupter.fired:
            return
    raise AssertionError("the action never ended")


def in_child(check: Callable[[], bool]) -> bool:
    """Return what a check says in a forked child."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside threads, which is what is tested
def test_a_forked_child_has_neither_the_calls_nor_the_locks_of_its_parent(make_limiter: MakeLimiter):
    limiter = make_limiter(concurrency=1)
    held = limiter.enter()
    waiting = threading.Thread(target=lambda: limiter.enter().exit())
    waiting.start()
    while not limiter.waiting:
        threading.Event().wait(0.001)

    def check() -> bool:
        own = limiter.enter(timeout=0.0)
        held.exit()  # the parent's: it frees nothing here
        is_full = limiter.in_flight == 1 and limiter.waiting == 0
        own.exit()
        return is_full and limiter.in_flight == 0

    with limiter._admission._lock:  # as another thread may have it at that moment
        assert in_child(check)
    assert (limiter.in_flight, limiter.waiting) == (1, 1)
    held.exit()
    waiting.join(30)
    assert not waiting.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_decorated_function_works_in_a_forked_child():
    policy = llmops.limit(1)

    @policy
    def ask() -> int:
        return policy.in_flight

    with policy:
        assert in_child(lambda: ask() == 1 and policy.in_flight == 0)
    assert ask() == 1
