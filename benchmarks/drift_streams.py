"""Streams of scores and canaries: false alarms and delays by simulation, beside the detectors of river.

The streams are drawn here, with seeds that no rule was designed on. Published answers of model snapshots come from
`LLMOPS_BENCH_DATA` (`drift/model_update_*.jsonl.gz`, `drift/canary_synthetic.jsonl.gz`); what is missing is left out.
The detectors of river run in a Python of their own, `LLMOPS_RIVER_PYTHON`, on the same streams.

Run it: `python benchmarks/drift_streams.py [--write] [--streams 400] [--own 2000]`. With `--write` it writes
`drift_streams.md`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
_WHY = """A reference of 1,000 is an estimate with a standard error of .0126. With 3,000 scores after it, the difference
of .20 and .25 is 3.35 standard errors. {bounds} A detector that may be looked at after each score, and that also finds
later changes, pays for that with some of these streams. Those that find more take the estimate for the truth, and alarm
without a change."""
Detect = Callable[[list[int], list[int]], "list[int | None]"]
_REFERENCES = (100, 300, 1_000)
_RATE = 0.2
_CHANGES = ((0.35, 0), (0.25, 0), (0.35, 1_000), (0.25, 1_000))
"""The rate after a change, and the scores before it."""


def stream(seed: int, reference: int, rate: float, length: int, *, quiet: int = 0) -> tuple[list[int], list[int]]:
    """Return a reference, and a stream whose rate changes after `quiet` scores."""
    draw = random.Random(f"benchmark/{seed}")
    usual = [int(draw.random() < _RATE) for _ in range(reference)]
    return usual, [int(draw.random() < (_RATE if n < quiet else rate)) for n in range(quiet + length)]


def measure(detect: Detect, streams: int, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return for each name the share of false alarms in 2,000, and the delays.

    Args:
        detect: Returns for each name after how many scores its alarm comes, or None.
        streams: How many streams are drawn for false alarms; for delays half as many.
        names: The names of the detectors.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for reference in _REFERENCES:
        alarms = [detect(*stream(seed, reference, _RATE, 2_000)) for seed in range(streams)]
        for place, name in enumerate(names):
            share = sum(one[place] is not None for one in alarms) / streams
            found[name][f"false alarm, reference {reference:,}"] = share
    for rate, quiet in _CHANGES:
        ends = [detect(*stream(10**6 + seed, 1_000, rate, 3_000, quiet=quiet)) for seed in range(streams // 2)]
        for place, name in enumerate(names):
            at = [one[place] for one in ends]
            found[name] |= _delays(
                rate, quiet, [math.inf if one is None else one - quiet for one in at if one is None or one > quiet]
            )
    return found


def _delays(rate: float, quiet: int, after: Any) -> dict[str, Any]:
    """Return the median and the share of what was found, of the delays of streams without an alarm before."""
    case = f".20→{str(rate)[1:]}" + (f" after {quiet:,}" if quiet else "")
    middle = float(np.median(after)) if len(after) else math.inf
    # A median beyond the stream is written as text: JSON has no infinity.
    return {
        f"{case}: median delay": middle if middle < math.inf else "–",
        f"{case}: found": sum(one < math.inf for one in after) / max(1, len(after)),
    }


def ours(usual: list[int], scores: list[int]) -> list[int | None]:
    """Return where our monitor alarms at .05 and at .02: the same test, so one pass is enough."""
    from llmops_sdk.drift import ConceptMonitor

    monitor = ConceptMonitor(usual, alpha=0.02)
    first: int | None = None
    for n, score in enumerate(scores, start=1):
        done = monitor.update(score)
        if first is None and (done or monitor.p_value <= 0.05):
            first = n
        if done:
            return [first, n]
    return [first, None]


def own_rows(streams: int) -> dict[str, dict[str, Any]]:
    """Return the figures of our monitor, many streams at once, as `measure` has them."""
    from drift_simulation import STEP, draw, p_values

    found: dict[str, dict[str, Any]] = {}
    for what, two_sided in (("ours", True), ("ours, only more errors", False)):
        levels = {alpha: found.setdefault(f"{what}, α {str(alpha)[1:]}", {}) for alpha in (0.05, 0.02)}
        for reference in _REFERENCES:
            rng = np.random.default_rng([1, reference])
            made = draw(rng, streams, reference=reference, rate=_RATE, length=2_000)
            least = p_values(reference, *made, two_sided=two_sided)[-1]
            for alpha, figures in levels.items():
                figures[f"false alarm, reference {reference:,}"] = float(np.mean(least <= alpha))
        for rate, quiet in _CHANGES:
            rng = np.random.default_rng([2, quiet, int(rate * 100)])
            made = draw(rng, streams // 2, reference=1_000, rate=_RATE, length=3_000 + quiet, later=rate, quiet=quiet)
            p = p_values(1_000, *made, two_sided=two_sided)
            for alpha, figures in levels.items():
                alarmed = p <= alpha
                at = np.where(alarmed.any(axis=0), (alarmed.argmax(axis=0) + 1) * STEP, math.inf)
                figures.update(_delays(rate, quiet, at[at > quiet] - quiet))
    return found


def _river(make: Callable[[], Any]) -> Detect:
    def detect(usual: list[int], scores: list[int]) -> list[int | None]:
        detector = make()
        for score in usual:
            detector.update(score)
        for n, score in enumerate(scores, start=1):
            detector.update(score)
            if detector.drift_detected:
                return [n]
        return [None]

    return detect


def peers(streams: int) -> dict[str, dict[str, Any]]:
    """Return the figures of river's detectors. This runs in river's own Python."""
    from river import drift

    made: dict[str, Callable[[], Any]] = {
        "ADWIN δ .002": lambda: drift.ADWIN(delta=0.002),
        "ADWIN δ .05": lambda: drift.ADWIN(delta=0.05),
        "Page–Hinkley": drift.PageHinkley,
        "Page–Hinkley 20, δ .01": lambda: drift.PageHinkley(threshold=20, delta=0.01),
        "DDM": drift.binary.DDM,
        "EDDM": drift.binary.EDDM,
        "HDDMA": drift.binary.HDDMA,
        "HDDMW": drift.binary.HDDMW,
    }
    found: dict[str, dict[str, Any]] = {}
    for name, make in made.items():
        found |= measure(_river(make), streams, (name,))
    return found


def plug_in_cusum(usual: list[int], scores: list[int]) -> list[int | None]:
    """Return where a CUSUM for .1 more alarms that takes the estimated rate as the truth."""
    rate = max(sum(usual) / len(usual), 1e-3)
    worse = min(rate + 0.1, 0.999)
    up, down = math.log(worse / rate), math.log((1 - worse) / (1 - rate))
    total = 0.0
    for n, score in enumerate(scores, start=1):
        total = max(0.0, total + (up if score else down))
        if total >= 6:
            return [n]
    return [None]


def bounds(tests: int = 100_000) -> str:
    """Return how often the best test finds .20→.25: one that knows the size, and looks once, after 3,000 scores.

    The difference of the two shares is then all that counts (Neyman and Pearson). Its limit is taken from as many
    streams without a change, so that it alarms in 5 % of them.
    """
    rng = np.random.default_rng(1)
    reference, length = 1_000, 3_000

    def difference(rate: float) -> Any:
        return rng.binomial(length, rate, tests) / length - rng.binomial(reference, _RATE, tests) / reference

    quiet, changed = difference(_RATE), difference(0.25)
    either = np.mean(np.abs(changed) > np.quantile(np.abs(quiet), 0.95))
    known = np.mean(changed > np.quantile(quiet, 0.95))
    return (
        f"The best test that looks once, at the end, at α .05, finds it in {either:.0%} of the streams; in {known:.0%} "
        "if it looks for more errors only."
    )


def stream_table(streams: int, own: int) -> str:
    """Return the table of detectors."""
    rows = own_rows(own)
    rows |= measure(plug_in_cusum, streams, ("CUSUM h 6, estimated rate",))
    python = os.environ.get("LLMOPS_RIVER_PYTHON")
    if python is not None:
        ran = subprocess.run(
            [python, str(Path(__file__).resolve()), "--peers", "--streams", str(streams)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        rows |= json.loads(ran.stdout)
    columns = list(next(iter(rows.values())))
    lines = ["| detector | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, figures in rows.items():
        cells = [_cell(column, figures[column]) for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(column: str, value: Any) -> str:
    return str(value) if isinstance(value, str) else f"{value:,.0f}" if "delay" in column else f"{value:.3f}"


# --- Canaries --------------------------------------------------------------------------------------------------------


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    folder = os.environ.get("LLMOPS_BENCH_DATA")
    file = Path(folder or ".") / "drift" / f"{name}.jsonl.gz"
    if folder is None or not file.exists():
        return
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def identity_table(runs: int) -> str:
    """Return how often half a roll-out is found, over runs drawn from the distributions of the synthetic canary."""
    from llmops_sdk.drift import Canary

    old: dict[str, Counter[str]] = defaultdict(Counter)
    new: dict[str, Counter[str]] = defaultdict(Counter)
    noisy: dict[str, Counter[str]] = defaultdict(Counter)
    rows = list(rows_of("canary_synthetic"))
    if not rows:
        return "(no data)"
    for row in rows:
        (noisy if row["day"] == 9 else old if row["day"] < 27 else new)[row["prompt"]].update(row["tokens"])

    def detected(seed: int, change: int) -> int | None:
        draw = random.Random(f"identity/{seed}")
        bad, empty = draw.randrange(1, 27), draw.sample(range(10, 26), 2)
        samples: list[tuple[int, str, list[str]]] = []
        for day in range(40):
            model = new if day >= change else noisy if day == bad else old
            n = 100 if day == 0 else 0 if day in empty else 10
            samples += [
                (day, prompt, draw.choices(list(counts), list(counts.values()), k=n))
                for prompt, counts in model.items()
            ]
        return Canary.identity(samples).features[0].details["detected_day"]

    changed = [detected(seed, 27) for seed in range(runs)]
    steady = [detected(10**6 + seed, 99) for seed in range(runs)]
    by_30 = sum(one is not None and 27 <= one <= 30 for one in changed) / runs
    early = sum(one is not None and one < 27 for one in changed) / runs
    file = Canary.identity(rows).features[0].details
    return (
        "| | found by day 30 | false alarm before | false alarm in 40 days | the file itself |\n"
        "|---|---|---|---|---|\n"
        f"| {runs} runs each | {by_30:.3f} | {early:.3f} | {sum(one is not None for one in steady) / runs:.3f} | "
        f"day {file['detected_day']} |"
    )


def _paired_rows(task: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows_of(f"model_update_{task}"):
        rows = found[row["model"]]
        letter = re.match(r"\s*\(?([A-Z])\)", row["answer"] or "") if task == "opinion" else None
        rows.append({"item_id": len(rows), "score": row["score"], "answer": letter and letter.group(1)})
    return found


def quality_table(shuffles: int) -> str:
    """Return after how many items a real update is certain, and how often an update without effect is found."""
    from llmops_sdk.drift import Canary

    lines = ["| task | models | median stop, α .01 | found | score | answered |", "|---|---|---|---|---|---|"]
    for task in ("prime", "opinion"):
        rows = _paired_rows(task)
        for before, after in (("gpt-4-0314", "gpt-4-0613"), ("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613")):
            if before not in rows:
                continue
            old, new = ([one["score"] for one in rows[model]] for model in (before, after))
            stops = [Canary.quality(old, new, seed=seed).features[0].details["stopped_at"] for seed in range(shuffles)]
            known = [math.inf if one is None else one for one in stops]
            whole = {one.signal: one for one in Canary.quality(rows[before], rows[after]).features}
            answered = whole["answered"]
            share = sum(one < math.inf for one in known) / shuffles
            note = f"{answered.effect:+.4f} ({answered.status})" if task == "opinion" else ""
            lines.append(
                f"| {task} | {before} → {after} | {median(known):.0f} | {share:.2f} | "
                f"{whole['score'].effect:+.4f} | {note} |"
            )
    rows = _paired_rows("prime")
    if rows:
        alarms = 0
        for seed in range(shuffles):
            draw = random.Random(f"null/{seed}")
            pairs = [
                (one["score"], other["score"]) if draw.random() < 0.5 else (other["score"], one["score"])
                for one, other in zip(rows["gpt-4-0314"], rows["gpt-4-0613"], strict=True)
            ]
            report = Canary.quality([one for one, _ in pairs], [one for _, one in pairs], alpha=0.05, seed=seed)
            alarms += report.features[0].status == "drifted"
        lines.append(
            f"\nSides swapped at random, looked at after each item, α .05: {alarms / shuffles:.3f} of {shuffles}."
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=400, help="streams for other detectors; runs of canaries")
    parser.add_argument("--own", type=int, default=2_000, help="streams for our own monitor")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--peers", action="store_true", help="only river's detectors, as JSON")
    given = parser.parse_args()
    if given.peers:
        print(json.dumps(peers(given.streams)))
        return
    page = (
        f"## Streams and canaries\n\nBernoulli scores; {given.own:,} streams for false alarms in 2,000 scores "
        f"({given.streams} for other detectors), half as many for delays (reference 1,000; found within 3,000). "
        "Alarms before a change are not counted as found.\n\n"
        f"{_WHY.format(bounds=bounds())}\n\n![Found, by scores after the change](drift_delays.svg)\n\n"
        f"{stream_table(given.streams, given.own)}\n\n### Identity canary: half of the traffic from day 27\n\n"
        "![Days of the synthetic canary](drift_canary.svg)\n\n"
        f"{identity_table(given.streams)}\n\n### Quality canary: published answers\n\n{quality_table(given.streams)}\n"
    )
    if given.write:
        HERE.joinpath("drift_streams.md").write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)


if __name__ == "__main__":
    main()
