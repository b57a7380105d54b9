"""Fit a logistic regression to windows of texts, so that the same rows give the same numbers on every machine.

Sums run in a fixed order (`bincount`, `cumsum`), and `exp` is made of additions and multiplications, as the library
functions differ in the last bit from machine to machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - a tool, not a part of the package
from injection_rows import Row

from llmops_sdk.guardrails.detectors.injection import _injection_features as features

__all__ = ["Corpus", "Head", "build_corpus", "fit", "sigmoid"]

ROUNDS, STEPS, RATE, DECAY = 2, 70, 5.0, 1e-4
KEPT = (0.3, 0.05)  # the share of its windows that a harmless text and an attack keep from the second round on


class Head(NamedTuple):
    """One table of weights and how it is trained.

    Attributes:
        features: Returns the places and the slots of the features of a folded text.
        plain: The number of slots of n-grams; those of classes follow.
        factors: How much a step moves each slot, relative to the others. Slots of n-grams move more if they are rare.
        window: The size of a window and the distance to the next.
        weights: The weight of each group of rows.
    """

    features: Callable[[Any], tuple[Any, Any]]
    plain: int
    factors: Any
    window: tuple[int, int]
    weights: Mapping[str, float]


class Corpus(NamedTuple):
    """The windows and features of rows, laid end to end.

    Attributes:
        places: For each feature that is seen, the character that it belongs to.
        slots: Its column.
        columns: The slot of each column in the model's tables.
        rarity: How rare each column is.
        size: The number of characters.
        starts: Where each window starts.
        ends: Where it ends.
        rows: The row of each window.
        labels: Whether the window is a part of an attack.
    """

    places: Any
    slots: Any
    columns: Any
    rarity: Any
    size: int
    starts: Any
    ends: Any
    rows: Any
    labels: Any


def _labels(row: Row, folded: features.Folded, starts: Any, ends: Any) -> Any:
    """Return 1 for windows of an attack, 0 for harmless ones, and -1 for those with a small part of an attack."""
    if row.span is None or not row.label:
        return np.full(len(starts), row.label)
    low, high = row.span if folded.places is None else np.searchsorted(folded.places, row.span)
    shared = np.minimum(ends, high) - np.maximum(starts, low)
    return np.where(shared >= 0.5 * np.minimum(high - low, ends - starts), 1, np.where(shared > 0, -1, 0))


def build_corpus(head: Head, rows: Sequence[Row]) -> Corpus:
    """Return the windows and the features of rows."""
    places, slots, rows_of, starts, ends, owners, labels, base = [], [], [], [], [], [], [], 0
    for number, row in enumerate(rows):
        folded = features.fold(row.text)
        codes = folded.codes[: features.CHUNK]
        where, slot = head.features(codes)
        places.append(where + base)
        slots.append(slot)
        rows_of.append(np.full(len(slot), number))
        first, last = features.window_bounds(len(codes), *head.window)
        starts.append(first + base)
        ends.append(last + base)
        owners.append(np.full(len(first), number))
        labels.append(_labels(row, folded, first, last))
        base += len(codes)
    place, slot, row_of = (np.concatenate(one) for one in (places, slots, rows_of))
    pairs = np.unique(slot * len(rows) + row_of)
    seen_in = np.bincount(pairs // len(rows), minlength=len(head.factors))
    columns = np.flatnonzero(seen_in >= 2)
    column_of = np.full(len(seen_in), -1)
    column_of[columns] = np.arange(len(columns))
    known = np.flatnonzero(column_of[slot] >= 0)
    known = known[np.argsort(place[known], kind="stable")]
    label = np.concatenate(labels)
    kept = np.flatnonzero(label >= 0)
    rarity = np.round(np.log((len(rows) + 1) / (seen_in[columns] + 1)) / 5, 6)
    bounds = (np.concatenate(one)[kept] for one in (starts, ends, owners))
    return Corpus(place[known], column_of[slot[known]], columns, rarity, base, *bounds, label[kept])


def sigmoid(values: Any) -> Any:
    """Return 1 / (1 + exp(-values)) from operations that IEEE 754 defines to the last bit."""
    clipped = np.clip(-values, -40.0, 40.0)
    powers = np.rint(clipped * 1.4426950408889634)
    rest = clipped - powers * 0.6931471805599453
    total = np.ones_like(rest)
    for order in range(14, 0, -1):
        total = 1.0 + rest * total / order
    return 1.0 / (1.0 + np.ldexp(total, powers.astype("int32")))


def _window_weights(corpus: Corpus, row_weights: Any, scores: Any) -> Any:
    """Return the weight of each window: the chosen windows of a row share the weight of the row."""
    keys = corpus.rows * 2 + corpus.labels
    counts = np.bincount(keys)
    chosen = np.ones(len(keys), "bool")
    if scores is not None:
        order = np.lexsort((-scores, keys))
        firsts = np.cumsum(counts) - counts
        ranks = np.empty(len(keys), "int64")
        ranks[order] = np.arange(len(keys)) - firsts[keys[order]]
        chosen = ranks < np.maximum(1, counts[keys] * np.take(KEPT, corpus.labels))
        counts = np.bincount(keys[chosen], minlength=len(counts))
    weights = np.where(chosen, row_weights[corpus.rows] / np.maximum(1, counts[keys]), 0.0)
    return weights / np.cumsum(weights)[-1]


def fit(head: Head, corpus: Corpus, rows: Sequence[Row]) -> tuple[Any, float]:
    """Return the worth of each slot and the bias, by accelerated gradient descent."""
    sizes = Counter(row.group for row in rows)
    row_weights = np.array([head.weights[row.group] / sizes[row.group] for row in rows])
    scale = head.factors[corpus.columns] * np.where(corpus.columns < head.plain, corpus.rarity, 1.0)
    norms = 1 / np.sqrt(np.maximum(corpus.ends - corpus.starts, features.SHORTEST))

    def scored(values: Any, bias: float) -> Any:
        at = np.bincount(corpus.places, weights=(scale * values)[corpus.slots], minlength=corpus.size)
        sums = np.concatenate([[0.0], np.cumsum(at)])
        return (sums[corpus.ends] - sums[corpus.starts]) * norms + bias

    values, bias, size = np.zeros(len(corpus.columns)), -2.0, corpus.size + 1
    for turn in range(ROUNDS):
        weights = _window_weights(corpus, row_weights, scored(values, bias) if turn else None)
        ahead, bias_ahead = values, bias
        for step in range(STEPS):
            errors = weights * (sigmoid(scored(ahead, bias_ahead)) - corpus.labels)
            opened = np.bincount(corpus.starts, weights=errors * norms, minlength=size)
            at = np.cumsum(opened - np.bincount(corpus.ends, weights=errors * norms, minlength=size))
            slopes = np.bincount(corpus.slots, weights=at[corpus.places], minlength=len(values)) * scale
            before, bias_before = values, bias
            values = ahead - RATE * (slopes + DECAY * ahead)
            bias = bias_ahead - RATE * float(np.cumsum(errors)[-1])
            momentum = (step + 1) / (step + 4)
            ahead = values + momentum * (values - before)
            bias_ahead = bias + momentum * (bias - bias_before)
    worth = np.zeros(len(head.factors))
    worth[corpus.columns] = scale * values
    return worth, bias
