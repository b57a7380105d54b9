"""Measure monitoring: false alarms and delays by simulation, the watcher's cost and a backtest over a million spans.

`python benchmarks/monitoring.py [alarms] [delays] [rates] [store] [--months N] [--write]`; `--write` puts the tables
into `monitoring.md`, each in its section.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from monitoring_simulation import MONTH_DAYS, Traffic, rate_alarms, seasonal_alarms
from traffic_plots import draw

_PAGE = Path(__file__).with_suffix(".md")
_SEED = 20_261_130
_TRAFFIC = (
    Traffic("calls", 2), Traffic("calls", 40), Traffic("cost", 5, spread=1.5), Traffic("cost", 40),
    Traffic("latency_p95", 20, spread=0.6),
)  # fmt: skip
_ALLOWED = (1.0, 0.1)
_TOGETHER = 20
"""Months of one stream."""
_MODELS = ("gpt-4.1", "gpt-4.1-mini", "claude", "llama", "o4")
_DAY = 86_400


def alarms(months: int) -> list[str]:
    """Return the table of false alarms of the seasonal rule."""
    lines = [
        "| metric | calls in 5 minutes | months | allowed a month | false alarms a month |",
        "|---|---|---|---|---|",
    ]
    for kind, traffic in enumerate(_TRAFFIC):
        streams = range(-(-months // _TOGETHER))
        found = false_alarms(kind, streams)
        simulated = len(streams) * _TOGETHER
        for allowed, count in zip(_ALLOWED, found, strict=True):
            lines.append(
                f"| {traffic.metric} | {traffic.a_bucket:g} | {simulated:,} | {allowed:g} | {count / simulated:.4f} |"
            )
            print(lines[-1], flush=True)
    return lines


def false_alarms(kind: int, streams: Iterable[int]) -> list[int]:
    """Return the false alarms of some streams of `_TOGETHER` months each, for each allowed rate.

    Args:
        kind: The place of the traffic in `_TRAFFIC`.
        streams: The numbers of the streams: the same number, the same stream.
    """
    found = [0] * len(_ALLOWED)
    for number in streams:
        rng = np.random.default_rng([_SEED, kind, number])
        for place, begins in enumerate(
            seasonal_alarms(_TRAFFIC[kind], rng, allowed=_ALLOWED, days=MONTH_DAYS * _TOGETHER)
        ):
            found[place] += len(begins)
    return found


def delays(runs: int) -> list[str]:
    """Return the table of delays of the seasonal rule."""
    curves: dict[str, list[tuple[float, float]]] = {}
    lines = [
        (
            "| fault | calls in 5 minutes | runs | allowed a month | found within a day | median delay, min | "
            "90 % within, min |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for traffic in _TRAFFIC:
        factor = 1.5 if traffic.metric.startswith("latency") else 2.0
        rng = np.random.default_rng(_SEED + 1)
        waited: list[list[float]] = [[] for _ in _ALLOWED]
        for _ in range(runs):
            for place, begins in enumerate(seasonal_alarms(traffic, rng, allowed=_ALLOWED, fault=factor, days=2)):
                starts = [one - 144 for one in begins if one >= 144]
                waited[place].append((starts[0] + 1) * 5 if starts and starts[0] < 288 else math.inf)
        for allowed, minutes in zip(_ALLOWED, waited, strict=True):
            minutes.sort()
            found = sum(one < math.inf for one in minutes)
            middle, late = (minutes[int(len(minutes) * part)] for part in (0.5, 0.9))
            lines.append(
                f"| {traffic.metric} × {factor:g} | {traffic.a_bucket:g} | {runs:,} | {allowed:g} | "
                f"{found / runs:.0%} | {_minutes(middle)} | {_minutes(late)} |"
            )
            print(lines[-1], flush=True)
        title = f"{traffic.metric} × {factor:g}, {traffic.a_bucket:g} calls"
        minutes = waited[0]
        steps = [(at / 60, (place + 1) / runs) for place, at in enumerate(minutes) if at < math.inf]
        curves[title] = [(0.0, 0.0), *steps[:: max(len(steps) // 100, 1)], (24.0, len(steps) / runs)]
    del curves["calls × 2, 40 calls"]  # at once
    draw(_PAGE.with_name("monitoring_delays.svg"), "Share of runs in which a fault is found", curves, ("hours", ""))
    return lines


def _minutes(value: float) -> str:
    return "–" if value == math.inf else f"{value:g}"


def rates(months: int) -> list[str]:
    """Return the table of false alarms and delays of the rule for shares."""
    lines = [
        "| usual share | calls a minute | months | allowed a month | false alarms a month | fault | median delay |",
        "|---|---|---|---|---|---|---|",
    ]
    for rate, a_minute, fault in (
        (0.01, 10.0, 0.05),
        (0.05, 10.0, 0.15),
        (0.002, 100.0, 0.01),
        (0.1, 2.0, 0.2),
        (0.15, 2.0, 0.25),
    ):
        rng = np.random.default_rng(_SEED + 2)
        found, _ = rate_alarms(rng, rate=rate, a_minute=a_minute, months=months)
        _, waited = rate_alarms(rng, rate=rate, a_minute=a_minute, fault=fault, months=200)
        lines.append(
            f"| {rate:g} | {a_minute:g} | {months:,} | 1 | {found / months:.4f} | {fault:g} | "
            f"{statistics.median(waited):g} |"
        )
        print(lines[-1], flush=True)
    return lines


def fill(folder: Path, spans: int, days: int = 90) -> int:
    """Write calls of some days; return the end of the last day."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "receivers"))
    from watched_store import START, Calls

    from llmops_sdk.store import compact

    rng = random.Random(_SEED)
    end = START // _DAY * _DAY
    calls = Calls(folder)
    for number in range(spans):
        model = rng.choice(_MODELS)
        calls.add(
            end - days * _DAY + days * _DAY * number / spans + rng.random(), error=rng.random() < 0.004,
            cost=None if rng.random() < 0.02 else 0.002 * math.exp(rng.gauss(0, 1)),
            ms=800 * math.exp(rng.gauss(0, 0.6)),
            model=model, user=f"u{rng.randrange(5_000)}",
            **{
                "gen_ai.prompt.name": rng.choice(["support", "faq", "search"]), "gen_ai.response.model": model,
                "gen_ai.usage.input_tokens": rng.randrange(100, 3_000),
                "gen_ai.usage.output_tokens": rng.randrange(10, 800), "app.note": "x" * 60,
            },
        )  # fmt: skip
    calls.close()
    compact(path=folder)
    return end


