"""Train the injection model and write its weights; the same data give the same bytes on every machine.

Run it with `LLMOPS_BENCH_DATA=FOLDER python tools/train_injection.py`; with `--check` it only compares. It needs numpy
and takes about five minutes.

The model has two heads, each a logistic regression over windows of texts: one for attacks, and one for requests to a
model, which belong into no document. A text with an attack need not be an attack everywhere, so training alternates:
fit, then choose in each attack the windows that score highest, and in each harmless text the windows that look most
like an attack. The thresholds come from texts that the model of the other fold did not see.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID251 - a tool, not a part of the package
from injection_fit import Head, build_corpus, fit, sigmoid
from injection_rows import Row, fold_of, read_request_rows, read_rows

from llmops_sdk.guardrails.detectors.injection import _injection_features as features
from llmops_sdk.guardrails.detectors.injection._injection_model import FILE, Header, Model, pack

__all__ = ["build", "main"]

GROUP_WEIGHTS = {
    "inthewild": 4.0, "spikee": 3.0, "embedded": 2.0, "synthetic attack": 3.0, "synthetic embedded": 1.5,
    "roleplay": 5.0, "instructions": 2.0, "questions": 2.0, "mmlu": 1.5, "notinject": 1.5, "mail": 1.5,
    "xstest": 1.0, "harm": 1.0, "banking": 1.0, "clinc": 1.0, "synthetic prompt": 4.0, "synthetic document": 1.5,
}  # fmt: skip
REQUEST_WEIGHTS = {
    "synthetic request": 4.0, "utterance": 1.0, "question": 1.0, "instruction": 2.0, "safe": 0.5, "attack": 0.5,
    "bipia": 3.0, "mail": 5.0, "synthetic document": 4.0, "input": 2.0,
}  # fmt: skip
FPR = 0.02
"""The share of harmless texts that may be flagged, in each group: the hardest group sets the threshold.

That is role-play, harmless text in the style of a jailbreak. Over all texts alike its errors would hardly count.
"""
MAIL_FPR, DOCUMENT_FPR = 0.02, 0.01
"""The same for requests in clean mails, and in other documents."""


def _attack_features(codes: Any) -> tuple[Any, Any]:
    found = features.grams(codes)
    places = [np.arange(len(slots)) for slots in found.chars] + [found.starts[: len(slots)] for slots in found.words]
    slots = [*found.chars, *found.words, found.classed[1] + features.GRAM_SLOTS]
    return np.concatenate([*places, found.classed[0]]), np.concatenate(slots).astype("int64")


def _request_features(codes: Any) -> tuple[Any, Any]:
    found = features.grams(codes)
    places, slots = features.request_slots(codes, found)
    classed, class_slots = found.classed
    return np.concatenate([places, classed]), np.concatenate([slots, class_slots + features.REQUEST_SLOTS]).astype(
        "int64"
    )


def _factors(plain: int, words: int, classes: float, sequences: float) -> Any:
    factors = np.ones(plain + features.CLASS_SLOTS)
    factors[plain - words : plain] = 2.0
    factors[plain:] = classes
    factors[-1] = sequences
    return factors


def _heads() -> tuple[Head, Head]:
    attacks = Head(
        _attack_features, features.GRAM_SLOTS, _factors(features.GRAM_SLOTS, features.WORD_SLOTS, 0.5, 48.0),
        (features.WINDOW, features.STRIDE), GROUP_WEIGHTS,
    )  # fmt: skip
    requests = Head(
        _request_features, features.REQUEST_SLOTS, _factors(features.REQUEST_SLOTS, 0, 0.5, 0.5),
        (features.REQUEST_WINDOW, features.REQUEST_STRIDE), REQUEST_WEIGHTS,
    )  # fmt: skip
    return attacks, requests


def _scores(head: Head, rows: Sequence[Row], worth: Any, bias: float) -> Any:
    """Return the highest score of the windows of each row."""
    tops = []
    for row in rows:
        codes = features.fold(row.text).codes[: features.CHUNK]
        places, slots = head.features(codes)
        sums = np.concatenate([[0.0], np.cumsum(np.bincount(places, worth[slots], len(codes)))])
        starts, ends = features.window_bounds(len(codes), *head.window)
        scores = (sums[ends] - sums[starts]) / np.sqrt(np.maximum(ends - starts, features.SHORTEST))
        tops.append(float(scores.max()) + bias)
    return np.array(tops)


def _trained(head: Head, rows: Sequence[Row]) -> tuple[Any, float, Any]:
    """Return the worth of each slot, the bias, and the score of each row by the model of the other fold."""
    folds = np.array([fold_of(row) for row in rows])
    scores = np.zeros(len(rows))
    for fold in (0, 1):
        others = [row for row, one in zip(rows, folds, strict=True) if one != fold]
        own = [row for row, one in zip(rows, folds, strict=True) if one == fold]
        scores[folds == fold] = _scores(head, own, *fit(head, build_corpus(head, others), others))
    return *fit(head, build_corpus(head, rows), rows), scores


def _quantised(worth: Any, plain: int) -> tuple[Any, Any, float]:
    """Return the table of n-grams, the table of classes and the worth of a unit."""
    largest = np.sort(np.abs(worth[:plain]))[::-1]
    unit = float(np.round(largest[np.count_nonzero(largest) // 1_500] / 127, 6))  # the largest few are cut off
    grams = np.clip(np.rint(worth[:plain] / unit), -127, 127).astype("int8")
    return grams, np.clip(np.rint(worth[plain:] / unit), -32_767, 32_767).astype("int16"), unit


def _platt(scores: Any, labels: Any, weights: Any) -> tuple[float, float]:
    """Return slope and offset of the calibration, by Newton's method."""
    slope, offset = 1.0, 0.0
    for _ in range(30):
        chances = sigmoid(slope * scores + offset)
        errors, curve = weights * (chances - labels), weights * chances * (1 - chances)
        a, b, c = (math.fsum(curve * scores**power) for power in (2, 1, 0))
        x, y = math.fsum(errors * scores), math.fsum(errors)
        determinant = a * c - b * b
        slope -= (c * x - b * y) / determinant
        offset -= (a * y - b * x) / determinant
    return round(slope, 4), round(offset, 4)


