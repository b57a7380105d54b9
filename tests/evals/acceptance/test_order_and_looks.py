"""Cases 4 and 9: items in an order that tells the label, looks after every item, and many scores at once."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pytest
from thorough_cases import thorough

from llmops_sdk.evals import compare, gate
from llmops_sdk.evals.stats import EProcess, minimum_detectable_effect, paired_difference

DATA = Path(os.environ.get("LLMOPS_BENCH_DATA", "no data"))
PRIMES = DATA / "drift" / "model_update_prime.jsonl.gz"
needs_primes = pytest.mark.skipif(not PRIMES.is_file(), reason="LLMOPS_BENCH_DATA has no data sets")


@pytest.fixture(scope="module")
def primes():
    """Return the scores by id of the two snapshots of gpt-4."""
    with gzip.open(PRIMES, "rt", encoding="utf-8") as lines:
        answers = [json.loads(line) for line in lines]
    by_model = {
        model: {int(row["id"]): row["score"] for row in answers if row["model"] == model}
        for model in ("gpt-4-0314", "gpt-4-0613")
    }
    return [{number: by_model[model][number] for number in sorted(by_model[model])} for model in by_model]


def of_ten(number):
    return {"tens": int(number) // 10}


@needs_primes
def test_case_4_primes_are_worse_and_their_order_is_warned_of(primes, made):
    old, new = (made(name, {"right": values}, metadata=of_ten) for name, values in zip("ab", primes, strict=True))
    result = compare(old, new)
    row = result.row("right")

    assert row.difference == pytest.approx(-0.338, abs=1e-9)
    assert row.p_value == pytest.approx(2.812962599908218e-44, rel=1e-6)
    assert row.verdict == "worse"
    assert any("neighbouring" in warning for warning in result.warnings)
    # The last digits of shuffled ids tell nothing.
    shuffled = list(primes[0])
    random.Random(7).shuffle(shuffled)
    mixed = [
        made(name, {"right": {number: one[number] for number in shuffled}})
        for name, one in zip("ab", primes, strict=True)
    ]
    assert not any("neighbouring" in warning for warning in compare(*mixed).warnings)


@needs_primes
def test_case_4_standard_errors_of_the_primes(primes):
    old, new = (list(values.values()) for values in primes)
    paired = paired_difference(old, new)
    clustered = paired_difference(old, new, [number // 10 for number in primes[0]])

    assert paired.standard_error == pytest.approx(0.022411119076437443, abs=1e-6)
    assert clustered.standard_error == pytest.approx(0.06252647439285218, abs=1e-6)
    assert clustered.clusters == 100
    assert clustered.interval.high - clustered.interval.low > 2.5 * (paired.interval.high - paired.interval.low)


@needs_primes
def test_case_4_clusters_reach_the_comparison(primes, made):
    old, new = (made(name, {"right": values}, metadata=of_ten) for name, values in zip("ab", primes, strict=True))
    plain, clustered = compare(old, new).row("right"), compare(old, new, by="tens").row("right")

    assert clustered.clusters == 100
    assert clustered.interval.high - clustered.interval.low > 2.5 * (plain.interval.high - plain.interval.low)


def sorted_by_label(made, size=400):
    """Return two runs of equal means: what the change lost in the first half, it gained in the second."""
    old = {number: float(number < size // 2) for number in range(size)}
    new = {number: 1 - value for number, value in old.items()}
    return made("a", {"right": old}), made("b", {"right": new})


def test_case_4_a_sequential_gate_shuffles_items_that_are_sorted_by_label(made):
    result = compare(*sorted_by_label(made))
    unshuffled = EProcess(alternative="less")
    for difference in [-1.0] * 200 + [1.0] * 200:
        unshuffled.update(difference)

    assert unshuffled.rejects(0.05)
    assert any("neighbouring" in warning for warning in result.warnings)
    outcomes = [gate(result, rule="sequential", seed=seed).outcome for seed in range(40)]
    assert outcomes.count("fail") <= 5  # Binomial(40, .05) exceeds 5 in 1.4 %


def test_case_4_no_warning_where_the_order_tells_nothing(made):
    warned = 0
    for seed in range(60):
        draw = random.Random(seed)
        values = [{number: float(draw.random() < 0.5) for number in range(200)} for _ in "ab"]
        result = compare(*(made(name, {"right": one}) for name, one in zip("ab", values, strict=True)))
        warned += any("neighbouring" in warning for warning in result.warnings)
    assert warned <= 8


def null_stream(seed, size):
    draw = random.Random(seed)
    for _ in range(size):
        shared = draw.random()
        yield float(draw.random() < shared) - float(draw.random() < shared)


@pytest.mark.parametrize("streams", [60, thorough(400)])
def test_a_gate_that_is_looked_at_after_every_item_rarely_fails_falsely(streams):
    false = 0
    for seed in range(streams):
        process = EProcess(alternative="less")
        for difference in null_stream(seed, 300):
            process.update(difference)
        false += process.rejects(0.05)
    assert false <= 0.05 * streams


def language(item):
    return {"language": ("de", "it", "fr", "es", "en")[int(item) % 5]}


def null_runs(made, seed, size, scorers=12):
    """Return two runs of equal quality: 12 scores that depend on each other, in 5 slices."""
    draw = random.Random(seed)
    columns = ({f"score{n}": {} for n in range(scorers)}, {f"score{n}": {} for n in range(scorers)})
    for item in range(size):
        hardness = draw.random()
        for column in columns:
            luck = draw.random()
            for values in column.values():
                values[item] = float((luck + draw.random()) / 2 < hardness)
    return [made(name, one, metadata=language) for name, one in zip("ab", columns, strict=True)]


@pytest.mark.parametrize(
    ("rounds", "allowed"), [(12, 3), pytest.param(300, 23, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])]
)
def test_case_9_sixty_scores_under_the_null_show_no_false_regression(made, rounds, allowed):
    false = looked = 0
    for seed in range(rounds):
        result = compare(*null_runs(made, seed, 150), slices=["language"])
        looked = len(result.rows)
        false += bool(result.regressions())
        assert (gate(result).outcome == "fail") == bool(result.regressions())
    assert looked == 12 * 6
    # The chance of more is below 2.5 % where the rate of false alarms is 5 %.
    assert false <= allowed


def test_case_9_a_real_regression_is_still_found_among_sixty(made):
    first, second = null_runs(made, 3, 300)
    content = second.to_dict()
    for result in content["results"]:
        for score in result["scores"]:
            if score["scorer"] == "score4" and int(result["item_id"]) % 2:
                score["value"] = 0.0
    worse = compare(first, type(second).from_dict(content), slices=["language"])

    assert worse.row("score4").verdict == "worse"
    with pytest.raises(AssertionError, match="score4"):
        worse.assert_no_regression()
    assert gate(worse).exit_code == 1


@pytest.mark.parametrize("draws", [60, thorough(1000)])
def test_a_loss_of_ten_points_on_500_paired_items_is_found(draws):
    """Rate .8 to .7, correlated by .5."""
    both = 0.8 * 0.7 + 0.5 * (0.8 * 0.2 * 0.7 * 0.3) ** 0.5
    found = 0
    for seed in range(draws):
        draw = random.Random(seed)
        pairs = [_pair(draw.random(), both) for _ in range(500)]
        found += paired_difference(*zip(*pairs, strict=True)).p_value <= 0.05
    assert found >= 0.9 * draws
    assert minimum_detectable_effect(500, rate=0.8, rho=0.5) < 0.1


def _pair(where, both):
    if where < both:
        return 1.0, 1.0
    if where < 0.8:
        return 1.0, 0.0
    return (0.0, 1.0) if where < 0.8 + 0.7 - both else (0.0, 0.0)
