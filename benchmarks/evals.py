"""The evaluations in one run: what their figures are worth, what judges are refused, and three other libraries beside.

- `evals_statistics.py` and `evals_metrics.py`: the figures beside reference values and beside what is asked of them.
- `evals_judges.py`: judges on published verdicts, and verdicts in SQL.
- `evals_running.py`: what a run costs by itself.
- `evals_beside.py`: the same evaluation under DeepEval, ragas and Inspect.

Data come from `LLMOPS_BENCH_DATA`, `LLMOPS_BENCH_SETS` and `LLMOPS_BENCH_GROUNDING` (`README.md` and `evals_metrics.py`
say what belongs there); what is missing is left out.

Run it with `make bench-evals`, or a part: `python benchmarks/evals.py --only judges,beside`. With `--write`, a run of
all parts writes `evals.md`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import evals_beside
import evals_judges
import evals_metrics
import evals_running
import evals_statistics
from evals_statistics import Row
from guardrails_tables import number, table

HERE = Path(__file__).resolve().parent


def load() -> str:
    """Return the load averages of 1, 5 and 15 minutes."""
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def sections(title: str, found: Iterator[str | Row]) -> Iterator[str]:
    """Yield rows as one table, and then the texts that came between them."""
    rows: list[Row] = []
    texts: list[str] = []
    for one in found:
        rows.append(one) if isinstance(one, Row) else texts.append(one)
    yield f"## {title}"
    if rows:
        marks = [("" if row.asked == "none" else "yes" if row.met else "**no**") for row in rows]
        lines = [(row.what, row.measured, "" if row.asked == "none" else row.asked) for row in rows]
        yield table(
            ("figure", "measured", "asked", "met"), [(*line, mark) for line, mark in zip(lines, marks, strict=True)]
        )
    yield from texts


def metrics(data: Path) -> Iterator[str | Row]:
    """Yield the rows of the metrics."""
    for row in evals_metrics.run(data):
        yield Row(row.name, row.figure, row.wanted or "none", row.reached is not False)


def judges(data: Path, sets: Path) -> Iterator[str | Row]:
    """Yield the rows and tables of judges."""
    yield from evals_judges.llmbar(sets / "llmbar")
    yield from evals_judges.pandalm(data)
    yield from evals_judges.sql()


def running() -> Iterator[str | Row]:
    """Yield the costs of a run."""
    yield table(
        ("1,000 items × 3 scorers", "median"), [(name, number(one)) for name, one in evals_running.run().items()]
    )


def main() -> None:
    """Measure the parts that the command line names, and print the tables."""
    data, sets = (Path(os.environ.get(name, "missing")) for name in ("LLMOPS_BENCH_DATA", "LLMOPS_BENCH_SETS"))
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "beside": lambda: iter(["## Beside other libraries", *evals_beside.run()]),
        "running": lambda: sections("What a run costs", running()),
        "statistics": lambda: sections("Statistics", iter(evals_statistics.run(data if data.is_dir() else None))),
        "metrics": lambda: sections("Metrics", metrics(data)),
        "judges": lambda: sections("Judges", judges(data, sets)),
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(parts), help=f"parts, with commas: {', '.join(parts)}")
    parser.add_argument("--write", action="store_true", help="write evals.md")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if unknown := set(chosen) - set(parts):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: use some of {', '.join(parts)}")
    if arguments.write and chosen != list(parts):
        parser.error("--write needs all parts")
    began, before = time.monotonic(), load()
    found: list[str] = []
    for part in chosen:
        start, at = time.monotonic(), load()
        found += parts[part]()
        found.append(f"{time.monotonic() - start:.0f} s; load average {at} before, {load()} after.")
        print(f"{part}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    peers = ", ".join(f"{peer} {evals_beside.version_of(peer)}" for peer in evals_beside.PEERS)
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    head = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {time.monotonic() - began:.0f} s.",
        f"{machine}, load average {before} at the start, {load()} at the end.",
        f"Peers: {peers}.",
    ]
    text = "\n\n".join(["\n".join(head), *found])
    print(text)
    if arguments.write:
        title = "# Evaluations, and the same under other libraries\n\n`make bench-evals` writes this page.\n\n"
        (HERE / "evals.md").write_text(title + text + "\n", "utf-8")


if __name__ == "__main__":
    main()
