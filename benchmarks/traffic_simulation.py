"""Simulate calls on a virtual clock through the real policy objects: breaker, limits, hedging, balancing, retries.

Nothing sleeps and nothing runs in parallel: events wait in a heap, and the clock jumps from one to the next. A call
here does what the stages of `llmops_sdk/resilience` do around a provider, with the same objects; only the provider is
a model: so many workers with a queue, and a latency for each request.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from llmops_sdk.config import RetrySettings
from llmops_sdk.errors import CircuitOpenError, LimitExceededError
from llmops_sdk.providers.traffic import Health
from llmops_sdk.resilience import backoff
from llmops_sdk.resilience._budget import RetryBudget
from llmops_sdk.resilience.balance._balancer import Balancer
from llmops_sdk.resilience.breaker._breaker import Breaker
from llmops_sdk.resilience.hedging._policy import HedgePolicy
from llmops_sdk.resilience.limits._admission import Admission
from llmops_sdk.resilience.limits._pass import Pass


class VirtualClock:
    """A clock that only the simulation moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        """Return seconds since the epoch."""
        return 1.8e9 + self.now

    def monotonic(self) -> float:
        """Return seconds since the beginning."""
        return self.now

    def sleep(self, seconds: float) -> None:  # noqa: ARG002 - the protocol's
        """Refuse: nothing waits in a simulation."""
        raise AssertionError("a policy slept")

    async def asleep(self, seconds: float) -> None:  # noqa: ARG002 - the protocol's
        """Refuse: nothing waits in a simulation."""
        raise AssertionError("a policy slept")


class Simulation:
    """Events in order of their time.

    Args:
        seed: The seed of all random numbers.
    """

    def __init__(self, seed: int = 1) -> None:
        self.clock = VirtualClock()
        self.random = Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (self.clock.now + max(seconds, 0.0), next(self._order), do))

    def arrivals(self, rate: Callable[[float], float], until: float, begin: Callable[[], None]) -> None:
        """Begin calls at random times (a Poisson process), whose rate a second may change with the time."""

        def arrive() -> None:
            begin()
            plan()

        def plan() -> None:
            wait = self.random.expovariate(max(rate(self.clock.now), 1e-9))
            if self.clock.now + wait < until:
                self.after(wait, arrive)

        plan()

    def run(self) -> None:
        """Run until nothing is left to do."""
        events, clock = self._events, self.clock
        while events:
            clock.now, _, do = heapq.heappop(events)
            do()


class Server:
    """A provider: workers that take requests in order of arrival.

    Args:
        simulation: The simulation.
        workers: How many requests it works at, at the same time.
        latency: Seconds of work on a request, drawn anew for each.
        fails: Whether a request fails, drawn anew for each; it fails after `fail_seconds`.
    """

    def __init__(
        self,
        simulation: Simulation,
        *,
        workers: float = math.inf,
        latency: Callable[[], float] = lambda: 0.1,
        fails: Callable[[], bool] = lambda: False,
        fail_seconds: float = 0.01,
    ) -> None:
        self._simulation = simulation
        self._workers = workers
        self.latency = latency
        self.fails = fails
        self._fail_seconds = fail_seconds
        self._busy = 0
        self._queue: deque[Callable[[], None]] = deque()
        self.requests = 0
        self.log: list[float] = []
        """When each request came."""

    def serve(self, done: Callable[[bool], None]) -> None:
        """Work at a request, and tell whether it succeeded."""
        self.requests += 1
        self.log.append(self._simulation.clock.now)
        if self._busy >= self._workers:
            self._queue.append(lambda: self._work(done))
        else:
            self._work(done)

    def _work(self, done: Callable[[bool], None]) -> None:
        self._busy += 1
        failed = self.fails()

        def end() -> None:
            self._busy -= 1
            if self._queue:
                self._queue.popleft()()
            done(not failed)

        self._simulation.after(self._fail_seconds if failed else self.latency(), end)


