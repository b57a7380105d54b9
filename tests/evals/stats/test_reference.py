"""The reference values, on the data in the folder that LLMOPS_BENCH_DATA names."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llmops_sdk.evals.stats import EProcess, agreement, mcnemar, mean_estimate, paired_difference, ppi, wilson_interval

DATA = Path(os.environ.get("LLMOPS_BENCH_DATA", "no data"))

pytestmark = pytest.mark.skipif(not (DATA / "evals").is_dir(), reason="LLMOPS_BENCH_DATA has no data sets")


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    return json.loads((DATA / "evals" / "statistics_reference.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def pairs() -> list[dict[str, Any]]:
    return rows("evals/judge_pairs_dev.jsonl.gz")


def majority(row: dict[str, Any]) -> int:
    return Counter(row["humans"]).most_common(1)[0][0]


@pytest.mark.parametrize("models", [("gpt-4-0314", "gpt-4-0613"), ("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613")])
def test_primes(models: tuple[str, str], reference: dict[str, Any]):
    expected = reference[f"prime {models[0]} -> {models[1]}"]
    scores: dict[str, dict[int, float]] = {model: {} for model in models}
    for row in rows("drift/model_update_prime.jsonl.gz"):
        scores.setdefault(row["model"], {})[int(row["id"])] = row["score"]
    ids = sorted(scores[models[0]])
    old, new = ([scores[model][item] for item in ids] for model in models)
    result = paired_difference(old, new)
    clustered = paired_difference(old, new, [item // 10 for item in ids])
    gained, lost = (sum(one - other == sign for one, other in zip(new, old, strict=True)) for sign in (1, -1))

    assert (result.n, gained, lost, clustered.clusters) == (
        expected["n"], expected["gained"], expected["lost"], expected["clusters"],
    )  # fmt: skip
    assert result.difference == pytest.approx(expected["diff"], abs=1e-9)
    assert result.standard_error == pytest.approx(expected["paired_se"], abs=1e-9)
    assert clustered.standard_error == pytest.approx(expected["cluster_se_id_div_10_CR0"], abs=1e-9)
    unpaired = sum(mean_estimate(each).standard_error ** 2 for each in (old, new)) ** 0.5
    # The reference divides by n, `mean_estimate` by n - 1.
    assert unpaired == pytest.approx(expected["unpaired_se"], rel=1e-3)
    assert result.p_value == mcnemar(gained, lost) == pytest.approx(expected["mcnemar_exact_p"], rel=1e-6)
    for name, each in (("old", old), ("new", new)):
        assert wilson_interval(sum(each), len(each)) == pytest.approx(expected[f"wilson_{name}"], abs=1e-9)
    process, reached = EProcess(), {}
    for index, (before, after) in enumerate(zip(old, new, strict=True), 1):
        process.update(after - before)
        for bound in (20, 100):
            if process.e_value >= bound:
                reached.setdefault(bound, index)
    assert process.log_e == pytest.approx(expected["logW_end"], abs=1e-9)
    assert reached == {bound: expected[f"e_process_first_index_W_ge_{bound}"] for bound in (20, 100)}


def test_ppi(pairs: list[dict[str, Any]], reference: dict[str, Any]):
    expected = reference["ppi++ first 100 rows labelled"]
    human = [{1: 1.0, 2: 0.0}.get(majority(row), 0.5) for row in pairs]
    judge = [{"1": 1.0, "2": 0.0}.get(row["judge_gpt35"], 0.5) for row in pairs]
    result = ppi(human[:100], judge[:100], judge[100:])

    assert result.lam == pytest.approx(expected["lam"], abs=1e-9)
    assert result.estimate == pytest.approx(expected["theta"], abs=1e-9)
    assert result.standard_error == pytest.approx(expected["se"], abs=1e-9)
    assert result.human_only[:2] == pytest.approx(expected["human_only"], abs=1e-9)
    assert result.judge_only == pytest.approx(expected["judge_only"], abs=1e-9)


def test_agreement(pairs: list[dict[str, Any]], reference: dict[str, Any]):
    expected = reference["cohen kappa valid verdicts"]
    verdicts = {"1": 1, "2": 2, "Tie": 0}
    people = [majority(row) for row in pairs]
    valid = agreement(people, [verdicts.get(row["judge_gpt35"]) for row in pairs])
    with_garbage = agreement(people, [verdicts.get(row["judge_gpt35"], -1) for row in pairs])
    humans = agreement(*zip(*(row["humans"] for row in pairs), strict=True))

    assert valid.items == expected["n"]
    assert valid.share == pytest.approx(expected["agree"], abs=1e-9)
    assert valid.kappa == pytest.approx(expected["kappa"], abs=1e-9)
    assert with_garbage.share == pytest.approx(expected["agree_garbage_wrong"], abs=1e-9)
    assert humans.alpha == pytest.approx(reference["krippendorff alpha nominal 3 humans"], abs=1e-9)
