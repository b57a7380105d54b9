"""The semantic cache: what it serves, how much of that is wrong, how long it takes, beside its peers, in one run.

Splits are honest: thresholds come from BANKING77's design half, figures from its test
half, from the half of fow that `caching_split.py` hides, and from CLINC150. Two embedders are measured: the static one
in the package, and all-MiniLM-L6-v2, which runs in numpy. Texts come from `LLMOPS_BENCH_DATA`.

Run it with `make bench-caching`, or a part: `python benchmarks/caching.py --only pairs,bound --quick`. With `--write`,
a run of all parts writes `caching.md`. The first run makes the vectors of MiniLM, which takes some minutes more.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import caching_quality as quality
import caching_speed as speed
from caching_beside import peers
from caching_bound import bound
from caching_data import Sets, embedders, every_pair, read_sets
from caching_peers import PEERS, version_of
from caching_streams import Shadows
from guardrails_tables import Demand, Results, demands

from llmops_sdk.embeddings import Embedder

HERE = Path(__file__).resolve().parent
PARTS = (
    "pairs", "conversations", "swaps", "outside", "streams", "predictions", "rankings", "bound", "latency", "processes",
    "peers",
)  # fmt: skip


def _demands() -> list[Demand]:
    """Return what is asked of each figure."""
    found = [
        Demand("stream MiniLM, frozen score, served", 0.40, 0.55),
        Demand("stream static, frozen score, served", 0.20, 0.30),
        Demand("fow hidden, MiniLM, served at 1 % of traps", 0.35, 0.50),
        Demand("fow hidden, MiniLM, served at 5 % of traps", 0.50, 0.60),
        Demand("fow hidden, static, served at 1 % of traps", 0.25, 0.35),
        Demand("fow hidden, static, served at 5 % of traps", 0.35, 0.45),
        Demand("fow hidden, conversations, repeats served", 0.60),
        Demand("fow hidden, conversations, traps served", 0.0, at_most=True),
    ]
    for name in ("MiniLM", "static"):
        found += [
            Demand(f"stream {name}, frozen score, errors among hits", 0.02, 0.02, at_most=True),
            *(
                Demand(f"stream {name}, max_error={most:g}, errors among {hits}", most, at_most=True)
                for most in (0.02, 0.05)
                for hits in ("hits", "hits by score")
            ),
            Demand(f"fow hidden, {name}, near repeats at 1 % of traps", 0.85, 0.95),
            Demand(f"fow hidden, {name}, traps served at the defaults", 0.05, 0.01, at_most=True),
            Demand(f"CLINC150 out of scope, {name}, served at the defaults", 0.01, 0.003, at_most=True),
            Demand(f"CLINC150 out of scope, {name}, served after certification", 0.01, 0.003, at_most=True),
            Demand(f"word swaps, {name}, served at the defaults", 0.08, 0.05, at_most=True),
            Demand(f"AUC of the nearest five, {name}, by score", 0.85, 0.87),
            Demand(f"AUC of the nearest five, {name}, by words", 0.85, 0.87),
            Demand(f"AUC of the nearest five that words do not refuse, {name}", 0.85, 0.87),
            Demand(f"shadow {name}, gap of the errors among hits", 0.01, at_most=True),
            Demand(f"shadow {name}, gap of the hit rate", 0.01, at_most=True),
        ]
    for noise in (0, 5, 10):
        found += [
            Demand(f"bound, judge wrong {noise}%, streams above it at the end", 0.05, 0.0, at_most=True),
            Demand(f"bound, judge wrong {noise}%, streams above it at any time", 0.05, 0.0, at_most=True),
        ]
    found += [
        Demand("µs of CPU, comparison of two questions", 150, at_most=True),
        Demand("µs of CPU, decision with 100 observations", 1_000, at_most=True),
        Demand("µs of CPU, its new observation", 1_000, at_most=True),
        Demand("eight processes, failures", 0, at_most=True),
    ]
    return found


def load() -> str:
    """Return the load averages of 1, 5 and 15 minutes."""
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def _embedders(sets: Sets) -> dict[str, Embedder]:
    pairs = [*sets.pairs, *sets.swaps, *every_pair()]
    texts = [text for text, _ in (*sets.design, *sets.test, *sets.clinc)]
    return embedders([*texts, *sets.outside, *(text for pair in pairs for text in pair[:2])])


def run(parts: list[str], *, quick: bool) -> Results:
    """Return the results of some parts."""
    results, sets = Results(), read_sets(quick=quick)
    results.demands = _demands()
    known = _embedders(sets)
    with tempfile.TemporaryDirectory() as folder:
        shadows = Shadows(Path(folder), sets.design, quality.MOST)
        for part, measure in _measures(results, sets, known, shadows, quick=quick).items():
            if part in parts:
                began = time.monotonic()
                measure()
                print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return results


def _measures(
    results: Results, sets: Sets, known: dict[str, Embedder], shadows: Shadows, *, quick: bool
) -> dict[str, Callable[[], object]]:
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    return {
        "pairs": lambda: quality.pairs(results, sets, known),
        "conversations": lambda: quality.conversations(results, sets),
        "swaps": lambda: quality.swaps(results, sets, known),
        "outside": lambda: quality.outside(results, sets, known),
        "streams": lambda: quality.streams(results, sets, known, shadows),
        "predictions": lambda: quality.predictions(results, sets, known, shadows),
        "rankings": lambda: quality.rankings(results, sets, known, shadows),
        "bound": lambda: bound(results, quick=quick),
        "latency": lambda: (speed.look_ups(results, sets, sizes), speed.small_costs(results, sets)),
        "processes": lambda: speed.processes(results, sets),
        "peers": lambda: peers(results, sets, known),
    }


def main() -> None:
    """Measure the parts that the command line names, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, with commas: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="fewer questions, streams and entries")
    parser.add_argument("--write", action="store_true", help="write caching.md")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: use some of {', '.join(PARTS)}")
    if arguments.write and (parts != list(PARTS) or arguments.quick):
        parser.error("--write needs all parts, and not --quick")
    began = time.monotonic()
    before = f"Python {platform.python_version()}, {os.cpu_count()} cores, load average {load()}"
    results = run(parts, quick=arguments.quick)
    versions = ", ".join(f"{peer} {version_of(peer)}" for peer in PEERS) if "peers" in parts else ""
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
        title = "# The semantic cache and its peers\n\n`make bench-caching` writes this page.\n\n"
        (HERE / "caching.md").write_text(title + text + "\n", "utf-8")


if __name__ == "__main__":
    main()
