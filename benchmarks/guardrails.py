"""The guards beside their peers: what they find, what they flag wrongly, how long they take, in one run.

One threshold holds for all sets, the one that ships with the injection model. Texts come from `LLMOPS_BENCH_DATA` and
from checkouts of other repositories (`--sets FOLDER` or `LLMOPS_BENCH_SETS`; `README.md` names them); no text that the
model was trained on is scored. Secrets, disguises and streams are made at run time. A set that is missing ends the run.

Peers run in environments of their own (`guardrails_peers.py`). Slow ones read samples: 120 attacks or 200 harmless
texts of each set, and all scorers are then compared on the same samples.

Run it with `make bench-guardrails`, or a part: `python benchmarks/guardrails.py --only injection,latency --no-peers`.
With `--write`, a run of all parts writes `guardrails.md`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import guardrails_quality as quality
import guardrails_timing as timing
from guardrails_peers import PEERS, version_of
from guardrails_tables import Results, demands

HERE = Path(__file__).resolve().parent
PARTS = ("injection", "pii", "secrets", "disguises", "streaming", "latency", "crafted")
NEEDS_DATA = ("injection", "pii")


def load() -> str:
    """Return the load averages of 1, 5 and 15 minutes."""
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def run(parts: list[str], data: Path, outside: Path, *, peers: bool) -> Results:
    """Return the results of some parts."""
    results = Results()
    measures: dict[str, Callable[[], None]] = {
        "injection": lambda: quality.injection(results, data, outside, peers=peers),
        "pii": lambda: quality.pii(results, data, peers=peers),
        "secrets": lambda: quality.secrets(results, peers=peers),
        "disguises": lambda: quality.disguises(results, peers=peers),
        "streaming": lambda: timing.streaming(results),
        "latency": lambda: timing.latency(results, peers=peers),
        "crafted": lambda: timing.crafted(results, peers=peers),
    }
    for part in parts:
        began = time.monotonic()
        measures[part]()
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return results


def main() -> None:
    """Measure the parts that the command line names, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, with commas: {', '.join(PARTS)}")
    parser.add_argument("--sets", default=os.environ.get("LLMOPS_BENCH_SETS", ""), help="checkouts that only measure")
    parser.add_argument("--no-peers", action="store_true", help="measure only the guards of the project")
    parser.add_argument("--write", action="store_true", help="write guardrails.md")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: use some of {', '.join(PARTS)}")
    if arguments.write and (parts != list(PARTS) or arguments.no_peers):
        parser.error("--write needs all parts and all peers")
    data = Path(os.environ.get("LLMOPS_BENCH_DATA", ""))
    if set(NEEDS_DATA) & set(parts) and not (data / "guard").is_dir():
        parser.error(f"LLMOPS_BENCH_DATA must name the folder with the data for {' and '.join(NEEDS_DATA)}")
    if "injection" in parts and not arguments.sets:
        parser.error("--sets must name the folder with the checkouts for injection")
    began = time.monotonic()
    before = f"Python {platform.python_version()}, {os.cpu_count()} cores, load average {load()}"
    try:
        results = run(parts, data, Path(arguments.sets), peers=not arguments.no_peers)
    except FileNotFoundError as error:
        sys.exit(f"a set is missing: {error}")
    versions = "" if arguments.no_peers else ", ".join(f"{peer} {version_of(peer)}" for peer in PEERS)
    head = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {time.monotonic() - began:.0f} s.",
        f"{before} at the start, {load()} at the end.",
        f"Peers: {versions}." if versions else "",
        "A share stands with its Wilson interval (95 %) and its count.",
        "Latency is judged by CPU time, which other programs on the machine change less than wall time.",
    ]
    text = "\n\n".join(["\n".join(filter(None, head)), f"## What is demanded\n\n{demands(results)}", *results.parts])
    print(text)
    if arguments.write:
        title = "# Guardrails and their peers\n\n`make bench-guardrails` writes this page.\n\n"
        (HERE / "guardrails.md").write_text(title + text + "\n", "utf-8")


if __name__ == "__main__":
    main()
