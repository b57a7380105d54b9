"""Decide from paired scores of the same items whether a model has become better or worse, or only different."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, cast

from llmops_sdk.drift._report import Feature, Status
from llmops_sdk.drift.canaries._distances import total_variation
from llmops_sdk.errors import ConfigError, NotComparableError
from llmops_sdk.stats import EProcess

__all__ = ["Outcome", "quality_features", "read_outcomes"]

_LONGEST = 200
_MOST_ANSWERS = 20
_OTHER = "\x00other"
_ID_KEYS = ("item_id", "item", "id")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item: a score, an answer, and whether there was one; None where that is not known."""

    score: float | None
    answered: bool | None = None
    answer: str | None = None
    trace_id: str | None = None


def read_outcomes(rows: Iterable[Any], name: str, low: float, high: float) -> dict[str, Outcome]:
    """Return the outcomes by item. Several rows of an item give the mean of their scores.

    Args:
        rows: Scores, one an item, in the same order on both sides. Or mappings with `item_id` (or `item`, `id`),
            `score`, and maybe `answer` and `trace_id`.
        name: The argument, for errors.
        low: The lowest possible score.
        high: The highest possible score.

    Raises:
        ConfigError: A row has another form, or a score is out of its range.
    """
    found: dict[str, list[Outcome]] = {}
    for index, row in enumerate(rows):
        if isinstance(row, Mapping):
            one = cast("Mapping[str, Any]", row)
            item = next((str(one[key]) for key in _ID_KEYS if one.get(key) is not None), None)
            if item is None:
                raise ConfigError(f"a row of {name} has no item_id: give one, to pair the rows", key=name)
            found.setdefault(item, []).append(_outcome(one, name, low, high))
        else:
            found[str(index)] = [Outcome(_score(row, name, low, high))]
    return {item: _mean_outcome(outcomes) for item, outcomes in found.items()}


def _outcome(row: Mapping[str, Any], name: str, low: float, high: float) -> Outcome:
    answer = None if row.get("answer") is None else str(row["answer"])[:_LONGEST].strip()
    answered = bool(answer) if "answer" in row else None
    trace_id = row.get("trace_id")
    return Outcome(
        _score(row.get("score"), name, low, high), answered, answer or None, None if trace_id is None else str(trace_id)
    )


def _score(value: Any, name: str, low: float, high: float) -> float | None:
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"a score of {name} is no number but a {type(value).__name__}: give numbers, bools or None", key=name
        ) from error
    if math.isnan(number):
        return None
    if not low <= number <= high:
        raise ConfigError(
            f"a score of {name} is {number:g}, which is not from {low:g} to {high:g}: give low= and high=", key=name
        )
    return number


def _mean_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    if len(outcomes) == 1:
        return outcomes[0]
    scores = [one.score for one in outcomes if one.score is not None]
    first = next((one for one in outcomes if one.answer is not None), outcomes[0])
    return Outcome(fmean(scores) if scores else None, first.answered, first.answer, first.trace_id)


def quality_features(
    before: Mapping[str, Outcome], after: Mapping[str, Outcome], *, alpha: float, seed: int, low: float, high: float,
    min_n: int,
) -> tuple[Feature, ...]:  # fmt: skip
    """Return the features `score`, and `answered` and `answer_distribution` where answers are known.

    Each has the chance alpha of a false alarm. The items are shuffled: in a file they are often sorted by label, and
    the first ones are then no sample of all.

    Args:
        before: The outcomes of the reference, by item.
        after: The outcomes now.
        alpha: The chance of a false alarm of a feature.
        seed: Shuffles the items: the same ones each time.
        low: The lowest possible score.
        high: The highest possible score.
        min_n: Fewer pairs are "not enough data".

    Raises:
        NotComparableError: No item is in both.
    """
    items = sorted(before.keys() & after.keys())
    if not items:
        raise NotComparableError("no item is in both runs: a quality canary compares the scores of the same items")
    random.Random(seed).shuffle(items)  # noqa: S311 - a permutation
    pairs = [(before[item], after[item]) for item in items]
    counts = {"unpaired_before": len(before) - len(items), "unpaired_after": len(after) - len(items), "seed": seed}
    features = [_score_feature(pairs, alpha, high - low, min_n, counts)]
    if any(one.answered is not None and other.answered is not None for one, other in pairs):
        features += [_answered_feature(pairs, alpha, min_n), _distribution_feature(pairs, alpha, min_n)]
    return tuple(features)


def _score_feature(
    pairs: Sequence[tuple[Outcome, Outcome]], alpha: float, span: float, min_n: int, counts: Mapping[str, int]
) -> Feature:
    known = [
        (one.score, other.score, other.trace_id)
        for one, other in pairs
        if one.score is not None and other.score is not None
    ]
    process = EProcess(low=-span, high=span)
    details: dict[str, Any] = {**counts, "missing": len(pairs) - len(known)}
    return _paired("score", known, process, alpha, min_n, details, ("better", "worse"))


def _answered_feature(pairs: Sequence[tuple[Outcome, Outcome]], alpha: float, min_n: int) -> Feature:
    known = [
        (float(one.answered), float(other.answered), other.trace_id)
        for one, other in pairs
        if one.answered is not None and other.answered is not None
    ]
    details: dict[str, Any] = {"missing": len(pairs) - len(known)}
    return _paired("answered", known, EProcess(), alpha, min_n, details, ("more", "fewer"))