@dataclass
class Deployment:
    """A server with its policies.

    Attributes:
        server: The server.
        breaker: Its breaker, or None.
        limits: The core of its limiter, or None.
    """

    server: Server
    breaker: Breaker | None = None
    limits: Admission | None = None
    in_flight: int = 0

    def health(self) -> Health:
        """Return what a balancer asks for."""
        retry_in = None if self.breaker is None else self.breaker.retry_in
        waiting = 0 if self.limits is None else self.limits.waiting
        return Health(retry_in is None, retry_in, self.in_flight, waiting)


@dataclass
class Client:
    """What all calls share.

    Attributes:
        deployments: Where calls may go.
        retry: The retry policy, or None.
        budget: The retry budget, or None for no bound.
        hedge: The hedging policy, or None.
        timeout: Seconds of one attempt.
        deadline: Seconds of a whole call.
    """

    simulation: Simulation
    deployments: list[Deployment]
    retry: RetrySettings | None = None
    budget: RetryBudget | None = None
    hedge: HedgePolicy | None = None
    balancer: Balancer | None = None
    timeout: float = math.inf
    deadline: float = math.inf
    ends: Counter[str] = field(default_factory=Counter[str])
    rows: list[tuple[float, float, str, str]] = field(default_factory=list[tuple[float, float, str, str]])
    """When each call began, how long it took, how it ended, and who made it."""

    def call(self, who: str = "") -> None:
        """Begin a call."""
        _Call(self, who).attempt()


class _Latch:
    """Tells the simulation that a waiting call should look again."""

    __slots__ = ("_look", "_simulation")

    def __init__(self, simulation: Simulation, look: Callable[[], None]) -> None:
        self._simulation = simulation
        self._look = look

    def set(self) -> None:
        """Let the call look, as soon as what runs now has ended."""
        self._simulation.after(0.0, self._look)


class _Call:
    """One call with its attempts, as `RetryProvider` makes them."""

    def __init__(self, client: Client, who: str) -> None:
        self.client = client
        self.who = who
        self.began = client.simulation.clock.now
        self.failures = 0
        self.retry_cost: float | None = None
        self.over = False
        self.avoid: set[int] = set()
        """The deployments asked already: a retry and a hedge prefer another one."""

    def attempt(self) -> None:
        """Make an attempt: a request, and perhaps a second one."""
        client = self.client
        race = _Race(self)
        race.send(hedged=False)
        hedge = client.hedge
        if hedge is not None and not race.over and (delay := hedge.delay()) is not None:

            def second() -> None:
                if not race.over and hedge.take():
                    race.send(hedged=True)

            client.simulation.after(delay, second)

    def succeed(self) -> None:
        """End the call with an answer."""
        if self.client.budget is not None:
            self.client.budget.give(self.retry_cost)
        self.end("ok")

    def fail(self, why: str, *, again: bool) -> None:
        """End the attempt with an error, and the call, too, unless it is retried."""
        client, policy = self.client, self.client.retry
        self.failures += 1
        if not again or policy is None or self.failures >= policy.attempts:
            self.end(why)
            return
        wait = backoff(self.failures, policy, client.simulation.random.uniform)
        if client.simulation.clock.now + wait - self.began >= client.deadline:
            self.end(why)
            return
        if client.budget is not None:
            self.retry_cost = client.budget.take(throttled=False)
            if self.retry_cost is None:
                self.end(why)
                return
        client.simulation.after(wait, self.attempt)

    def end(self, how: str) -> None:
        """Note how the call ended."""
        if not self.over:
            self.over = True
            self.client.ends[how] += 1
            self.client.rows.append((self.began, self.client.simulation.clock.now - self.began, how, self.who))


