"""Run one function of this module, by its name, in the environment `models`, and print what it returns as JSON."""

from __future__ import annotations

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from llmops_sdk.embeddings import VectorIndex

DIMENSION = 32


def clustered(count: int) -> Any:
    """Return rows in groups of ten neighbours."""
    generator = np.random.default_rng(1)
    rows = np.repeat(generator.normal(size=(count // 10, DIMENSION)), 10, axis=0)
    rows += 0.5 * generator.normal(size=rows.shape)
    generator.shuffle(rows)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def recall(index: VectorIndex[int], rows: Any, held: set[int]) -> float:
    """Return how many of the true five nearest are found; fail if a similarity is wrong or an id is gone."""
    ids = np.array(sorted(held))
    right = 0
    for asked in rows[::50]:
        found = index.search(asked)
        truth = ids[np.argsort(rows[ids] @ asked)[-5:]]
        right += len({match.id for match in found} & set(truth.tolist()))
        assert len(found) == 5
        assert all(match.id in held and abs(match.similarity - rows[match.id] @ asked) < 1e-5 for match in found)
    return right / (5 * len(rows[::50]))


def grown() -> dict[str, Any]:
    """Add one by one beyond the limit; the graph grows from half of it on and is complete at it."""
    rows = clustered(3_000)
    index: VectorIndex[int] = VectorIndex(DIMENSION, exact_limit=1_000)
    graph_sizes: dict[int, int] = {}
    for number, row in enumerate(rows):
        index.add([number], [row])
        graph = index._graph
        graph_sizes[number + 1] = graph.covered if graph is not None else 0
    return {
        "sizes": [graph_sizes[count] for count in (500, 750, 1_000, 1_001, 3_000)],
        "exact": index.is_exact,
        "recall": recall(index, rows, set(range(3_000))),
    }


def churned() -> dict[str, Any]:
    """Remove and add at random, also while the graph is not complete, and shrink at the end."""
    rows = clustered(4_000)
    index: VectorIndex[int] = VectorIndex(DIMENSION, exact_limit=1_000)
    held: set[int] = set()
    chance = random.Random(5)
    for _ in range(12_000):
        one = chance.randrange(4_000)
        if one in held:
            held.remove(one)
            assert index.remove([one]) == 1
        else:
            held.add(one)
            index.add([one], [rows[one]])
    found = {"exact": index.is_exact, "recall": recall(index, rows, held), "size": len(index) == len(held)}
    index.remove(list(held)[100:])
    left = set(list(held)[:100])
    return {**found, "shrunk": index.is_exact, "again": recall(index, rows, left)}


def filled_in_parts() -> dict[str, Any]:
    """Fill an index without its graph, and give it the graph in parts; search before, between and after."""
    rows = clustered(3_000)
    index: VectorIndex[int] = VectorIndex(DIMENSION, exact_limit=1_000)
    index.add(range(3_000), rows, graph=False)
    recalls, parts, whole = [recall(index, rows, set(range(3_000)))], 0, False
    while not whole:
        whole = index.extend_graph(1_000)
        parts += 1
        recalls.append(recall(index, rows, set(range(3_000))))
    return {"recalls": recalls, "parts": parts, "exact": index.is_exact}


def filled() -> dict[str, Any]:
    """Fill an index at once, as after a restart."""
    rows = clustered(5_000)
    index: VectorIndex[int] = VectorIndex(DIMENSION, exact_limit=1_000)
    index.add(range(5_000), rows)
    return {"exact": index.is_exact, "recall": recall(index, rows, set(range(5_000)))}


def shared() -> dict[str, Any]:
    """Add, remove and search in six threads."""
    rows = clustered(6_000)
    index: VectorIndex[int] = VectorIndex(DIMENSION, exact_limit=500)
    index.add(range(600), rows[:600])

    def work(worker: int) -> None:
        for number in range(600 + worker, 6_000, 6):
            index.add([number], [rows[number]])
            assert index.search(rows[number], top=1)[0].similarity > 0.99
            if number % 2:
                assert index.remove([number]) == 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    held = {number for number in range(6_000) if number < 600 or number % 2 == 0}
    return {"size": len(index), "recall": recall(index, rows, held)}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
