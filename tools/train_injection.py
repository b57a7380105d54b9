"""Train the injection model and write its weights; the same data give the same bytes on every machine.

Run it with `LLMOPS_BENCH_DATA=FOLDER python tools/train_injection.py`; with `--check` it only compares. It needs numpy
and takes one or two minutes.

The model is a logistic regression over windows of texts. A text with an attack need not be an attack everywhere, so
training alternates: fit, then choose in each attack the windows that score highest, and in each harmless text the
windows that look most like an attack. Sums run in a fixed order (`bincount`, `cumsum`), and `exp` is made of additions
and multiplications, as the library functions differ in the last bit from machine to machine.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - a tool, not a part of the package
from injection_rows import Row, read_rows

from llmops_sdk.guardrails.detectors.injection import _injection_features as features
from llmops_sdk.guardrails.detectors.injection._injection import windows
from llmops_sdk.guardrails.detectors.injection._injection_model import FILE, Header, Model, pack

__all__ = ["build", "main"]

GROUP_WEIGHTS = {
    "inthewild": 4.0, "spikee": 3.0, "embedded": 2.0,
    "roleplay": 5.0, "instructions": 2.0, "questions": 2.0, "mmlu": 1.5, "notinject": 1.5, "mail": 1.5,
    "xstest": 1.0, "harm": 1.0, "banking": 1.0, "clinc": 1.0,
}  # fmt: skip
ATTACKS = ("inthewild", "spikee", "embedded")
ROUNDS, STEPS, RATE, DECAY = 2, 30, 4.0, 1e-4
WORDS, CLASSES, SEQUENCES = 2.0, 0.5, 48.0
KEPT = (0.3, 0.05)  # the share of its windows that a harmless text and an attack keep from the second round on
FPR = 0.01
"""The share of harmless calibration texts that may be flagged, in each group: the hardest group sets the threshold.

That is role-play, harmless text in the style of a jailbreak. Over all texts alike its errors would hardly count.
"""


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


def _features(codes: Any) -> tuple[Any, Any]:
    found = features.grams(codes)
    places = [np.arange(len(slots)) for slots in found.chars] + [found.starts[: len(slots)] for slots in found.words]
    slots = [*found.chars, *found.words, found.classed[1] + features.GRAM_SLOTS]
    return np.concatenate([*places, found.classed[0]]), np.concatenate(slots).astype("int64")


def _labels(row: Row, folded: features.Folded, starts: Any, ends: Any) -> Any:
    """Return 1 for windows of an attack, 0 for harmless ones, and -1 for those with a small part of an attack."""
    if row.span is None or not row.label:
        return np.full(len(starts), row.label)
    low, high = row.span if folded.places is None else np.searchsorted(folded.places, row.span)
    shared = np.minimum(ends, high) - np.maximum(starts, low)
    return np.where(shared >= 0.5 * np.minimum(high - low, ends - starts), 1, np.where(shared > 0, -1, 0))


def _corpus(rows: Sequence[Row]) -> Corpus:
    places, slots, rows_of, starts, ends, owners, labels, base = [], [], [], [], [], [], [], 0
    for number, row in enumerate(rows):
        folded = features.fold(row.text)
        codes = folded.codes[: features.CHUNK]
        where, slot = _features(codes)
        places.append(where + base)
        slots.append(slot)
        rows_of.append(np.full(len(slot), number))
        first, last = features.window_bounds(len(codes))
        starts.append(first + base)
        ends.append(last + base)
        owners.append(np.full(len(first), number))
        labels.append(_labels(row, folded, first, last))
        base += len(codes)
    place, slot, row_of = (np.concatenate(one) for one in (places, slots, rows_of))
    pairs = np.unique(slot * len(rows) + row_of)
    seen_in = np.bincount(pairs // len(rows), minlength=features.GRAM_SLOTS + features.CLASS_SLOTS)
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


def _sigmoid(values: Any) -> Any:
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


def _fit(corpus: Corpus, rows: Sequence[Row]) -> tuple[Any, float]:
    """Return the worth of each column and the bias, by accelerated gradient descent."""
    groups = [row.group for row in rows]
    row_weights = np.array([GROUP_WEIGHTS[group] / groups.count(group) for group in groups])
    scale = corpus.rarity * np.where(corpus.columns >= features.GRAM_SLOTS - features.WORD_SLOTS, WORDS, 1.0)
    scale[corpus.columns >= features.GRAM_SLOTS] = CLASSES
    scale[corpus.columns == features.GRAM_SLOTS + features.CLASS_SLOTS - 1] = SEQUENCES
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
            errors = weights * (_sigmoid(scored(ahead, bias_ahead)) - corpus.labels)
            opened = np.bincount(corpus.starts, weights=errors * norms, minlength=size)
            at = np.cumsum(opened - np.bincount(corpus.ends, weights=errors * norms, minlength=size))
            slopes = np.bincount(corpus.slots, weights=at[corpus.places], minlength=len(values)) * scale
            before, bias_before = values, bias
            values = ahead - RATE * (slopes + DECAY * ahead)
            bias = bias_ahead - RATE * float(np.cumsum(errors)[-1])
            momentum = (step + 1) / (step + 4)
            ahead = values + momentum * (values - before)
            bias_ahead = bias + momentum * (bias - bias_before)
    return scale * values, bias


def _quantised(corpus: Corpus, worth: Any, bias: float) -> Model:
    whole = np.zeros(features.GRAM_SLOTS + features.CLASS_SLOTS)
    whole[corpus.columns] = worth
    grams = whole[: features.GRAM_SLOTS]
    largest = np.sort(np.abs(grams))[::-1]
    unit = float(np.round(largest[len(largest) // 10_000] / 127, 6))  # one in ten thousand is cut off
    header = Header(
        version="", unit=unit, bias=round(bias, 6), slope=1.0, offset=0.0, threshold=0.5, calibrated_fpr=0.0,
        calibrated_on=0,
    )  # fmt: skip
    cut = np.clip(np.rint(grams / unit), -127, 127).astype("int8")
    return Model(header, cut, np.rint(whole[features.GRAM_SLOTS :] / unit).astype("int16"))


def _platt(scores: Any, labels: Any, weights: Any) -> tuple[float, float]:
    """Return slope and offset of the calibration, by Newton's method."""
    slope, offset = 1.0, 0.0
    for _ in range(30):
        chances = _sigmoid(slope * scores + offset)
        errors, curve = weights * (chances - labels), weights * chances * (1 - chances)
        a, b, c = (math.fsum(curve * scores**power) for power in (2, 1, 0))
        x, y = math.fsum(errors * scores), math.fsum(errors)
        determinant = a * c - b * b
        slope -= (c * x - b * y) / determinant
        offset -= (a * y - b * x) / determinant
    return round(slope, 4), round(offset, 4)