def _paired(
    signal: str, known: Sequence[tuple[float, float, str | None]], process: EProcess, alpha: float, min_n: int,
    details: dict[str, Any], directions: tuple[str, str],
) -> Feature:  # fmt: skip
    n = len(known)
    stopped_at = stopped_log_e = None
    for index, (old, new, _) in enumerate(known, start=1):
        log_e = process.update(new - old)
        if stopped_at is None and log_e >= -math.log(alpha):
            stopped_at, stopped_log_e = index, log_e
    old_mean = fmean(old for old, _, _ in known) if n else 0.0
    new_mean = fmean(new for _, new, _ in known) if n else 0.0
    status: Status = "drifted" if stopped_at is not None else "steady"
    if n < min_n:
        status = "not_enough_data"
    direction = directions[new_mean < old_mean] if status == "drifted" else None
    details |= {
        "direction": direction, "stopped_at": stopped_at, "reference_mean": old_mean, "current_mean": new_mean,
        "alpha": alpha,
    }  # fmt: skip
    if status == "not_enough_data":
        reason = f"{n} items have a {signal} in both runs: at least {min_n} are needed"
    elif status == "drifted":
        reason = f"the mean of {signal} went from {old_mean:.3f} to {new_mean:.3f} on {n} items ({direction})"
    else:
        reason = f"the mean of {signal} is {new_mean:.3f}, and was {old_mean:.3f}: no difference is certain"
    # The process stops at the alarm: its value there is an e-value, the largest one so far is none.
    log_e = process.log_e if stopped_log_e is None else stopped_log_e
    return Feature(
        signal=signal, status=status, reason=reason, effect=new_mean - old_mean if n else None,
        interval=process.interval(alpha) if n else None, e_value=math.exp(min(log_e, 700.0)),
        p_value=process.p_value if status != "not_enough_data" else None, reference_n=n, current_n=n,
        effective_n=float(n), cause="provider" if status == "drifted" else None,
        examples=_examples(known) if status == "drifted" else (), details=details,
    )  # fmt: skip


def _examples(known: Sequence[tuple[float, float, str | None]]) -> tuple[str, ...]:
    """Return traces of items whose value changed most, in the direction of the mean."""
    sign = 1 if fmean(new - old for old, new, _ in known) >= 0 else -1
    ordered = sorted(known, key=lambda one: -sign * (one[1] - one[0]))
    return tuple(dict.fromkeys(trace for old, new, trace in ordered if trace is not None and new != old))[:5]


def _distribution_feature(pairs: Sequence[tuple[Outcome, Outcome]], alpha: float, min_n: int) -> Feature:
    """Compare how often each answer is given: one paired test for each of the usual answers, and their mean e-value."""
    known = [(one.answer, other.answer) for one, other in pairs if one.answer is not None and other.answer is not None]
    n = len(known)
    # Of both sides together, so that the choice does not depend on which side is which.
    usual = {answer for answer, _ in Counter(one for pair in known for one in pair).most_common(_MOST_ANSWERS)}
    labelled = [tuple(one if one in usual else _OTHER for one in pair) for pair in known]
    answers = sorted({one for pair in labelled for one in pair})
    processes = {one: EProcess() for one in answers}
    stopped_at, peak, log_e = None, 0.0, 0.0
    for index, (old, new) in enumerate(labelled, start=1):
        for answer, process in processes.items():
            process.update((new == answer) - (old == answer))
        if stopped_at is None:
            log_e = _log_mean([one.log_e for one in processes.values()])
            peak = max(peak, log_e)
            stopped_at = index if peak >= -math.log(alpha) else None
    first, second = (Counter(pair[place] for pair in labelled) for place in (0, 1))
    status: Status = "not_enough_data" if n < min_n else "drifted" if stopped_at is not None else "steady"
    distance = total_variation(first, second) if n else None
    reason = f"{n} items have an answer in both runs: at least {min_n} are needed"
    if distance is not None and status != "not_enough_data":
        found = "are given to other shares" if status == "drifted" else "have about the same shares"
        reason = f"the answers {found} (total variation {distance:.3f} on {n} items)"
    details = {"stopped_at": stopped_at, "answers": len(answers), "alpha": alpha}
    return Feature(
        signal="answer_distribution", status=status, reason=reason, effect=distance,
        e_value=math.exp(min(log_e, 700.0)),
        p_value=None if status == "not_enough_data" else math.exp(-peak), reference_n=n, current_n=n,
        effective_n=float(n), cause="provider" if status == "drifted" else None,
        details=details | (_divergences(first, second, n) if n else {}),
    )  # fmt: skip


def _divergences(first: Counter[str], second: Counter[str], n: int) -> dict[str, float]:
    """Return the population stability index and the Jensen-Shannon distance (base 2) of two counts of n answers."""
    psi = divergence = 0.0
    for answer in first.keys() | second.keys():
        old, new = first[answer] / n, second[answer] / n
        safe_old, safe_new = max(old, 0.5 / n), max(new, 0.5 / n)
        psi += (safe_new - safe_old) * math.log(safe_new / safe_old)
        middle = (old + new) / 2
        divergence += sum(one / 2 * math.log2(one / middle) for one in (old, new) if one)
    return {"psi": psi, "jensen_shannon": math.sqrt(max(0.0, divergence))}


def _log_mean(logs: Sequence[float]) -> float:
    largest = max(logs)
    return largest + math.log(math.fsum(math.exp(one - largest) for one in logs) / len(logs))
