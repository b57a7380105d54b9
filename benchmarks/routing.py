"""Measure the router on data sets whose models were all scored: in five folds, beside simpler rules and peers.

Run with the folder of the data in LLMOPS_BENCH_DATA (its subfolder `router` has the files); it writes routing.md.
Nothing that is scored was used to fit: each prompt is predicted by a router that was fitted on the other four folds.
The weights and penalties of the router were chosen on the half of the two models' prompts that `chosen_half` marks, in
other folds (seeds 1 and 2) than these; the tables also show the other half by itself.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from routing_online import online
from routing_peers import ask, version_of

from llmops_sdk.embeddings import open_embedder, vocabulary
from llmops_sdk.routing import Router

FOLDS = 5
QUALITIES = (0.95, 0.98, 0.99, 0.995)
PRICES = (0.5, 2.0, 8.0, 40.0)
Rows = list[dict[str, Any]]


def rows_of(folder: Path, *names: str) -> Rows:
    """Return the rows of some files."""
    found: Rows = []
    for name in names:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            found += [{**json.loads(line), "set": name} for line in lines]
    return found


def columns(rows: Rows) -> tuple[list[str], np.ndarray, np.ndarray]:
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


def chosen_half(rows: Rows) -> np.ndarray:
    """Return which prompts the weights of the router were chosen on."""
    return np.array([hashlib.sha256(f"half{row['prompt']}".encode()).digest()[0] % 2 == 0 for row in rows])


def random_folds(rows: Rows) -> np.ndarray:
    """Return the fold of each row."""
    return np.random.default_rng(7).integers(0, FOLDS, len(rows))


def folds_of_kinds(rows: Rows) -> np.ndarray:
    """Return the fold of each row, where all rows of a kind are in one fold."""
    kinds = sorted({row["kind"] for row in rows})
    place = dict(zip(kinds, np.random.default_rng(7).permutation(len(kinds)) % FOLDS, strict=True))
    return np.array([place[row["kind"]] for row in rows])


def out_of_fold(rows: Rows, data: tuple[list[str], np.ndarray, np.ndarray], fold: np.ndarray) -> dict[str, np.ndarray]:
    """Return what routers of other folds predict of each prompt, told its kind or not, and choose for it."""
    models, scores, costs = data
    found = {name: np.full(scores.shape, np.nan) for name in ("text", "kind")}
    found |= {f"{quality}": np.zeros(len(rows), int) for quality in QUALITIES}
    suspicious: set[str] = set()
    for one in range(FOLDS):
        inside, outside = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        router = Router.fit(
            [rows[at]["prompt"] for at in outside],
            {model: scores[outside, column].tolist() for column, model in enumerate(models)},
            None if np.isnan(costs).all() else {model: costs[outside, at].tolist() for at, model in enumerate(models)},
            [rows[at]["kind"] for at in outside],
        )
        suspicious |= {f"{found.kind}: {found.model}" for found in router.report().suspicious}
        for at in inside:
            for name, kind in (("text", ""), ("kind", rows[at]["kind"])):
                expected = router.choose(rows[at]["prompt"], kind=kind).expected_quality
                found[name][at] = [expected.get(model, np.nan) for model in models]
            if not np.isnan(costs).all():
                for quality in QUALITIES:
                    chosen = router.choose(rows[at]["prompt"], quality=quality).model
                    found[f"{quality}"][at] = models.index(chosen)
        print(f"  fold {one + 1} of {FOLDS}", flush=True)
    return {**found, "suspicious": np.array(sorted(suspicious))}


def pgr_area(order: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> tuple[float, float, float]:
    """Return APGR, CPT50 and CPT80 of an order of the prompts, those for the strong model first."""
    ranks = np.argsort(-order, kind="stable")
    gain = np.concatenate([[0.0], np.cumsum(strong[ranks] - weak[ranks])])
    pgr = gain / (strong.sum() - weak.sum())
    share = np.linspace(0, 1, len(pgr))

    def first(level: float) -> float:
        return float(share[np.argmax(pgr >= level)])

    return float(np.trapezoid(pgr, share)), first(0.5), first(0.8)


def nearest_gain(vectors: np.ndarray, gain: np.ndarray, fold: np.ndarray, count: int = 100) -> np.ndarray:
    """Return the mean gain of the nearest prompts of the other folds: the plain kNN router. Also of several gains."""
    found = np.zeros(gain.shape)
    for one in range(FOLDS):
        inside, outside = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        for begin in range(0, len(inside), 512):
            some = inside[begin : begin + 512]
            near = np.argpartition(vectors[some] @ vectors[outside].T, -count, axis=1)[:, -count:]
            found[some] = gain[outside][near].mean(axis=1)
    return found


def routes_of_kinds(rows: Rows, vectors: np.ndarray, fold: np.ndarray) -> list[str | None]:
    """Return the kind to which semantic-router sends each prompt."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/arrays.npz", vectors=vectors)
        task = {"arrays": f"{folder}/arrays.npz", "fold": fold.tolist(), "kinds": [row["kind"] for row in rows]}
        return ask("semantic-router", **task)["routes"]


