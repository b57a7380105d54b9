"""Measure traffic control: simulations on a virtual clock, and a load run beside litellm's Router.

`make bench-traffic` runs it with `--write`, which writes `benchmarks/traffic.md` and its plots. `--simulate` leaves the
load run out. The exit code is 1 when a figure misses its bound.
"""

from __future__ import annotations

import sys
from pathlib import Path

from traffic_load import results, table
from traffic_plots import draw
from traffic_scenarios import SCENARIOS, Outcome

HERE = Path(__file__).resolve().parent

HEAD = """# Traffic control, measured

Made by `make bench-traffic`. The simulations drive the real policy objects (breaker, limits, hedging, balancing, retry
budget) on a virtual clock; `traffic_simulation.py` and `traffic_scenarios.py` say what is simulated.
"""
LOAD = """## A load run over loopback

Calls begin at fixed times, whether earlier ones have ended or not. `east` is well for 5 s, answers in 3 s for 8 s,
closes every connection for 8 s, and is well again. A call counts as answered when its answer comes within 2 s.
`traffic_load.py` has the settings of both. The rate of the first rows is what both can serve on this machine, because
both call through litellm; the last rows are 500 calls a second through a plain HTTP provider.
"""


def section(outcome: Outcome, plot: str | None) -> str:
    """Return a scenario as Markdown."""
    rows = [
        f"| {check.what} | {check.value} | {check.bound} | {'' if not check.bound else 'yes' if check.ok else 'no'} |"
        for check in outcome.checks
    ]
    picture = f"\n![{outcome.title}]({plot})\n" if plot else ""
    return "\n".join([f"## {outcome.title}\n", "| | | bound | held |", "|---|---|---|---|", *rows, picture])


def main() -> int:
    """Run everything, and return the exit code."""
    writes, loads = "--write" in sys.argv, "--simulate" not in sys.argv
    parts, held = [HEAD], True
    for scenario in SCENARIOS:
        outcome = scenario()
        plot = f"traffic_{scenario.__name__}.svg" if outcome.curves else None
        if plot and writes:
            draw(HERE / plot, outcome.title, outcome.curves, outcome.axes)
        parts.append(section(outcome, plot))
        held = held and all(check.ok for check in outcome.checks)
        print(parts[-1], flush=True)
    if loads:
        parts.append(f"{LOAD}\n{table(results())}\n")
        print(parts[-1])
    if writes:
        (HERE / "traffic.md").write_text("\n".join(parts), "utf-8")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