class _Race:
    """One attempt: the first answer of one or two requests counts, as with `HedgeProvider`."""

    def __init__(self, call: _Call) -> None:
        self.call = call
        self.over = False
        self.open = 0
        self.began = call.client.simulation.clock.now
        if call.client.timeout < math.inf:
            call.client.simulation.after(call.client.timeout, self._time_out)
        self._ends: list[Callable[[], None]] = []

    def send(self, *, hedged: bool) -> None:
        """Send a request to the deployment that the balancer picks."""
        client = self.call.client
        self.open += 1
        index: int | None = 0
        if client.balancer is not None:
            healths = [one.health() for one in client.deployments]
            index = client.balancer.pick(client.simulation.clock.now, healths, avoid=self.call.avoid)
        if index is None:
            self._ended(ok=False, why="refused: breaker", again=False)
            return
        if client.balancer is not None:
            self.call.avoid.add(index)
        deployment = client.deployments[index]
        try:
            if deployment.breaker is not None:
                deployment.breaker.check()
            limits = deployment.limits
            if limits is None:
                self._enter(deployment, None, hedged)
                return
            one = limits.new_pass(0.0)
            one.who = self.call.who
            if limits.ask(one):
                self._enter(deployment, one, hedged)
                return
            one.latch = _Latch(client.simulation, lambda: self._look(deployment, one, hedged))
            self._ends.append(lambda: limits.leave(one) if one.stage == "waiting" else None)
            left = client.deadline - (client.simulation.clock.now - self.call.began)
            if limits.enqueue(one, min(limits.settings.queue_timeout, left)):
                return  # the latch is set
            client.simulation.after(limits.wait_seconds(one), one.latch.set)
        except CircuitOpenError:
            self._ended(ok=False, why="refused: breaker", again=False)
        except LimitExceededError:
            self._ended(ok=False, why="refused: limit", again=False)

    def _look(self, deployment: Deployment, one: Pass, hedged: bool) -> None:
        limits = deployment.limits
        if limits is None or one.stage == "left" or one.latch is None:
            return
        try:
            if limits.check(one):
                one.latch = None
                self._enter(deployment, one, hedged)
                return
            limits.poll()
            self.call.client.simulation.after(max(limits.wait_seconds(one), 1e-3), one.latch.set)
        except LimitExceededError:
            limits.leave(one)
            self._ended(ok=False, why="refused: limit", again=False)

    def _enter(self, deployment: Deployment, one: Pass | None, hedged: bool) -> None:
        trial = None
        try:
            if deployment.breaker is not None:
                trial = deployment.breaker.admit()
        except CircuitOpenError:
            if one is not None:
                one.exit(outcome="cancelled")
            self._ended(ok=False, why="refused: breaker", again=False)
            return
        deployment.in_flight += 1
        settled, sent = False, self.call.client.simulation.clock.now

        def settle(ok: bool | None, outcome: str) -> None:
            nonlocal settled
            if settled:
                return
            settled = True
            deployment.in_flight -= 1
            if (balancer := self.call.client.balancer) is not None:
                index, now = self.call.client.deployments.index(deployment), self.call.client.simulation.clock.now
                balancer.end(index)
                if ok:
                    balancer.observe(index, now, now - sent)
                elif ok is False:
                    balancer.failed(index, now)
            if one is not None:
                one.exit(outcome=outcome)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            if trial is not None:
                trial.end("neutral" if ok is None else "ok" if ok else "failure")

        def done(ok: bool) -> None:
            late = settled
            settle(ok, "ok" if ok else "error")
            if not hedged and not late and self.call.client.hedge is not None:
                self._observed = True
                self.call.client.hedge.observe(self.call.client.simulation.clock.now - self.began)
            if not late:
                self._ended(ok=ok, why="error", again=True)

        self._ends.append(lambda: settle(False if self._timed_out else None, "timeout" if self._timed_out else "error"))
        deployment.server.serve(done)

    _timed_out = False
    _observed = False

    def _time_out(self) -> None:
        if not self.over:
            self._timed_out = True
            self._finish()
            self.call.fail("timeout", again=True)

    def _ended(self, *, ok: bool, why: str, again: bool) -> None:
        self.open -= 1
        if self.over:
            return
        if ok:
            self._finish()
            self.call.succeed()
        elif not self.open:
            self._finish()
            self.call.fail(why, again=again)

    def _finish(self) -> None:
        """End the attempt; a request still under way is cancelled, and leaves its slot."""
        self.over = True
        if not self._observed and self.call.client.hedge is not None:
            # The first request lost or timed out: it took at least so long.
            self.call.client.hedge.observe(self.call.client.simulation.clock.now - self.began)
        ends, self._ends = self._ends, []  # without them there is no circle, and nothing for the garbage collector
        for end in ends:
            end()