def means_of_routes(rows: Rows, routes: list[str | None], values: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the mean of some values over the prompts of other folds whose kind is the route of a prompt."""
    kinds = np.array([row["kind"] for row in rows])
    found = np.zeros(values.shape)
    for one in range(FOLDS):
        outside = fold != one
        means = {kind: values[outside & (kinds == kind)].mean(axis=0) for kind in set(kinds[outside])}
        for at in np.flatnonzero(fold == one):
            found[at] = means.get(routes[at], values[outside].mean(axis=0))
    return found


def vectors_of(rows: Rows) -> np.ndarray:
    """Return the vectors of the prompts."""
    return np.asarray(open_embedder("static").embed([row["prompt"] for row in rows]))


def pairs(folder: Path, write: Callable[[str], None]) -> None:
    """Measure two models: which prompts need the stronger one."""
    rows = rows_of(folder, "mmlu_dev", "gsm8k_dev")
    data = columns(rows)
    models, scores, _ = data
    weak, strong = (0, 1) if scores[:, 0].mean() < scores[:, 1].mean() else (1, 0)
    gain = scores[:, strong] - scores[:, weak]
    fold, vectors = random_folds(rows), vectors_of(rows)
    predicted, unseen = out_of_fold(rows, data, fold), out_of_fold(rows, data, folds_of_kinds(rows))
    length = np.array([len(row["prompt"]) for row in rows], float)
    sets, half = np.array([row["set"] for row in rows]), chosen_half(rows)
    every, mmlu = np.ones(len(rows), bool), sets == "mmlu_dev"
    parts = {"all": every, "all, the half that chose nothing": ~half, "MMLU": mmlu, "GSM8K": ~mmlu}
    seen = {
        "random": np.random.default_rng(0).random(len(rows)),
        "prompt length": length,
        "kNN, k = 100": nearest_gain(vectors, gain, fold),
        "semantic-router, a route a kind": means_of_routes(rows, routes_of_kinds(rows, vectors, fold), gain, fold),
        "llmops": predicted["text"][:, strong] - predicted["text"][:, weak],
        "llmops, told the kind": predicted["kind"][:, strong] - predicted["kind"][:, weak],
    }
    new = {
        "prompt length": length,
        "kNN, k = 100": nearest_gain(vectors, gain, folds_of_kinds(rows)),
        "llmops": unseen["text"][:, strong] - unseen["text"][:, weak],
    }
    write("## Two models: which prompts need the stronger one\n")
    write(f"{models[weak]} and {models[strong]}, MMLU and GSM8K, cross-validated. APGR: 0.5 is random. New kinds: all ")
    write("prompts of a kind are in one fold, so that the router has seen none of them. semantic-router ")
    write(f"{version_of('semantic-router')}.\n")
    write(f"Flagged as graded wrongly: {', '.join(predicted['suspicious'].tolist()) or 'nothing'}.\n")
    write("| order | prompts | APGR | CPT50 | CPT80 |\n|---|---|---|---|---|")
    tables = [(seen, parts), (new, {"new kinds of MMLU": mmlu, "new kinds, the half that chose nothing": mmlu & ~half})]
    for orders, masks in tables:
        for name, order in orders.items():
            for what, mask in masks.items():
                area, first, most = pgr_area(order[mask], scores[mask, weak], scores[mask, strong])
                write(f"| {name} | {what}, {int(mask.sum())} | {area:.3f} | {first:.3f} | {most:.3f} |")
    write("")


def four(folder: Path, write: Callable[[str], None]) -> None:
    """Measure four models with real costs."""
    rows = rows_of(folder, "four_models_cost_dev")
    data = models, scores, costs = columns(rows)
    fold, vectors = random_folds(rows), vectors_of(rows)
    predicted = out_of_fold(rows, data, fold)
    every, spent = np.arange(len(rows)), costs.mean(axis=0)
    write("## Four models with real costs\n")
    write(f"{len(rows)} prompts, cross-validated. Costs in USD per thousand calls.\n")
    write("| rule | score | cost | to the dearest model's cost |\n|---|---|---|---|")

    def line(name: str, picks: np.ndarray) -> None:
        score, cost = scores[every, picks].mean(), costs[every, picks].mean()
        write(f"| {name} | {score:.4f} | {cost * 1000:.4f} | {cost / spent.max():.1%} |")

    for at, model in enumerate(models):
        line(f"always {model}", np.full(len(rows), at))
    line("random", np.random.default_rng(0).integers(0, len(models), len(rows)))
    others = {
        "kNN, k = 40": nearest_gain(vectors, scores, fold, 40),
        "semantic-router, a route a kind": means_of_routes(rows, routes_of_kinds(rows, vectors, fold), scores, fold),
    }
    for name, values in others.items():
        for price in PRICES:
            line(f"{name}, 1 USD is worth {price} of score", (values - price * spent).argmax(axis=1))
    for quality in QUALITIES:
        line(f"llmops, quality = {quality}", predicted[f"{quality}"])
    for name in ("text", "kind"):
        for price in PRICES:
            told = ", told the kind" if name == "kind" else ""
            line(f"llmops{told}, 1 USD is worth {price} of score", (predicted[name] - price * spent).argmax(axis=1))
    write("")


def nine(folder: Path, write: Callable[[str], None]) -> None:
    """Measure nine models: the best predicted one, and the best at a price of their parameters."""
    rows = rows_of(folder, "nine_models_dev")
    data = models, scores, _ = columns(rows)
    fold, every = random_folds(rows), np.arange(len(rows))
    predicted, near = out_of_fold(rows, data, fold), nearest_gain(vectors_of(rows), scores, fold, 40)
    sizes = np.array([size_of(model) for model in models])
    write("## Nine models\n")
    write(f"{len(rows)} prompts, cross-validated. The files have no costs: the size of a model in billions of ")
    write("parameters, as its name says, stands for them.\n")
    write(f"Flagged as graded wrongly: {', '.join(predicted['suspicious'].tolist()) or 'nothing'}.\n")
    write("| rule | score | size | to the best single model's size |\n|---|---|---|---|")
    best = int(scores.mean(axis=0).argmax())

    def line(name: str, picks: np.ndarray) -> None:
        size = sizes[picks].mean()
        write(f"| {name} | {scores[every, picks].mean():.4f} | {size:.1f} | {size / sizes[best]:.0%} |")

    line("random", np.random.default_rng(0).integers(0, len(models), len(rows)))
    line(f"best single, {models[best]}", np.full(len(rows), best))
    line("kNN, k = 40, the best predicted model", near.argmax(axis=1))
    for name in ("text", "kind"):
        told = ", told the task" if name == "kind" else ""
        for price in (0.0, 0.001, 0.002, 0.004):
            what = "the best predicted model" if not price else f"1 billion is worth {price} of score"
            line(f"llmops{told}, {what}", (predicted[name] - price * sizes).argmax(axis=1))
    line("oracle, the best of each prompt", scores.argmax(axis=1))
    write("")


def size_of(model: str) -> float:
    """Return the parameters that a model's name says, in billions."""
    parts = [part[:-1] for part in model.replace("_", "-").split("-") if part.endswith("b")]
    numbers = [part.split("x") for part in parts if part.replace("x", "").replace(".", "").isdigit()]
    return float(np.prod([float(one) for one in numbers[-1]]))


def decisions(_: Path, write: Callable[[str], None]) -> None:
    """Measure how long a decision takes with 10,000 scored prompts."""
    draw = np.random.default_rng(0)
    words = sorted(vocabulary())
    prompts = [" ".join(draw.choice(words, 40)) for _ in range(10_000)]
    scores = {"small": draw.random(10_000).tolist(), "large": draw.random(10_000).tolist()}
    router = Router.fit(prompts, scores, {"small": 1e-4, "large": 1e-2})
    wall, processor = [], []
    for prompt in prompts[:2_000]:
        begin, used = time.perf_counter(), time.thread_time()
        router.choose(prompt)
        processor.append((time.thread_time() - used) * 1e6)
        wall.append((time.perf_counter() - begin) * 1e6)
    write("## The time of a decision\n")
    write(f"With 10,000 scored prompts of 40 words, in µs; the load average was {os.getloadavg()[0]:.1f}.\n")
    write("| | least | median | 99th percentile |\n|---|---|---|---|")
    for name, taken in (("elapsed", wall), ("processor", processor)):
        taken.sort()
        write(f"| {name} | {taken[0]:.0f} | {statistics.median(taken):.0f} | {taken[1_980]:.0f} |")
    write("")


def main() -> None:
    """Run what is named, or all."""
    parts = {"pairs": pairs, "four": four, "nine": nine, "online": online, "decisions": decisions}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="default: all")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    folder = Path(os.environ["LLMOPS_BENCH_DATA"]) / "router"
    lines = ["# The router, measured\n", "Written by `benchmarks/routing.py`.\n"]
    for name in given.parts or parts:
        print(name, flush=True)
        parts[name](folder, lines.append)
        given.output.write_text("\n".join(line.rstrip(" ") for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
