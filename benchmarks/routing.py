"""Measure the router on data sets whose models were all scored: 5-fold cross-validation, beside simpler rules.

Run with the folder of the data in LLMOPS_BENCH_DATA (its subfolder `router` has the files); it writes routing.md.
Nothing that is scored was used to fit: each prompt is predicted by a router that was fitted on the other four folds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from llmops_sdk.embeddings import open_embedder
from llmops_sdk.routing import Router
from llmops_sdk.routing.decisions._curve import choices
from llmops_sdk.routing.features._read import read_features

FOLDS = 5


def rows_of(folder: Path, *names: str) -> list[dict[str, Any]]:
    """Return the rows of some files."""
    found: list[dict[str, Any]] = []
    for name in names:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            found += [{**json.loads(line), "set": name} for line in lines]
    return found


def columns(rows: list[dict[str, Any]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the models, the scores and the costs; the cheapest model first where costs are known."""
    arms = [
        row["arms"]
        if "arms" in row
        else {model: {"score": score, "cost": np.nan} for model, score in row["scores"].items()}
        for row in rows
    ]
    models = list(arms[0])
    if "arms" in rows[0]:
        models.sort(key=lambda model: statistics.mean(one[model]["cost"] for one in arms))
    scores = np.array([[one[model]["score"] for model in models] for one in arms])
    return models, scores, np.array([[one[model]["cost"] for model in models] for one in arms])


def out_of_fold(rows: list[dict[str, Any]], models: list[str], scores: np.ndarray, costs: np.ndarray) -> Any:
    """Return for each prompt the predicted scores, the chosen model per quality, and the familiarity."""
    fold = np.random.default_rng(7).integers(0, FOLDS, len(rows))
    predicted = np.full(scores.shape, np.nan)
    chosen: dict[float, np.ndarray] = {quality: np.zeros(len(rows), int) for quality in (0.95, 0.98, 0.99, 0.995)}
    for one in range(FOLDS):
        inside, outside = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        router = Router.fit(
            [rows[at]["prompt"] for at in outside],
            {model: scores[outside, column].tolist() for column, model in enumerate(models)},
            None if np.isnan(costs).all() else {model: costs[outside, at].tolist() for at, model in enumerate(models)},
            [rows[at]["kind"] for at in outside],
        )
        features = read_features(open_embedder("static"), [rows[at]["prompt"] for at in inside])
        predicted[inside] = router._fitted.quality.predict(features, router._fitted.believed).quality
        for quality, picks in chosen.items():
            picks[inside] = [models.index(router.choose(rows[at]["prompt"], quality=quality).model) for at in inside]
        print(f"  fold {one + 1} of {FOLDS}", flush=True)
    return predicted, chosen


