"""Measure routers that learn while they serve: they see the score of the model that they chose, and no other."""

from __future__ import annotations

import gzip
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from routing_peers import ask, version_of

from llmops_sdk.embeddings import open_embedder
from llmops_sdk.routing import OnlineRouter

__all__ = ["online"]

ORDERS = 5
DIRECTIONS = 25
CEILINGS = {"": None, ", ceiling 2e-3": 2e-3, ", ceiling 6e-4": 6e-4}
REGRESSED = 1
"""The second cheapest model, which is the cheapest good one, gets worse without a word."""


def simple_rule(seen: np.ndarray, costs: np.ndarray, seed: int) -> list[int]:
    """Return the choices of ten lines: each model ten times, then the cheapest whose mean and error are good enough."""
    draw, picks = np.random.default_rng(seed), list[int]()
    found: list[list[float]] = [[] for _ in range(seen.shape[1])]
    spent = costs.mean(axis=0)
    for scores in seen:
        few = [at for at, one in enumerate(found) if len(one) < 10]
        if few:
            pick = few[0]
        elif draw.random() < 0.02:
            pick = int(draw.integers(seen.shape[1]))
        else:
            means = [statistics.mean(one) for one in found]
            upper = [mean + np.std(one) / len(one) ** 0.5 for mean, one in zip(means, found, strict=True)]
            pick = min((at for at, one in enumerate(upper) if one >= max(means) - 0.02), key=lambda at: spent[at])
        found[pick].append(float(scores[pick]))
        picks.append(pick)
    return picks


def ours(seen: np.ndarray, costs: np.ndarray, seed: int, **options: float) -> list[int]:
    """Return the choices of the online router, from a cold start."""
    models = [str(at) for at in range(seen.shape[1])]
    router, picks = OnlineRouter(models, seed=seed, **options), list[int]()
    for scores, spent in zip(seen, costs, strict=True):
        picks.append(int(router.choose().model))
        router.record(models[picks[-1]], float(scores[picks[-1]]), cost=float(spent[picks[-1]]))
    return picks


def online(folder: Path, write: Callable[[str], None]) -> None:
    """Measure a cold start, a silent regression at half-time, and a pair whose dearer model is worse."""
    with gzip.open(folder / "four_models_cost_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    arms = [row["arms"] for row in rows]
    models = sorted(arms[0], key=lambda model: statistics.mean(one[model]["cost"] for one in arms))
    scores = np.array([[one[model]["score"] for model in models] for one in arms])
    costs = np.array([[one[model]["cost"] for model in models] for one in arms])
    orders = [np.random.default_rng(seed).permutation(len(rows)) for seed in range(ORDERS)]
    features = directions([row["prompt"] for row in rows])
    write("## Online: only the score of the chosen model is seen\n")
    write(
        f"Four models, {len(rows)} prompts, means over {ORDERS} orders, from a cold start. Costs in USD per thousand "
    )
    write("calls. Afterwards the same, where at half-time every score of the second model falls to 0.5 or less. ")
    write(f"paretobandit {version_of('paretobandit')}, {DIRECTIONS} main directions of our vectors as features.\n")
    write("| rule | score | cost | dearest order | regression: last 400 | from 150 after it | cost |")
    write("|---|---|---|---|---|---|---|")
    seen = [scores[order] for order in orders]
    changed = [regressed(one) for one in seen]
    spent = [costs[order] for order in orders]
    rules: dict[str, Callable[[list[np.ndarray]], list[list[int]]]] = {
        f"always {model}": lambda one, at=at: [[at] * len(rows) for _ in one] for at, model in enumerate(models)
    }
    rules["ten lines"] = lambda one: [simple_rule(part, spent[at], at) for at, part in enumerate(one)]
    for quality in (0.95, 0.98):
        rules[f"llmops, quality = {quality}"] = lambda one, quality=quality: [
            ours(part, spent[at], at, quality=quality) for at, part in enumerate(one)
        ]
    peers = [paretobandit(features, one, costs.mean(axis=0), orders) for one in (seen, changed)]
    for name in CEILINGS:
        rules[f"paretobandit{name}"] = lambda one, name=name: peers[0 if one is seen else 1][name]
    for name, rule in rules.items():
        before, after = (
            [taken(part, spent[at], picks) for at, (part, picks) in enumerate(zip(one, rule(one), strict=True))]
            for one in (seen, changed)
        )
        means, last = np.mean(before, axis=0), np.mean(after, axis=0)
        dearest = max(one[1] for one in before) * 1_000
        write(
            f"| {name} | {means[0]:.4f} | {means[1] * 1_000:.3f} | {dearest:.3f} | {last[2]:.4f} | {last[3]:.4f} | "
            f"{last[1] * 1_000:.3f} |"
        )
    write("")
    arena(write)


def taken(seen: np.ndarray, spent: np.ndarray, picks: list[int]) -> tuple[float, float, float, float]:
    """Return the mean score and cost, the score of the last 400, and that from 150 after half-time on."""
    every = np.arange(len(picks))
    got = seen[every, picks]
    return got.mean(), spent[every, picks].mean(), got[-400:].mean(), got[len(got) // 2 + 150 :].mean()


def regressed(scores: np.ndarray) -> np.ndarray:
    """Return scores that one model loses at half-time."""
    found = scores.copy()
    found[len(found) // 2 :, REGRESSED] = np.minimum(found[len(found) // 2 :, REGRESSED], 0.5)
    return found


def directions(prompts: list[str]) -> np.ndarray:
    """Return the main directions of the vectors of the prompts, of unit variance, and a column of ones."""
    vectors = np.asarray(open_embedder("static").embed(prompts), "float64")
    centered = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    projected = centered @ axes[:DIRECTIONS].T
    return np.hstack([projected / projected.std(axis=0), np.ones((len(prompts), 1))])


def paretobandit(
    features: np.ndarray, seen: list[np.ndarray], prices: np.ndarray, orders: list[np.ndarray]
) -> dict[str, list[list[int]]]:
    """Return the choices of paretobandit by its ceiling."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/arrays.npz", features=features, scores=np.stack(seen), prices=prices)
        task = {"arrays": f"{folder}/arrays.npz", "ceilings": CEILINGS, "orders": [one.tolist() for one in orders]}
        return ask("paretobandit", **task)["chosen"]


def arena(write: Callable[[str], None]) -> None:
    """Measure a pair whose dearer model is worse: right with .523 and .690, at 1.76e-4 and 4.7e-5 USD, 809 prompts."""
    shares: list[float] = []
    for seed in range(20):
        seen = (np.random.default_rng(seed).random((809, 2)) < [0.690, 0.523]).astype(float)
        picks = ours(seen, np.tile([4.7e-5, 1.76e-4], (809, 1)), seed)
        shares.append(float(np.mean(np.array(picks[100:]) == 1)))
    write("A dearer model that is worse (right .523 of the time for 0.176 USD per thousand calls, against .690 for ")
    write(f"0.047; simulated, 20 times 809 calls): it gets {np.mean(shares):.1%} of the calls after the first 100, at ")
    write(f"most {max(shares):.1%}.\n")
