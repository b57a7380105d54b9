"""Simulated streams: whether the share of wrong answers among the hits stays below `max_error`.

Each stream has its own shape: how the scores are spread, how the chance of a wrong answer falls with the score, and
whether it gets worse halfway. Labels are wrong at a known rate both ways. Hits are audited at 5 %. The bound gets the
judge's true error rates. It promises nothing for a stream that gets worse while it serves: "drifting", where .1 of all
answers turn wrong halfway, shows how far the audits limit the damage, and is not in the sums.
"""

from __future__ import annotations

import functools
import random
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from guardrails_tables import Results, Share, table

from llmops_sdk.caching import JudgeError
from llmops_sdk.caching.semantic._bound import ErrorBound

__all__ = ["bound"]

SHAPES = ("steep", "flat", "calibrated", "uneven")
_DRIFT = "drifting"
_MAX_ERROR = 0.02
_ENOUGH = 200  # hits from which on a stream is judged
_AUDIT = 0.05


class Stream(NamedTuple):
    """The hits of a stream, how many of them were wrong, and the largest share of wrong ones after 200 hits."""

    hits: int
    wrong: int
    worst: float


def simulate(shape: str, seed: int, noise: float, length: int) -> Stream:
    """Return the outcome of one stream."""
    rng = random.Random(f"{shape} {seed}")
    judge = ErrorBound(_MAX_ERROR, judge_error=JudgeError(false_right=noise, false_wrong=noise))
    power, floor = rng.uniform(0.8, 2.5), rng.uniform(0.0, rng.choice((0.005, 0.03)))
    hits = wrong = 0
    worst = 0.0
    for at in range(length):
        score = _score(shape, rng)
        is_wrong = rng.random() < _chance(shape, score, power, floor, late=at > length // 2)
        served = judge.serves(score)
        if served:
            hits += 1
            wrong += is_wrong
            if hits >= _ENOUGH:
                worst = max(worst, wrong / hits)
        if not served or rng.random() < _AUDIT:
            judge.observe(score, right=is_wrong == (rng.random() < noise), served=served)
    return Stream(hits, wrong, worst)


def _score(shape: str, rng: random.Random) -> float:
    # Most are high, as on the streams of questions whose answers repeat.
    return 1 - (0.3 if shape == "flat" else 1.0) * rng.random() ** 3


def _chance(shape: str, score: float, power: float, floor: float, *, late: bool) -> float:
    """Return the chance that the answer at a score is wrong."""
    if shape == "calibrated":
        return 0.7 * (1 - score)
    if shape == "uneven" and 0.955 < score < 0.97:
        return 0.06
    chance = floor + 0.5 * (1 - score) ** power
    return min(1.0, chance + (0.1 if shape == _DRIFT and late else 0.0))


def bound(results: Results, *, quick: bool) -> None:
    """Measure how many streams exceed the bound, at the end and at any time after 200 hits."""
    rows: list[tuple[object, ...]] = []
    # Wrong labels hide what is right: many more are needed before anything is certified.
    for noise, length, streams in ((0.0, 5_000, 50), (0.05, 12_000, 50), (0.10, 24_000, 10)):
        each = streams // 5 if quick else streams
        every: list[Stream] = []
        for shape in (*SHAPES, _DRIFT):
            one = functools.partial(simulate, shape, noise=noise, length=length)
            with ProcessPoolExecutor() as workers:
                found = list(workers.map(one, range(each), chunksize=5))
            rows.append((f"{noise:.0%}", shape, *_summary(found, length)))
            every += found if shape != _DRIFT else []
        rows.append((f"{noise:.0%}", "all but drifting", *_summary(every, length)))
        judged = [one for one in every if one.hits >= _ENOUGH]
        final = sum(one.wrong / one.hits > _MAX_ERROR for one in judged)
        ever = sum(one.worst > _MAX_ERROR for one in judged)
        results.share(f"bound, judge wrong {noise:.0%}, streams above it at the end", Share(final, len(judged)))
        results.share(f"bound, judge wrong {noise:.0%}, streams above it at any time", Share(ever, len(judged)))
    head = ("judge wrong", "shape", "streams", "with 200 hits", "above .02 at the end", "at any time", "served")
    title = f"Bound: max_error={_MAX_ERROR:g}, 5,000 questions a stream, 12,000 with 5 % wrong labels, 24,000 with 10 %"
    results.table(title, table(head, rows))


def _summary(found: list[Stream], length: int) -> tuple[object, ...]:
    judged = [one for one in found if one.hits >= _ENOUGH]
    return (
        len(found),
        len(judged),
        sum(one.wrong / one.hits > _MAX_ERROR for one in judged),
        sum(one.worst > _MAX_ERROR for one in judged),
        f"{sum(one.hits for one in found) / length / len(found):.3f}",
    )
