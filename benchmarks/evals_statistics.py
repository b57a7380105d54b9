"""What the statistics of evaluations are worth: reference values, coverage, false alarms, power, speed.

Run it with `LLMOPS_BENCH_DATA=FOLDER python benchmarks/evals_statistics.py`. Without the folder the rows that need data
are left out. It needs numpy, takes a minute and prints a markdown table; `run` gives the rows to other programs.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from llmops_sdk.evals import stats

RUNS = 2_000
STREAMS = 400


class Row(NamedTuple):
    """A figure with what was asked for."""

    what: str
    measured: str
    asked: str
    met: bool


def run(folder: Path | None) -> list[Row]:
    """Return all rows; without a folder of data only those of simulations and of speed."""
    rows: list[Row] = []
    if folder is not None and (folder / "evals").is_dir():
        rows += [*reference(folder), *coverage(folder), *stops(folder)]
    return [*rows, *nulls(), *peeked(), *power(), *clusters(), *speed()]


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def primes(folder: Path, old: str, new: str) -> tuple[list[int], list[float], list[float]]:
    scores: dict[str, dict[int, float]] = {}
    for row in read(folder / "drift" / "model_update_prime.jsonl.gz"):
        scores.setdefault(row["model"], {})[int(row["id"])] = row["score"]
    ids = sorted(scores[old])
    return ids, [scores[old][item] for item in ids], [scores[new][item] for item in ids]


def pair_values(folder: Path) -> tuple[list[float], list[float], list[dict[str, Any]]]:
    """Return the value of the first response for people and for the judge: 1, 0.5 or 0."""
    pairs = read(folder / "evals" / "judge_pairs_dev.jsonl.gz")
    human = [{1: 1.0, 2: 0.0}.get(Counter(row["humans"]).most_common(1)[0][0], 0.5) for row in pairs]
    return human, [{"1": 1.0, "2": 0.0}.get(row["judge_gpt35"], 0.5) for row in pairs], pairs


def reference(folder: Path) -> Iterator[Row]:
    expected = json.loads((folder / "evals" / "statistics_reference.json").read_text("utf-8"))
    found: list[tuple[float, float]] = []
    for name, values in expected.items():
        if name.startswith("prime "):
            found += prime_values(folder, *name.removeprefix("prime ").split(" -> "), values)
    human, judge, pairs = pair_values(folder)
    values, result = expected["ppi++ first 100 rows labelled"], stats.ppi(human[:100], judge[:100], judge[100:])
    found += [(result.lam, values["lam"]), (result.estimate, values["theta"]), (result.standard_error, values["se"])]
    found += [(result.judge_only, values["judge_only"]), *zip(result.human_only[:2], values["human_only"], strict=True)]
    values, codes = expected["cohen kappa valid verdicts"], {"1": 1.0, "2": 0.0, "Tie": 0.5}
    agreed = stats.agreement(human, [codes.get(row["judge_gpt35"]) for row in pairs])
    found += [(agreed.share, values["agree"]), (agreed.kappa or 0.0, values["kappa"]), (agreed.items, values["n"])]
    alpha = stats.agreement(*zip(*(row["humans"] for row in pairs), strict=True)).alpha
    found.append((alpha or 0.0, expected["krippendorff alpha nominal 3 humans"]))
    worst = max(abs(one - other) for one, other in found)
    yield Row(f"largest deviation from {len(found)} reference values", f"{worst:.1e}", "1e-6", worst <= 1e-6)


def prime_values(folder: Path, old: str, new: str, values: dict[str, Any]) -> list[tuple[float, float]]:
    ids, before, after = primes(folder, old, new)
    plain = stats.paired_difference(before, after)
    clustered = stats.paired_difference(before, after, [item // 10 for item in ids])
    process, reached = stats.EProcess(), {20: 0, 100: 0}
    for index, (one, other) in enumerate(zip(before, after, strict=True), 1):
        process.update(other - one)
        reached = {bound: seen or index * (process.e_value >= bound) for bound, seen in reached.items()}
    return [
        (plain.difference, values["diff"]),
        (plain.standard_error, values["paired_se"]),
        (clustered.standard_error, values["cluster_se_id_div_10_CR0"]),
        (plain.p_value / values["mcnemar_exact_p"], 1.0),
        *zip(stats.wilson_interval(sum(before), len(ids)), values["wilson_old"], strict=True),
        *zip(stats.wilson_interval(sum(after), len(ids)), values["wilson_new"], strict=True),
        (process.log_e, values["logW_end"]),
        *((reached[bound], values[f"e_process_first_index_W_ge_{bound}"]) for bound in (20, 100)),
    ]


def coverage(folder: Path) -> Iterator[Row]:
    human, judge, _ = (np.array(each) for each in pair_values(folder))
    truth, generator = human.mean(), np.random.default_rng(1)
    for labels in (25, 50, 100, 200):
        results: list[stats.PPIEstimate] = []
        for _ in range(RUNS):
            chosen, others = generator.integers(0, len(human), labels), generator.integers(0, len(human), 400)
            results.append(stats.ppi(human[chosen], judge[chosen], judge[others]))
        share = sum(low <= truth <= high for _, _, (low, high), *_ in results) / RUNS
        asked = "93 to 97 %" if labels >= 50 else "none"
        yield Row(f"PPI++, {labels} labels, {RUNS:,} resamples: coverage", f"{share:.1%}", asked, 0.93 <= share <= 0.97)
        ratio = float(np.std([one.estimate for one in results]) / np.std([one.human_only.mean for one in results]))
        if labels == 100:
            yield Row("PPI++, 100 labels: sd beside that of labels alone", f"{ratio:.2f}", "≤ .90", ratio <= 0.9)


def stops(folder: Path) -> Iterator[Row]:
    _, before, after = primes(folder, "gpt-4-0314", "gpt-4-0613")
    differences, generator = np.array(after) - np.array(before), np.random.default_rng(2)
    seen = [first_rejection(generator.permutation(differences), 0.01) or 1_000 for _ in range(STREAMS)]
    yield Row(
        "e-process on gpt-4's primes, shuffled 400 times: median stop at alpha .01",
        f"{median(seen):.0f} items",
        "≤ 82",
        median(seen) <= 82,
    )


def first_rejection(stream: np.ndarray, alpha: float, **options: Any) -> int | None:
    process = stats.EProcess(**options)
    for index, value in enumerate(stream, 1):
        process.update(float(value))
        if process.rejects(alpha):
            return index
    return None


def answers(generator: np.random.Generator, n: int, lost: float, gained: float) -> tuple[np.ndarray, np.ndarray]:
    same = 1 - lost - gained
    kinds = generator.choice(4, size=n, p=[lost, gained, 0.7 * same, 0.3 * same])
    return np.isin(kinds, (0, 2)).astype(float), np.isin(kinds, (1, 2)).astype(float)


def nulls() -> Iterator[Row]:
    generator = np.random.default_rng(3)

    def flips() -> float:
        old = generator.normal(size=40)
        new = old + generator.normal(size=40)
        return stats.paired_difference(old, new, method="permutation", resamples=999).p_value

    def divisions() -> float:
        noise = generator.normal(size=40)
        return stats.permutation_test(noise[:20], noise[20:], resamples=999).p_value

    def student() -> float:
        return stats.paired_difference(*answers(generator, 200, 0.12, 0.12), method="t").p_value

    tests: dict[str, Callable[[], float]] = {
        "paired permutation test": flips,
        "permutation test of two samples": divisions,
        "paired t of right and wrong answers": student,
    }
    for name, p_value in tests.items():
        share = sum(p_value() <= 0.05 for _ in range(RUNS)) / RUNS
        what = f"{name}, {RUNS:,} null comparisons: false positives at .05"
        yield Row(what, f"{share:.1%}", "3.5 to 6.5 %", 0.035 <= share <= 0.065)


def peeked() -> Iterator[Row]:
    generator = np.random.default_rng(4)
    for name, options in (("any change", {}), ("a loss", {"alternative": "less"})):
        streams = generator.choice([-1.0, 0.0, 1.0], size=(STREAMS, 1_000), p=[0.12, 0.76, 0.12])
        share = sum(first_rejection(stream, 0.05, **options) is not None for stream in streams) / STREAMS
        what = f"gate for {name}, looked at after each of 1,000 items, {STREAMS} null streams: false fails at .05"
        yield Row(what, f"{share:.1%}", "≤ 5 %", share <= 0.05)


def power() -> Iterator[Row]:
    generator = np.random.default_rng(5)
    # From .8 to .7 with a correlation of .5.
    samples = [answers(generator, 500, 0.148, 0.048) for _ in range(STREAMS)]
    share = sum(stats.paired_difference(*sample).p_value <= 0.05 for sample in samples) / STREAMS
    yield Row("−.10 on 500 paired answers (correlation .5): found at .05", f"{share:.1%}", "≥ 90 %", share >= 0.9)


def clusters() -> Iterator[Row]:
    generator = np.random.default_rng(6)
    labels = np.repeat(np.arange(40), 10)
    new = generator.normal(size=40)[labels] + generator.normal(size=400)
    by_hand = new.reshape(40, 10).mean(axis=1).std(ddof=1) / np.sqrt(40)
    ratio = stats.paired_difference(np.zeros(400), new, labels).standard_error / by_hand
    yield Row(
        "clustered standard error by that of the cluster means", f"{ratio:.3f}", ".90 to 1.10", abs(ratio - 1) <= 0.1
    )


def speed() -> Iterator[Row]:
    generator = np.random.default_rng(7)
    old, new = generator.random((2, 1_000))
    times: list[float] = []
    for _ in range(5):
        begin = time.perf_counter()
        stats.bootstrap_mean(new - old)
        times.append(time.perf_counter() - begin)
    best = min(times) * 1e3
    yield Row("paired bootstrap, 10,000 resamples of 1,000 items", f"{best:.0f} ms", "≤ 200 ms", best <= 200)
    begin = time.perf_counter()
    stats.paired_difference(old, new, method="bootstrap")
    both = (time.perf_counter() - begin) * 1e3
    yield Row("the same with the p-value of 10,000 sign flips", f"{both:.0f} ms", "none", met=True)
    process, values = stats.EProcess(), generator.choice([-1.0, 0.0, 1.0], size=10_000)
    begin = time.perf_counter()
    for value in values:
        process.update(value)
    each = (time.perf_counter() - begin) / len(values) * 1e6
    yield Row("e-process: one item", f"{each:.0f} µs", "none", met=True)


def main() -> int:
    folder = os.environ.get("LLMOPS_BENCH_DATA")
    rows = run(Path(folder) if folder else None)
    print("| figure | measured | asked | met |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.measured} | {row.asked} | {'yes' if row.met else 'no'} |")
    return 0 if all(row.met or row.asked == "none" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
