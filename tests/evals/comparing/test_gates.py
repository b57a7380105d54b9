"""Gates: what passes, what fails, what is undecided, and how often a gate is wrong."""

from __future__ import annotations

import random

import pytest
from experiments import experiment

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals import Comparison, calibrate, gate

SAME = [1.0] * 60 + [0.0] * 40
WORSE = [1.0] * 40 + [0.0] * 60
BETTER = [1.0] * 80 + [0.0] * 20


def _compared(old: list[float], new: list[float], kind: str = "function") -> Comparison:
    return experiment("old", old, identity={"kind": kind}).compare(experiment("new", new, identity={"kind": kind}))


@pytest.mark.parametrize("rule", ["regression", "sequential"])
def test_a_loss_beyond_chance_fails_and_others_pass(rule: str) -> None:
    found = [gate(_compared(SAME, new), rule=rule) for new in (WORSE, SAME, BETTER)]  # pyright: ignore[reportArgumentType]
    assert [one.outcome for one in found] == ["fail", "pass", "pass"]
    assert [one.exit_code for one in found] == [1, 0, 0]


def test_a_loss_within_the_margin_passes() -> None:
    comparison = _compared(SAME, WORSE)
    assert gate(comparison, margin=0.05).outcome == "fail"
    within = gate(comparison, margin=0.25)
    assert (within.outcome, within.rows[0].reason) == ("pass", "worse by 0.2, within the margin of 0.25")
    assert gate(comparison, rule="sequential", margin=0.25).outcome == "pass"


def test_a_pass_says_which_loss_it_would_have_missed() -> None:
    pick = random.Random(1)
    old, new = ([float(pick.random() < 0.6) for _ in range(100)] for _ in range(2))
    assert "would have shown in 80 % of such comparisons" in gate(_compared(old, new)).rows[0].reason


def test_doing_no_harm_needs_evidence() -> None:
    many = SAME * 20
    assert gate(_compared(many, many), rule="non_inferiority", margin=0.02).outcome == "pass"
    few = gate(_compared(SAME[40:80], SAME[40:80]), rule="non_inferiority", margin=0.02)
    assert (few.outcome, few.exit_code) == ("undecided", 2)
    assert "the margin is 0.02" in few.rows[0].reason
    assert gate(_compared(SAME, WORSE), rule="non_inferiority", margin=0.02).outcome == "fail"


def test_no_pair_is_undecided() -> None:
    comparison = experiment("old", [1.0, 0.0]).compare(experiment("new", [None, None]))
    found = gate(comparison, scorers=["exact"])
    assert (found.outcome, found.rows[0].reason) == ("undecided", "no item has a score in both experiments")


def test_one_item_or_one_cluster_is_undecided() -> None:
    lost = [1.0] * 20, [0.0] * 20
    clustered = [
        experiment(name, values, metadata=[{"doc": "d"}] * 20) for name, values in zip("ab", lost, strict=True)
    ]
    for comparison in (_compared([1.0], [0.0]), clustered[0].compare(clustered[1], by="doc")):
        found = gate(comparison)
        assert (found.outcome, found.rows[0].reason) == ("undecided", "fewer than two independent items")


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_a_margin_is_a_finite_number(margin: float) -> None:
    comparison = _compared(SAME, WORSE)
    with pytest.raises(ConfigError, match="margin is"):
        gate(comparison, margin=margin)
    with pytest.raises(ConfigError, match="margin is"):
        comparison.regressions(margin)


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_alpha_is_a_share(alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha is"):
        experiment("a", SAME).compare(experiment("b", SAME), alpha=alpha)


def test_many_scores_that_lost_what_is_acceptable_seldom_fail() -> None:
    """Twenty scorers lose just the margin. Without an adjustment a third of the gates fails."""
    pick = random.Random(4)
    failed = 0
    for _ in range(60):
        old = {f"s{n}": [pick.random() for _ in range(40)] for n in range(20)}
        new = {name: [value - 0.2 + pick.gauss(0, 0.1) for value in values] for name, values in old.items()}
        comparison = experiment("old", old).compare(experiment("new", new))
        assert len(comparison.regressions()) == 20
        failed += bool(comparison.regressions(0.2))
        assert (gate(comparison, margin=0.2).outcome == "fail") == bool(comparison.regressions(0.2))
    assert failed <= 6


def test_a_judge_decides_only_when_it_was_measured_and_is_good_enough() -> None:
    comparison = _compared(SAME, WORSE, kind="judge")
    assert comparison.judges == ("exact",)
    unmeasured = gate(comparison)
    assert unmeasured.outcome == "undecided"
    assert "not calibrated" in unmeasured.rows[0].reason
    assert gate(comparison, uncalibrated="allow").outcome == "fail"
    wrong = calibrate(["good"] * 26 + ["bad"] * 108, ["good"] * 134, judge="exact")
    assert "accuracy is 0.194" in gate(comparison, judges={"exact": wrong}, uncalibrated="allow").rows[0].reason
    good = calibrate(["good"] * 95 + ["bad"] * 5, ["good"] * 100, judge="exact")
    assert gate(comparison, judges={"exact": good}).outcome == "fail"
    assert gate(_compared(SAME, WORSE), judges={}).outcome == "fail"


def test_only_the_chosen_scorers_count() -> None:
    old = experiment("old", {"good": SAME, "bad": SAME})
    comparison = old.compare(experiment("new", {"good": SAME, "bad": WORSE}))
    assert gate(comparison).outcome == "fail"
    assert gate(comparison, scorers=["good"]).outcome == "pass"
    with pytest.raises(ConfigError, match="the scorers of the comparison are good, bad"):
        gate(comparison, scorers=["other"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rule": "strict"}, "'regression', 'non_inferiority' or 'sequential'"),
        ({"margin": -0.1}, "0 or more"),
        ({"rule": "non_inferiority"}, "above 0 for this rule"),
    ],
)
def test_invalid_arguments_say_what_to_give(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        gate(_compared(SAME, SAME), **options)  # pyright: ignore[reportArgumentType]


def test_the_sequential_rule_needs_bounded_scores() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        gate(_compared([10.0, 20.0], [1.0, 2.0]), rule="sequential")


def test_the_sequential_rule_shuffles_items_that_are_sorted_by_label() -> None:
    # In file order the first 20 items are all lost; over all 200 the change is nil.
    old, new = [1.0] * 20 + [0.0] * 20 + [1.0] * 160, [0.0] * 20 + [1.0] * 20 + [1.0] * 160
    assert gate(_compared(old, new), rule="sequential").outcome == "pass"


def test_items_of_a_cluster_count_once_in_the_sequential_rule() -> None:
    groups = [{"cluster": n // 50} for n in range(200)]
    old, new = experiment("old", [1.0] * 200, metadata=groups), experiment("new", [0.0] * 200, metadata=groups)
    assert gate(old.compare(new), rule="sequential").outcome == "pass"  # four documents are no evidence
    assert gate(_compared([1.0] * 200, [0.0] * 200), rule="sequential").outcome == "fail"


@pytest.mark.thorough
def test_a_sequential_gate_that_is_run_again_and_again_rarely_fails_without_a_change() -> None:
    pick = random.Random(5)
    runs, failed = 100, 0
    for _ in range(runs):
        values = [[float(pick.random() < 0.7) for _ in range(200)] for _ in range(2)]
        failed += any(
            gate(_compared(values[0][:n], values[1][:n]), rule="sequential").outcome == "fail"
            for n in range(20, 201, 20)
        )
    assert failed <= 5
