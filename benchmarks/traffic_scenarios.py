"""Scenarios of the simulation, each with the figures that it must reach and the curves to draw."""

from __future__ import annotations

import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from traffic_simulation import Client, Deployment, Server, Simulation

from llmops_sdk.config import BreakerSettings, HedgeSettings, LimitSettings, RetrySettings
from llmops_sdk.resilience._budget import RetryBudget
from llmops_sdk.resilience.balance._balancer import Balancer
from llmops_sdk.resilience.breaker._breaker import Breaker
from llmops_sdk.resilience.hedging._policy import HedgePolicy
from llmops_sdk.resilience.limits._admission import Admission
from llmops_sdk.shared._local import LocalState

Curve = list[tuple[float, float]]


@dataclass
class Check:
    """A figure with what it must be.

    Attributes:
        what: What was measured.
        value: The figure.
        bound: What it must be, in words.
        ok: Whether it is.
    """

    what: str
    value: str
    bound: str = ""
    ok: bool = True


@dataclass
class Outcome:
    """What a scenario found.

    Attributes:
        title: What it shows.
        checks: Its figures.
        curves: The curves of its plot, by name.
        axes: What the plot's axes show.
    """

    title: str
    checks: list[Check]
    curves: dict[str, Curve] = field(default_factory=dict[str, Curve])
    axes: tuple[str, str] = ("seconds", "")


# --- the parts --------------------------------------------------------------------------------------------------------


