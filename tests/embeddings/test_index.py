"""The index of vectors, against a plain search over a dictionary."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.embeddings import VectorIndex
from llmops_sdk.errors import EmbeddingError

RANDOM = np.random.default_rng(3)
POINTS = RANDOM.normal(size=(40, 8)).astype("float32")
POINTS /= np.linalg.norm(POINTS, axis=1, keepdims=True)
STEPS = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 39), min_size=1, max_size=8)), max_size=40)


def expected(held: dict[int, int], asked: int, top: int) -> list[float]:
    """Return the similarities of the nearest, the nearest first."""
    return sorted((float(POINTS[place] @ POINTS[asked]) for place in held.values()), reverse=True)[:top]


@given(STEPS, st.integers(0, 39), st.integers(1, 50))
def test_search_finds_what_a_plain_search_finds(steps: list[tuple[bool, list[int]]], asked: int, top: int):
    index: VectorIndex[int] = VectorIndex(8)
    held: dict[int, int] = {}
    for adds, chosen in steps:
        if adds:
            new = sorted(set(chosen) - held.keys())
            index.add(new, POINTS[new])
            held |= {one: one for one in new}
        else:
            assert index.remove(chosen) == len(set(chosen) & held.keys())
            held = {one: place for one, place in held.items() if one not in chosen}
        assert len(index) == len(held)

    found = index.search(POINTS[asked], top)
    assert [match.similarity for match in found] == pytest.approx(expected(held, asked, top), abs=1e-6)
    assert {match.id for match in found} <= held.keys()
    for match in found:
        assert match.similarity == pytest.approx(float(POINTS[match.id] @ POINTS[asked]), abs=1e-6)
        assert match.id in index


def test_ids_can_be_anything_hashable_and_ties_come_in_order():
    index: VectorIndex[object] = VectorIndex(2)
    index.add(["a", ("b", 1), 3], [[1, 0], [1, 0], [0, 2]])

    assert index.search([5, 0], top=2) == [("a", 1.0), (("b", 1), 1.0)]
    assert index.search([0, 1], top=1)[0].id == 3
    assert index.search([1, 0], top=0) == []


def test_an_empty_index_finds_nothing():
    index: VectorIndex[str] = VectorIndex(3)

    assert index.search([1, 0, 0]) == []
    index.add([], np.empty((0, 3)))
    assert (len(index), "a" in index, index.remove(["a"])) == (0, False, 0)


@pytest.mark.parametrize(
    "vectors",
    [[[1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0, 0.0]], [[1.0], [1.0]], [[0.0, 0.0], [1.0, 0.0]], [[float("nan"), 1.0]] * 2],
)
def test_unusable_vectors_are_refused_and_nothing_is_added(vectors):
    index: VectorIndex[str] = VectorIndex(2)

    with pytest.raises(EmbeddingError, match=r"VectorIndex\.add"):
        index.add(["a", "b"], vectors)
    with pytest.raises(EmbeddingError, match=r"VectorIndex\.search"):
        index.search([0.0, 0.0])
    assert len(index) == 0


def test_ids_are_unique():
    index: VectorIndex[str] = VectorIndex(2)
    index.add(["a"], [[1, 0]])

    for ids in (["b", "a"], ["b", "b"]):
        with pytest.raises(ValueError, match="twice"):
            index.add(ids, [[1, 0], [0, 1]])
    assert len(index) == 1
    assert "b" not in index


def test_the_size_is_bounded_and_shrinks():
    index: VectorIndex[int] = VectorIndex(4, max_vectors=1_000)
    index.add(range(1_000), np.ones((1_000, 4)))

    with pytest.raises(EmbeddingError, match="at most 1,000"):
        index.add([1_000], [[1, 0, 0, 0]])
    assert index.nbytes == 1_000 * 4 * 4
    index.remove(range(990))
    assert index.nbytes <= 64 * 4 * 4
    assert sorted(match.id for match in index.search([1, 1, 1, 1], top=20)) == list(range(990, 1_000))


def test_adding_one_by_one_copies_each_row_a_few_times():
    index: VectorIndex[int] = VectorIndex(4)
    arrays: list[int] = []
    for number in range(5_000):
        index.add([number], [[1.0, 0, 0, number]])
        if not arrays or arrays[-1] != index.nbytes:
            arrays.append(index.nbytes)

    assert len(arrays) <= 8
    assert sum(arrays) <= 4 * 5_000 * 4 * 4


@pytest.mark.parametrize(
    "arguments", [{"dimension": 0}, {"dimension": 2, "exact_limit": 0}, {"dimension": 2, "max_vectors": 0}]
)
def test_bounds_are_positive(arguments: dict[str, int]):
    with pytest.raises(ValueError, match="at least 1"):
        VectorIndex(**arguments)


def test_without_usearch_a_large_index_stays_exact_and_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("llmops_sdk.embeddings._index.graph_is_installed", lambda: False)
    index: VectorIndex[int] = VectorIndex(8, exact_limit=10)
    with caplog.at_level(logging.WARNING, "llmops_sdk"):
        for number, point in enumerate(POINTS):
            index.add([number], [point])

    assert index.is_exact
    assert [index.search(point, top=1)[0].id for point in POINTS] == list(range(40))
    assert caplog.text.count('pip install "llmops-sdk[usearch]"') == 1
    assert index.extend_graph()


def test_threads_add_remove_and_search_at_once():
    index: VectorIndex[tuple[int, int]] = VectorIndex(8)
    # These stay: each search must find all of them, whatever the others do.
    index.add([(-1, number) for number in range(10)], POINTS[:10])
    start = Barrier(6, timeout=60)

    def churn(worker: int) -> None:
        start.wait()
        for turn in range(150):
            ids = [(worker, 3 * turn + number) for number in range(3)]
            index.add(ids, -POINTS[:3])
            index.remove(ids[:2] if turn % 3 else ids)

    def look(worker: int) -> None:
        start.wait()
        for turn in range(300):
            place = (worker + turn) % 10
            best = index.search(POINTS[place], top=1)[0]
            assert best.id == (-1, place)
            assert best.similarity == pytest.approx(1, abs=1e-5)

    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(churn if worker % 2 else look, worker) for worker in range(6)]
        for one in done:
            one.result()
    assert len(index) == 10 + 3 * 100
