"""Simulate the detector of `concept_drift` over many streams at once, with numpy.

The decisions are those of `llmops_sdk/drift/streams/_detector.py`, looked at after every fifth score:
`tests/drift/streams` compares both on the same streams.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from llmops_sdk.drift.streams import _detector as rule

__all__ = ["STEP", "draw", "p_values"]

STEP = 5
"""Scores between two looks."""


def draw(
    rng: Any, streams: int, *, reference: int, rate: float, length: int, later: float | None = None, quiet: int = 0
) -> tuple[Any, Any]:
    """Return how many of the reference's scores are 1, and the scores: a row for each score, a column for each stream.

    Args:
        rng: The random numbers.
        streams: How many streams.
        reference: The scores of the reference.
        rate: The share of scores that are 1, in the reference and before a change.
        length: The scores of the stream.
        later: That share after the change; None for no change.
        quiet: The scores before the change.
    """
    before = rng.binomial(reference, rate, streams).astype(float)
    rates = np.where(np.arange(length) < quiet, rate, rate if later is None else later)
    return before, (rng.random((length, streams)) < rates[:, None]).astype(np.int8)


def p_values(reference: int, before: Any, scores: Any, *, two_sided: bool = True, horizon: int = 2_000) -> Any:
    """Return the p-value of each stream after every fifth score: it never rises.

    Args:
        reference: The scores of the reference.
        before: How many of them are 1, for each stream.
        scores: A row for each score, a column for each stream.
        two_sided: Whether to look for changes of both signs; else for more scores that are 1.
        horizon: How many scores alpha is for.
    """
    length, streams = scores.shape
    sides = 2 if two_sided else 1
    total, level, log_e = np.zeros(streams), np.zeros(streams), np.full(streams, -rule._LARGEST)
    alone = _entropy(before, reference)
    candidates: dict[int, tuple[Any, Any]] = {}
    end = math.sqrt(2 * horizon / (horizon + reference))
    found = np.empty((length // STEP, streams), np.float32)
    for n in range(1, length + 1):
        if (n - 1) % STEP == 0:
            candidates[n - 1] = total.copy(), _entropy(before + total, reference + n - 1)
        total += scores[n - 1]
        size = reference + n
        together = _entropy(before + total, size)
        root = np.sqrt(np.maximum(0.0, 2 * (alone + _entropy(total, n) - together)))
        root = root if two_sided else np.where(total * reference >= before * n, root, -root)
        level = np.maximum(level, root * math.sqrt(n / size))
        if n % STEP:
            continue
        candidates = {start: one for start, one in candidates.items() if start % rule._spacing(n - start) == 0}
        logs = _evidence(list(candidates), list(candidates.values()), total, before + total, n, size, together, sides)
        log_e = np.maximum(log_e, np.minimum(rule._LARGEST, logs - math.log(horizon)))
        tails = 2 * sides * np.array([math.erfc(one) for one in level / end]) / 2
        with np.errstate(over="ignore"):
            found[n // STEP - 1] = np.minimum(tails / rule._SHARE, np.exp(-log_e) / rule._SCAN_SHARE)
    return found


def _evidence(
    starts: Sequence[int], known: Sequence[tuple[Any, Any]], total: Any, both: Any, n: int, size: int, together: Any,
    sides: int,
) -> Any:  # fmt: skip
    """Return the logarithm of the summed evidence for a change after each of `starts` scores."""
    ages = np.array([n - start for start in starts], float)[:, None]
    after = total - np.array([one for one, _ in known])
    entropies = np.array([one for _, one in known])
    root = np.sqrt(np.maximum(0.0, 2 * (entropies + _entropy(after, ages) - together)))
    width = np.sqrt((size - ages) * ages / size)
    logs = np.logaddexp.reduce([shift * width * (root - shift * width / 2) for shift in rule._SHIFTS])
    logs += np.log([[rule._spacing(n - start)] for start in starts]) - math.log(sides * len(rule._SHIFTS))
    wanted = root >= rule._LEAST_ROOT
    if sides == 1:
        wanted &= after * size >= both * ages
    return np.logaddexp.reduce(np.where(wanted, logs, -2 * rule._LARGEST))


def _entropy(total: Any, n: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        ones, rest = total * np.log(total / n), (n - total) * np.log((n - total) / n)
    return np.where(total > 0, ones, 0.0) + np.where(total < n, rest, 0.0)