def limited(simulation: Simulation, **settings: object) -> Admission:
    """Return the core of a limiter."""
    chosen = LimitSettings(**settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return Admission("east", chosen, LocalState(simulation.clock), simulation.clock)


def guarded(simulation: Simulation, failures: int = 5, open_seconds: float = 5.0, name: str = "east") -> Breaker:
    """Return a breaker."""
    return Breaker(name, BreakerSettings(failures=failures, open_seconds=open_seconds), simulation.clock)


def quantile(values: Iterable[float], q: float) -> float:
    """Return a quantile of values; NaN of none."""
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else math.nan


def per_second(times: Iterable[float]) -> Curve:
    """Return how many events fall into each second."""
    counts = Counter(int(at) for at in times)
    return [(float(second), float(counts[second])) for second in range(max(counts, default=0) + 1)]


def good(client: Client) -> list[tuple[float, float, str, str]]:
    """Return the calls that ended with an answer."""
    return [row for row in client.rows if row[2] == "ok"]


# --- the scenarios ----------------------------------------------------------------------------------------------------

_RETRY = RetrySettings(attempts=3, base=0.5)


def total_outage() -> Outcome:
    """Everything fails for 30 s; with retries alone the server would get three times the calls."""
    curves: dict[str, Curve] = {}
    factors: dict[str, float] = {}
    for name, budget, breaks in (
        ("retries alone", None, False),
        ("retry budget", RetryBudget(500.0), False),
        ("retry budget and breaker", RetryBudget(500.0), True),
    ):
        simulation = Simulation()
        server = Server(simulation, latency=lambda: 0.2, fails=lambda s=simulation: 10.0 <= s.clock.now < 40.0)
        client = Client(simulation, [Deployment(server, guarded(simulation) if breaks else None)], _RETRY, budget)
        simulation.arrivals(lambda _: 200.0, 60.0, client.call)
        simulation.run()
        calls = sum(1 for row in client.rows if 10.0 <= row[0] < 40.0)
        factors[name] = sum(1 for at in server.log if 10.0 <= at < 40.0) / calls
        curves[name] = per_second(server.log)
        last = [row for row in client.rows if row[0] >= 46.0]
        recovered = sum(row[2] == "ok" for row in last) / len(last)
    return Outcome(
        "Total outage from 10 to 40 s: requests that reach the server, at 200 calls a second",
        [
            Check("requests a call in the outage, retries alone", f"{factors['retries alone']:.2f}"),
            _at_most("with the retry budget", factors["retry budget"], 1.1),
            _at_most("with the breaker, too", factors["retry budget and breaker"], 1.1),
            _at_least("answered, 6 s after the outage", recovered, 0.999),
        ],
        curves,
        ("seconds", "requests a second"),
    )


def partial_outage() -> Outcome:
    """One of three deployments fails for 30 s: the others answer."""
    simulation = Simulation()
    east_down = lambda: 10.0 <= simulation.clock.now < 40.0  # noqa: E731
    deployments = [
        Deployment(
            Server(simulation, latency=lambda: simulation.random.uniform(0.1, 0.3), fails=fails),
            guarded(simulation, name=name),
        )
        for name, fails in (("east", east_down), ("north", lambda: False), ("west", lambda: False))
    ]
    client = Client(
        simulation, deployments, _RETRY, RetryBudget(500.0), balancer=Balancer("least_busy", [1.0] * 3),
    )  # fmt: skip
    simulation.arrivals(lambda _: 100.0, 60.0, client.call)
    simulation.run()
    during = [row for row in client.rows if 10.0 <= row[0] < 40.0]
    back = sum(1 for at in deployments[0].server.log if at >= 50.0) / sum(
        1 for one in deployments for at in one.server.log if at >= 50.0
    )
    return Outcome(
        "One of three deployments fails from 10 to 40 s: requests to each, at 100 calls a second",
        [
            _at_least("answered in the outage", sum(row[2] == "ok" for row in during) / len(during), 0.99),
            _at_most("requests to the one that is down, a call", _share(deployments[0].server.log, during), 0.05),
            _at_least("its share of the requests, 10 s after the outage", back, 0.25),
        ],
        {name: per_second(one.server.log) for name, one in zip(("east", "north", "west"), deployments, strict=True)},
        ("seconds", "requests a second"),
    )


def _share(log: Sequence[float], during: Sequence[tuple[float, float, str, str]]) -> float:
    return sum(1 for at in log if 10.0 <= at < 40.0) / len(during)


def slow_provider() -> Outcome:
    """Answers take 8 s instead of 0.2 s for 30 s: a limit and the breaker keep calls from piling up."""
    curves: dict[str, Curve] = {}
    most: dict[str, float] = {}
    healthy: dict[str, float] = {}
    for name, limits in (("time-outs alone", False), ("breaker and 50 at the same time", True)):
        simulation = Simulation()
        latency = lambda s=simulation: 8.0 if 10.0 <= s.clock.now < 40.0 else 0.2  # noqa: E731
        server = Server(simulation, latency=latency)
        deployment = Deployment(
            server,
            guarded(simulation) if limits else None,
            limited(simulation, concurrency=50, queue=100, queue_timeout=1.0) if limits else None,
        )
        client = Client(simulation, [deployment], _RETRY, RetryBudget(500.0), timeout=4.0, deadline=10.0)
        simulation.arrivals(lambda _: 100.0, 60.0, client.call)
        under_way: Curve = []

        def look(s: Simulation = simulation, one: Deployment = deployment, seen: Curve = under_way) -> None:
            seen.append((s.clock.now, float(one.in_flight)))
            if s.clock.now < 60.0:
                s.after(0.5, lambda: look(s, one, seen))

        look()
        simulation.run()
        curves[name] = under_way
        most[name] = max(value for _, value in under_way)
        during = [row[1] for row in client.rows if 15.0 <= row[0] < 35.0]
        healthy[name] = quantile(during, 0.5)
    return Outcome(
        "The provider takes 8 s instead of 0.2 s from 10 to 40 s: calls at the same time",
        [
            Check("most calls at the same time, time-outs alone", f"{most['time-outs alone']:.0f}"),
            _at_most("with the breaker and a limit", most["breaker and 50 at the same time"], 50),
            Check("median time of a call meanwhile, time-outs alone", f"{healthy['time-outs alone']:.2f} s"),
            _at_most(
                "with the breaker and a limit: it fails fast", healthy["breaker and 50 at the same time"], 0.1, " s"
            ),
        ],
        curves,
        ("seconds", "calls at the same time"),
    )


def ten_times() -> Outcome:
    """Ten times the traffic for 20 s at a server for two times: without limits nearly everybody waits in vain."""
    curves: dict[str, Curve] = {}
    goodput: dict[str, float] = {}
    for name, settings in (
        ("no limit", None),
        ("a limit of 40, 1 s in the queue", {"concurrency": 40, "queue": 100, "queue_timeout": 1.0}),
        ("an adaptive limit", {"adaptive": True, "concurrency": 400, "queue": 100, "queue_timeout": 1.0}),
    ):
        simulation = Simulation()
        # 40 workers at 0.2 s: 200 a second.
        server = Server(simulation, workers=40, latency=lambda s=simulation: s.random.uniform(0.15, 0.25))
        limits = None if settings is None else limited(simulation, **settings)
        client = Client(simulation, [Deployment(server, None, limits)], timeout=2.0, deadline=2.0)
        simulation.arrivals(lambda at: 1_000.0 if 10.0 <= at < 30.0 else 100.0, 50.0, client.call)
        simulation.run()
        answered = good(client)
        goodput[name] = sum(1 for row in answered if 12.0 <= row[0] < 30.0) / 18.0
        curves[name] = per_second(row[0] for row in answered)
    return Outcome(
        "Ten times the traffic from 10 to 30 s, five times what the server can do: answers within 2 s",
        [
            Check("answers a second meanwhile, no limit", f"{goodput['no limit']:.0f}"),
            _at_least("with a limit of 40, of 200 possible", goodput["a limit of 40, 1 s in the queue"], 180),
            _at_least("with an adaptive limit, of 200 possible", goodput["an adaptive limit"], 150),
        ],
        curves,
        ("seconds", "answers a second"),
    )


def breaker_expiry() -> Outcome:
    """100 callers come at the moment when the open time is over: one probes."""
    simulation = Simulation()
    server = Server(simulation, latency=lambda: 0.5, fails=lambda: simulation.clock.now < 1.0)
    client = Client(simulation, [Deployment(server, guarded(simulation, failures=1, open_seconds=10.0))])
    client.call()
    simulation.run()
    before = server.requests

    def all_at_once() -> None:
        for _ in range(100):
            client.call()

    simulation.after(10.0, all_at_once)
    simulation.after(10.6, all_at_once)
    seen: list[int] = []
    simulation.after(10.3, lambda: seen.append(server.requests - before))
    simulation.run()
    return Outcome(
        "100 callers at the end of the breaker's open time",
        [
            _exactly("probes", seen[0], 1),
            _exactly("refused meanwhile", client.ends["refused: breaker"], 99),
            _exactly("passed after its success", server.requests - before - 1, 100),
        ],
    )


def heavy_tail() -> Outcome:
    """One request in fifty takes 20 times as long: a second one after the 95th percentile cuts the tail."""
    curves: dict[str, Curve] = {}
    tail: dict[str, float] = {}
    extra = 0.0
    for name, share in (("no hedging", 0.0), ("hedging, at most 5 %", 0.05)):
        simulation = Simulation()

        def latency(s: Simulation = simulation) -> float:
            usual = s.random.lognormvariate(math.log(0.3), 0.25)
            return usual * 20.0 if s.random.random() < 0.02 else usual

        server = Server(simulation, latency=latency)
        hedge = HedgePolicy(HedgeSettings(share=share)) if share else None
        client = Client(simulation, [Deployment(server)], hedge=hedge)
        simulation.arrivals(lambda _: 200.0, 300.0, client.call)
        simulation.run()
        times = [row[1] for row in client.rows if row[0] >= 5.0]
        tail[name] = quantile(times, 0.999)
        ordered = sorted(times)
        steps = [1.0 - 10 ** (-place / 20) for place in range(71)]
        curves[name] = [(-math.log10(1 - q), ordered[min(int(q * len(ordered)), len(ordered) - 1)]) for q in steps]
        extra = server.requests / len(client.rows) - 1.0
    ratio = tail["hedging, at most 5 %"] / tail["no hedging"]
    return Outcome(
        "A heavy tail: 2 % of the requests take 20 times as long",
        [
            Check("p99.9, no hedging", f"{tail['no hedging']:.2f} s"),
            Check("p99.9, hedging", f"{tail['hedging, at most 5 %']:.2f} s"),
            _at_most("ratio", ratio, 0.5),
            _at_most("more requests", extra, 0.05),
        ],
        curves,
        ("nines of the quantile (2: p99, 3: p99.9)", "seconds"),
    )


def fairness() -> Outcome:
    """One user sends 50 times as much as another: the other one does not wait for it."""
    waits: dict[str, float] = {}
    answered: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for fair in ("none", "user"):
        simulation = Simulation()
        server = Server(simulation, latency=lambda: 0.2)
        limits = limited(simulation, concurrency=10, queue=500, queue_timeout=20.0, fair=fair)
        client = Client(simulation, [Deployment(server, None, limits)], deadline=60.0)
        simulation.arrivals(lambda _: 100.0, 30.0, lambda c=client: c.call("anna"))
        simulation.arrivals(lambda _: 2.0, 30.0, lambda c=client, f=fair: c.call("ben" if f == "user" else "anna"))
        # In the order of arrival both are in one line; the rows of ben are told apart by chance alone.
        simulation.run()
        mine = [row for row in client.rows if row[3] == ("ben" if fair == "user" else "anna")]
        waits[fair] = quantile((row[1] for row in mine), 0.95)
        answered[fair] = sum(row[2] == "ok" for row in mine) / len(mine)
        curves["order of arrival" if fair == "none" else "a turn for each user"] = [
            (second, quantile((row[1] for row in mine if second <= row[0] < second + 2), 0.5))
            for second in range(0, 30, 2)
        ]
    return Outcome(
        "One user sends 100 calls a second, another one 2; the limit allows 50: how long the other one's calls take",
        [
            Check("p95, order of arrival", f"{waits['none']:.2f} s, {answered['none']:.2f} answered"),
            _at_most("p95, a turn for each user", waits["user"], 0.6, " s"),
            _at_least("answered, a turn for each user", answered["user"], 0.999),
        ],
        curves,
        ("seconds", "median seconds of a call"),
    )


def million(calls: int = 1_000_000) -> Outcome:
    """Run a million calls with breaker, limit, hedging and retry budget, as fast as this machine can."""
    simulation = Simulation()
    server = Server(simulation, latency=lambda: simulation.random.uniform(0.1, 0.3), fails=lambda: False)
    deployment = Deployment(server, guarded(simulation), limited(simulation, concurrency=1_000))
    client = Client(
        simulation, [deployment], _RETRY, RetryBudget(500.0), HedgePolicy(HedgeSettings(share=0.01)), deadline=10.0
    )
    simulation.arrivals(lambda _: 2_000.0, calls / 2_000.0, client.call)
    gc.disable()  # a million rows are kept, and each look through all of them is none of the policies' work
    try:
        began = time.process_time()
        simulation.run()
        seconds = time.process_time() - began
    finally:
        gc.enable()
    each = seconds / len(client.rows)
    return Outcome(
        "A million calls through breaker, limit, hedging and retry budget",
        [
            Check("calls", f"{len(client.rows):,}"),
            _at_most("seconds of CPU for a million", each * 1e6, 60),
            Check("ends", ", ".join(f"{name} {number:,}" for name, number in client.ends.most_common())),
        ],
    )


def _exactly(what: str, value: int, wanted: int) -> Check:
    return Check(what, str(value), f"exactly {wanted}", value == wanted)


def _at_most(what: str, value: float, bound: float, unit: str = "") -> Check:
    return Check(what, f"{value:.3g}{unit}", f"at most {bound:g}{unit}", value <= bound)


def _at_least(what: str, value: float, bound: float) -> Check:
    return Check(what, f"{value:.4g}", f"at least {bound:g}", value >= bound)


SCENARIOS: tuple[Callable[[], Outcome], ...] = (
    total_outage, partial_outage, slow_provider, ten_times, breaker_expiry, heavy_tail, fairness, million,
)  # fmt: skip