def _quantile(scores: Any, share: float) -> float:
    """Return the highest score of a text that must pass if so large a share may be flagged."""
    return float(np.sort(scores)[::-1][math.floor(share * len(scores))])


def _calibration(rows: Sequence[Row], scores: Any) -> dict[str, Any]:
    """Return slope, offset and threshold, and how many harmless texts reach it."""
    groups = np.array([row.group for row in rows])
    labels = np.array([row.label for row in rows])
    weights, hardest = np.zeros(len(rows)), -math.inf
    for group in sorted(set(groups.tolist())):
        chosen = groups == group
        weights[chosen] = 1 / int(chosen.sum())
        if not labels[chosen][0]:
            hardest = max(hardest, _quantile(scores[chosen], FPR))
    for label in (0, 1):
        weights[labels == label] /= math.fsum(weights[labels == label])
    slope, offset = _platt(scores, labels, weights)
    # Rounded up, so that the text which must just pass does pass.
    threshold = math.floor(1e4 / (1 + math.exp(-(slope * hardest + offset))) + 1) / 1e4
    limit = math.log(threshold / (1 - threshold))
    harmless = slope * scores[labels == 0] + offset
    return {
        "slope": slope, "offset": offset, "threshold": threshold,
        "calibrated_fpr": round(float(np.mean(harmless >= limit)), 6), "calibrated_on": len(harmless),
    }  # fmt: skip


def _request_bias(rows: Sequence[Row], scores: Any, bias: float, slope: float, threshold: float) -> float:
    """Return the bias with which clean documents reach the threshold as rarely as they may.

    The quantile lies between two scores: of 37 mails, the highest alone would allow none, which is not 2 %.
    """
    allowed = {"mail": MAIL_FPR, "synthetic document": DOCUMENT_FPR, "input": DOCUMENT_FPR}
    groups = np.array([row.group for row in rows])
    hardest = max(float(np.quantile(scores[groups == group], 1 - share)) for group, share in allowed.items())
    return round(slope * (bias - hardest) + math.log(threshold / (1 - threshold)) - 1e-4, 6)


def build(folder: Path) -> bytes:
    """Return the bytes of the weights file that the data in a folder give.

    Args:
        folder: The folder with the data sets, as in `LLMOPS_BENCH_DATA`.
    """
    attacks, requests = _heads()
    rows = [row for row in read_rows(folder) if row.part != "score"]
    worth, bias, scores = _trained(attacks, rows)
    grams, classes, unit = _quantised(worth, attacks.plain)
    calibration = _calibration(rows, scores)
    slope = calibration["slope"]  # also of the logits for requests, so that scores of both spread alike
    rows = read_request_rows(folder)
    worth, request_bias, scores = _trained(requests, rows)
    request_grams, request_classes, request_unit = _quantised(worth, requests.plain)
    header = Header(
        version="", unit=unit, bias=round(bias, 6), request_unit=round(slope * request_unit, 6),
        request_bias=_request_bias(rows, scores, request_bias, slope, calibration["threshold"]), **calibration,
    )  # fmt: skip
    model = Model(header, grams, classes, request_grams, request_classes)
    version = f"2.{hashlib.sha256(pack(model)).hexdigest()[:8]}"
    return pack(model._replace(header=dataclasses.replace(header, version=version)))


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