def rules() -> dict[str, Any]:
    """Return 50 rules and objectives of every kind."""
    found: list[dict[str, Any]] = []
    for model in _MODELS:
        where = {"where": f"model = '{model}'"}
        found += [
            {"name": f"errors-{model}", "metric": "errors", "threshold": 0.05, "window": "15m", "min_events": 20},
            {"name": f"cost-{model}", "metric": "cost", "threshold": 50.0},
            {"name": f"p95-{model}", "metric": "latency_p95", "threshold": 8_000.0, "window": "30m", "min_events": 20},
            {"name": f"usual-cost-{model}", "metric": "cost", "anomaly": "seasonal"},
            {"name": f"usual-p95-{model}", "metric": "latency_p95", "anomaly": "seasonal"},
            {"name": f"usual-errors-{model}", "metric": "errors", "anomaly": "seasonal"},
            {"name": f"calls-{model}", "metric": "calls", "threshold": 1.0, "compare": "below"},
            {"name": f"tokens-{model}", "metric": "output_tokens", "threshold": 1e9, "group_by": ["prompt_name"]},
        ]
        for rule in found[-8:]:
            rule.update(where)
    found.append({"name": "spend", "metric": "cost", "threshold": 5.0, "group_by": ["user_id"]})
    slo: dict[str, Any] = {
        f"slo-{number}": {"objective": 0.99, "where": f"model = '{model}'"} for number, model in enumerate(_MODELS)
    }
    slo |= {
        "fast": {"sli": "latency", "threshold": 5_000.0, "objective": 0.95}, "all": {"objective": 0.995},
        "cheap": {"sli": "cost", "threshold": 0.1, "objective": 0.99},
        "good": {"objective": 0.9, "basis": "events"},
    }  # fmt: skip
    return {"alerts": found, "slo": slo}


def store(spans: int) -> list[str]:
    """Return the table of the watcher's cost and of a backtest over a store of so many spans."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "receivers"))
    from watched_store import FileQueue, Turned, settings_of

    from llmops_sdk.monitoring import backtest
    from llmops_sdk.monitoring.watch._watcher import Watcher

    lines = ["| | spans | rules | CPU, s | time, s |", "|---|---|---|---|---|"]

    def measure(what: str, count: int, work: Callable[[], object]) -> float:
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        used = time.process_time() - cpu
        lines.append(f"| {what} | {spans:,} | {count} | {used:.2f} | {time.perf_counter() - wall:.2f} |")
        print(lines[-1], flush=True)
        return used

    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "store"
        end = fill(folder, spans)
        every = rules()
        settings = settings_of(folder, **every)
        clock = Turned(end - 3_600)
        count = len(every["alerts"]) + len(every["slo"])
        watcher = Watcher(settings, FileQueue, clock)
        measure("first look of a new watcher", count, watcher.tick)

        def looks() -> None:
            for _ in range(30):
                clock.now += 60
                watcher.tick()

        used = measure("30 looks, one a minute", count, looks)
        lines.append(f"| share of a core, at a look a minute | {spans:,} | {count} | {used / 1_800:.2%} | |")
        watcher.close()
        clock.now += 60

        def restart() -> None:
            again = Watcher(settings, FileQueue, clock)
            again.tick()
            again.close()

        measure("restart and first look", count, restart)
        twenty = settings_of(folder, alerts=every["alerts"][:17], slo=dict(list(every["slo"].items())[:3]))
        measure("backtest of 90 days", 20, lambda: backtest(settings=twenty, since=90.0 * _DAY, until=end))
    return lines


_SECTIONS: dict[str, tuple[str, Callable[[int], list[str]]]] = {
    "alarms": ("False alarms of `anomaly = \"seasonal\"`", alarms),
    "delays": ("Delays of `anomaly = \"seasonal\"`", delays),
    "rates": ("Shares against their usual rate", rates),
    "store": ("The watcher and a backtest over a million spans", store),
}  # fmt: skip


def main() -> None:
    """Run the sections that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[*_SECTIONS, []], help="default: all")
    parser.add_argument("--months", type=int, default=2_000)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    for name in given.sections or _SECTIONS:
        title, work = _SECTIONS[name]
        print(f"## {title}")
        lines = work(given.spans if name == "store" else given.months)
        if given.write:
            _write(title, lines)


def _write(title: str, lines: list[str]) -> None:
    text = _PAGE.read_text("utf-8")
    head, mark, rest = text.partition(f"## {title}\n")
    prose, table, after = rest.partition("\n| ")
    end = after.find("\n\n")
    tail = after[end:] if mark and table and end >= 0 else "\n"
    _PAGE.write_text(f"{head}## {title}\n{prose}\n" + "\n".join(lines) + tail, "utf-8")


if __name__ == "__main__":
    main()
