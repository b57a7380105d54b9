"""`concept_drift`: find out whether the scores of a stream have changed, and where."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

from llmops_sdk.drift._report import DriftReport
from llmops_sdk.drift.streams._detector import Alternative
from llmops_sdk.drift.streams._monitor import Change, ConceptMonitor
from llmops_sdk.drift.streams._scores import ScoreSource, Window, read_window
from llmops_sdk.drift.streams._sums import Sums, signed_root

__all__ = ["concept_drift"]

_HORIZON = 2_000


def concept_drift(
    reference: ScoreSource,
    current: ScoreSource,
    *,
    alpha: float = 0.05,
    name: str = "score",
    alternative: Alternative = "two-sided",
    low: float = 0.0,
    high: float = 1.0,
    min_n: int = 50,
    horizon: int | None = None,
    trace_ids: Iterable[str] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> DriftReport:
    """Find out whether the mean of a score has changed since a reference: for better or for worse, and where.

    The scores of `current` are looked at one after the other, as `ConceptMonitor` does. The mean of the reference
    counts as an estimate, so that few reference scores make no false alarms. The chance of a false alarm is at most
    about alpha: 4 % at 0.05 for a rate of 0.2 and 300 reference scores.

    Args:
        reference: Scores from when all was well, in the order of time: bools or numbers, None where one is missing. Or
            SQL over the stored traces that returns the columns `time` and `value`, and maybe `trace_id`.
        current: The scores to check, likewise.
        alpha: The chance of a false alarm, above 0 and below 1.
        name: The name of the score, for the report.
        alternative: "two-sided"; "greater" looks only for a mean that went up, "less" only for one that went down.
        low: The lowest possible score.
        high: The highest possible score.
        min_n: Fewer scores in a window are "not enough data".
        horizon: How many scores alpha is for: by default 2,000, or the length of `current` where that is more.
        trace_ids: The ids of the traces of `current`, one a score, for the examples. SQL brings its own.
        path: The store's folder for SQL; the configured one by default.

    Returns:
        A report with one feature. Its `examples` are up to five traces from after the change, and its `details` have
        `direction` ("up" or "down"), `change_index` and `detected_at` (both count the scores of `current` that are not
        missing), `change_time` for SQL, and how many scores were missing.

    Raises:
        ConfigError: An argument or a score is out of its range, or the SQL lacks a column.
        QueryError: The SQL is not valid.
        StoreError: The store cannot be read.

    Example:
        >>> from llmops_sdk.drift import concept_drift
        >>> usual = [1, 1, 1, 1, 0] * 60
        >>> report = concept_drift(usual, usual[:100] + [1, 0] * 60, name="helpful")
        >>> report.drifted, report.reason
        (True, 'the mean of helpful fell from 0.802 to 0.496 after 99 scores of the stream')
    """
    before = read_window(reference, "reference", trace_ids=None, path=path)
    after = read_window(current, "current", trace_ids=trace_ids, path=path)
    monitor = ConceptMonitor(
        before.scores, alpha=alpha, horizon=max(_HORIZON, len(after.scores)) if horizon is None else horizon,
        alternative=alternative, low=low, high=high, min_n=min_n, name=name,
    )  # fmt: skip
    for index, value in enumerate(after.scores):
        monitor.update(value, after.example(index))
    return DriftReport(kind="concept", name=name, features=(monitor.feature(_exact_change(monitor, after)),))


def _exact_change(monitor: ConceptMonitor, window: Window) -> Change | None:
    """Return the place of the change with the largest likelihood ratio, of all places; None without an alarm."""
    if not monitor.drifted:
        return None
    reference, stream, direction = monitor.sums()
    best, place, before = -math.inf, 0, Sums()
    so_far = Sums()
    known = monitor.known(window.scores)
    for start, (_, score) in enumerate(known):
        root = direction * signed_root(reference.plus(so_far), stream.minus(so_far))
        if root > best:
            best, place, before = root, start, Sums(so_far.n, so_far.total, so_far.squares)
        so_far.add(score)
    following = [index for index, _ in known[place : place + 5]]
    examples = [one for index in following if (one := window.example(index)) is not None]
    return Change(place, before, examples, window.time(following[0]))