def _calibrated(model: Model, rows: Sequence[Row]) -> Model:
    """Return the model with its calibration, and its threshold."""
    tops = [max(float(part.logits.max()) for part in windows(features.fold(row.text).codes, model)) for row in rows]
    groups = np.array([row.group for row in rows])
    labels = np.array([row.label for row in rows])
    scores, weights = np.array(tops), np.zeros(len(rows))
    hardest = -math.inf
    for group in sorted(set(groups.tolist())):
        chosen = groups == group
        weights[chosen] = 1 / int(chosen.sum())
        if group not in ATTACKS:
            hardest = max(hardest, float(np.sort(scores[chosen])[::-1][math.floor(FPR * int(chosen.sum()))]))
    for label in (0, 1):
        weights[labels == label] /= math.fsum(weights[labels == label])
    slope, offset = _platt(scores, labels, weights)
    harmless = np.flatnonzero(labels == 0)
    # Rounded up, so that the text which must just pass does pass.
    threshold = math.floor(1e4 / (1 + math.exp(-(slope * hardest + offset))) + 1) / 1e4
    limit = math.log(threshold / (1 - threshold))
    share = float(np.mean(slope * scores[harmless] + offset >= limit))
    header = Header(
        version="", unit=model.header.unit, bias=model.header.bias, slope=slope, offset=offset, threshold=threshold,
        calibrated_fpr=round(share, 6), calibrated_on=len(harmless),
    )  # fmt: skip
    digest = hashlib.sha256(pack(model._replace(header=header))).hexdigest()
    return model._replace(header=Header(**{**vars(header), "version": f"1.{digest[:8]}"}))


def build(folder: Path) -> bytes:
    """Return the bytes of the weights file that the data in a folder give.

    Args:
        folder: The folder with the data sets, as in `LLMOPS_BENCH_DATA`.
    """
    rows = read_rows(folder)
    training = [row for row in rows if row.part == "train"]
    corpus = _corpus(training)
    model = _quantised(corpus, *_fit(corpus, training))
    return pack(_calibrated(model, [row for row in rows if row.part == "calibrate"]))


def main() -> int:
    """Write the weights, or with `--check` tell whether they are those that the data give."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("LLMOPS_BENCH_DATA", ""))
    if not (folder / "guard").is_dir():
        print("set LLMOPS_BENCH_DATA to the folder with the data sets", file=sys.stderr)
        return 2
    path = Path(features.__file__).with_name(FILE)
    data = build(folder)
    if arguments.check:
        same = path.read_bytes() == data
        print("the weights are those that the data give" if same else "the weights differ")
        return 0 if same else 1
    path.write_bytes(data)
    print(data.partition(b"\n")[0].decode(), len(data), "bytes, SHA-256", hashlib.sha256(data).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
