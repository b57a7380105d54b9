"""Fit the weights of the semantic tier's score, and print them for llmops_sdk/caching/semantic/_decide.py.

The questions of BANKING77's design half come one by one, and all are stored, as in shadow mode: each row says what
`decide` would see of the best stored question, and whether its intent is the right one. The vectors of the static
embedder and of MiniLM give one half of the rows each, so that one set of weights serves both. Neither the test half nor
any pair of fow is read. At the end the new weights stand beside the old ones on both embedders.

    LLMOPS_BENCH_DATA=... python benchmarks/caching_fit.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from caching_data import embedders, folder, halves
from caching_split import read_intents

from llmops_sdk.caching.semantic import _decide
from llmops_sdk.caching.semantic._neighbours import Neighbour
from llmops_sdk.caching.semantic.lexical import Analysed, analyse, compare_analysed
from llmops_sdk.embeddings import Embedder, VectorIndex, vocabulary

RIDGE = 1e-2


class Rows(NamedTuple):
    """What was seen of a stream of questions: features, whether the answer was right, and how many questions came."""

    features: Any
    right: Any
    questions: int


def replay(rows: Sequence[tuple[str, str]], embedder: Embedder) -> Rows:
    """Return what the tier sees of the best stored question for each question, while all of them are stored."""
    seen = list(_seen(rows, embedder))
    return Rows(np.array([one for one, _ in seen]), np.array([right for _, right in seen]), len(rows))


def _seen(rows: Sequence[tuple[str, str]], embedder: Embedder) -> Iterator[tuple[tuple[float, ...], bool]]:
    words, vectors = vocabulary(), embedder.embed([text for text, _ in rows])
    analysed: list[Analysed] = [analyse(text, vocabulary=words) for text, _ in rows]
    index: VectorIndex[int] = VectorIndex(embedder.dimension)
    groups: list[int] = []  # a question joins the group of a near answer that is right for it, as the tier learns it
    for at, (_, intent) in enumerate(rows):
        nearest = [
            Neighbour(
                id=found.id,
                group=groups[found.id],
                text=rows[found.id][0],
                earlier="",
                similarity=found.similarity,
                stored_at=0.0,
            )
            for found in index.search(vectors[at], _decide.NEAREST)
        ]
        best = _decide.decide(
            nearest,
            lambda one, at=at: compare_analysed(
                analysed[at], analysed[one.id], similarity=one.similarity, vocabulary=words
            ),
        ).best
        if best is not None:
            right = rows[best.neighbour.id][1] == intent
            yield _decide.features(best.neighbour, best.comparison, nearest), right
        equal = next((one.group for one in nearest if rows[one.id][1] == intent), at)
        groups.append(equal)
        index.add([at], vectors[at : at + 1])


def fit(features: Any, right: Any) -> Any:
    """Return the weights of a logistic regression with a small ridge, by Newton's method."""
    weights = np.zeros(features.shape[1])
    for _ in range(50):
        chance = _chances(features, weights)
        slope = features.T @ (chance - right) + RIDGE * weights
        curve = (features.T * (chance * (1 - chance))) @ features + RIDGE * np.eye(len(weights))
        weights -= np.linalg.solve(curve, slope)
    return weights


def _chances(features: Any, weights: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))


def quality(rows: Rows, weights: Any) -> str:
    """Return the loss, and the share of the questions that a threshold serves at 1, 2 and 5 % errors among them."""
    chance = _chances(rows.features, weights)
    loss = -np.log(np.where(rows.right, chance, 1 - chance)).mean()
    wrong = np.cumsum(~rows.right[np.argsort(-chance, kind="stable")]) / np.arange(1, len(chance) + 1)
    served = ((limit, np.flatnonzero(wrong <= limit)) for limit in (0.01, 0.02, 0.05))
    shares = ", ".join(
        f"@{limit:.0%} {(places[-1] + 1 if len(places) else 0) / rows.questions:.3f}" for limit, places in served
    )
    return f"loss {loss:.4f}, served {shares}"


def main() -> None:
    """Fit, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000, help="read fewer questions")
    most = parser.parse_args().rows
    design = halves(read_intents(folder()))[0][:most]
    known = embedders([text for text, _ in design])
    replays = {name: replay(design, embedder) for name, embedder in known.items()}
    both = [np.concatenate(parts) for parts in zip(*(rows[:2] for rows in replays.values()), strict=True)]
    weights = np.round(fit(*both), 2)
    old = np.array(_decide._WEIGHTS)  # pyright: ignore[reportPrivateUsage]
    for name, rows in replays.items():
        print(f"{name:8} {len(rows.right):,} rows, {rows.right.mean():.3f} right")
        for which, chosen in (("old", old), ("new", weights), ("own", fit(rows.features, rows.right))):
            print(f"  {which}: {quality(rows, chosen)}")
    print("_WEIGHTS = (" + ", ".join(f"{float(weight):g}" for weight in weights) + ")")


if __name__ == "__main__":
    main()