def pgr_area(order: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> tuple[float, float, float]:
    """Return APGR, CPT50 and CPT80 of an order of the prompts, those for the strong model first."""
    ranks = np.argsort(-order, kind="stable")
    gain = np.concatenate([[0.0], np.cumsum(strong[ranks] - weak[ranks])])
    pgr = gain / (strong.sum() - weak.sum())
    share = np.linspace(0, 1, len(pgr))

    def first(level: float) -> float:
        return float(share[np.argmax(pgr >= level)])

    return float(np.trapezoid(pgr, share)), first(0.5), first(0.8)


def nearest_gain(rows: list[dict[str, Any]], gain: np.ndarray, count: int = 100) -> np.ndarray:
    """Return the mean gain of the nearest prompts of the other folds: the plain kNN router."""
    fold = np.random.default_rng(7).integers(0, FOLDS, len(rows))
    vectors = read_features(open_embedder("static"), [row["prompt"] for row in rows]).vectors
    found = np.zeros(len(rows))
    for one in range(FOLDS):
        inside, outside = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        for begin in range(0, len(inside), 512):
            some = inside[begin : begin + 512]
            near = np.argpartition(vectors[some] @ vectors[outside].T, -count, axis=1)[:, -count:]
            found[some] = gain[outside][near].mean(axis=1)
    return found


def pairs(folder: Path, write: Callable[[str], None]) -> None:
    """Measure two models: which prompts need the stronger one."""
    rows = rows_of(folder, "mmlu_dev", "gsm8k_dev")
    models, scores, costs = columns(rows)
    weak, strong = (0, 1) if scores[:, 0].mean() < scores[:, 1].mean() else (1, 0)
    predicted, _ = out_of_fold(rows, models, scores, costs)
    gain = scores[:, strong] - scores[:, weak]
    orders = {
        "random": np.random.default_rng(0).random(len(rows)),
        "prompt length": np.array([len(row["prompt"]) for row in rows], float),
        "kNN, k = 100": nearest_gain(rows, gain),
        "llmops": predicted[:, strong] - predicted[:, weak],
    }
    sets = np.array([row["set"] for row in rows])
    write("## Two models: which prompts need the stronger one\n")
    write(f"{models[weak]} and {models[strong]}, MMLU and GSM8K, cross-validated. APGR: 0.5 is random.\n")
    write("| order | prompts | APGR | CPT50 | CPT80 |\n|---|---|---|---|---|")
    for name, order in orders.items():
        for what, mask in (("all", np.ones(len(rows), bool)), *((one, sets == one) for one in sorted(set(sets)))):
            area, half, most = pgr_area(order[mask], scores[mask, weak], scores[mask, strong])
            write(f"| {name} | {what}, {int(mask.sum())} | {area:.3f} | {half:.3f} | {most:.3f} |")
    write("")


def four(folder: Path, write: Callable[[str], None]) -> None:
    """Measure four models with real costs."""
    rows = rows_of(folder, "four_models_cost_dev")
    models, scores, costs = columns(rows)
    predicted, chosen = out_of_fold(rows, models, scores, costs)
    every = np.arange(len(rows))
    write("## Four models with real costs\n")
    write(f"{len(rows)} prompts, cross-validated. Costs in USD per thousand calls.\n")
    write("| rule | score | cost | to the dearest model's cost |\n|---|---|---|---|")
    dearest = costs.mean(axis=0).max()

    def line(name: str, picks: np.ndarray) -> None:
        score, cost = scores[every, picks].mean(), costs[every, picks].mean()
        write(f"| {name} | {score:.4f} | {cost * 1000:.4f} | {cost / dearest:.1%} |")

    for at, model in enumerate(models):
        line(f"always {model}", np.full(len(rows), at))
    line("random", np.random.default_rng(0).integers(0, len(models), len(rows)))
    for quality, picks in chosen.items():
        line(f"llmops, quality = {quality}", picks)
    for price in (0.5, 2.0, 8.0, 40.0):
        line(
            f"llmops, 1 USD is worth {price} of score",
            choices(predicted, np.broadcast_to(costs.mean(axis=0), costs.shape), price),
        )
    write("")


def nine(folder: Path, write: Callable[[str], None]) -> None:
    """Measure nine models without costs: the best predicted one."""
    rows = rows_of(folder, "nine_models_dev")
    models, scores, costs = columns(rows)
    predicted, _ = out_of_fold(rows, models, scores, costs)
    every = np.arange(len(rows))
    write("## Nine models, whatever they cost\n")
    write(f"{len(rows)} prompts, cross-validated.\n")
    write("| rule | score |\n|---|---|")
    best = int(scores.mean(axis=0).argmax())
    write(f"| random | {scores.mean():.4f} |\n| best single, {models[best]} | {scores[:, best].mean():.4f} |")
    write(f"| llmops, the best predicted model | {scores[every, predicted.argmax(axis=1)].mean():.4f} |")
    write(f"| oracle | {scores.max(axis=1).mean():.4f} |\n")


def decisions(write: Callable[[str], None]) -> None:
    """Measure how long a decision takes with 10,000 scored prompts."""
    draw = np.random.default_rng(0)
    words = [f"w{number}" for number in range(5_000)]
    prompts = [" ".join(draw.choice(words, 40)) for _ in range(10_000)]
    scores = {"small": draw.random(10_000).tolist(), "large": draw.random(10_000).tolist()}
    router = Router.fit(prompts, scores, {"small": 1e-4, "large": 1e-2})
    taken = []
    for prompt in prompts[:1_000]:
        begin = time.perf_counter()
        router.choose(prompt)
        taken.append((time.perf_counter() - begin) * 1e6)
    write("## The time of a decision\n")
    middle, most = statistics.median(taken), sorted(taken)[990]
    write(f"With 10,000 scored prompts, of 40 words: median {middle:.0f} µs, 99th percentile {most:.0f} µs.\n")


def main() -> None:
    """Run what is named, or all."""
    parts = {"pairs": pairs, "four": four, "nine": nine}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, "decisions", []], help="default: all")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    folder = Path(os.environ["LLMOPS_BENCH_DATA"]) / "router"
    lines = ["# The router, measured\n", "Written by `benchmarks/routing.py`.\n"]
    for name in given.parts or [*parts, "decisions"]:
        print(name, flush=True)
        if name == "decisions":
            decisions(lines.append)
        else:
            parts[name](folder, lines.append)
        given.output.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
