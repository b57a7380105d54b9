"""Two experiments, paired by item: what changed, what is missing, and what a reader must know."""

from __future__ import annotations

import random

import pytest
from experiments import experiment, result
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import ConfigError, RegressionError
from llmops_sdk.evals import Experiment

OLD = [1.0] * 60 + [0.0] * 40
NEW = [1.0] * 40 + [0.0] * 60


def _of(name: str, *results: object) -> Experiment:
    return Experiment(id=name, name=name, results=results, scorers={"exact": {"higher_is_better": True}})  # pyright: ignore[reportArgumentType]


def test_a_row_has_the_paired_difference_with_interval_and_verdict() -> None:
    row = experiment("old", OLD).compare(experiment("new", NEW)).row("exact")
    assert (row.n, row.mean_a, row.mean_b, row.difference) == (100, 0.6, 0.4, pytest.approx(-0.2))
    assert row.interval is not None
    assert row.interval.low < -0.2 < row.interval.high < 0
    assert (row.verdict, row.method, row.clusters) == ("worse", "mcnemar", 100)
    assert row.p_value == pytest.approx(2.0**-19)


def test_the_other_way_round_it_is_better_and_for_errors_it_is_turned() -> None:
    old, new = experiment("old", NEW), experiment("new", OLD)
    assert old.compare(new).row("exact").verdict == "better"
    errors = {"higher_is_better": False}
    turned = experiment("old", NEW, identity=errors).compare(experiment("new", OLD, identity=errors)).row("exact")
    assert (turned.verdict, turned.loss) == ("worse", pytest.approx(0.2))


def test_little_evidence_is_undecided_and_says_what_it_could_have_seen() -> None:
    row = experiment("old", [1.0] * 6 + [0.0] * 4).compare(experiment("new", [1.0] * 5 + [0.0] * 5)).row("exact")
    assert row.verdict == "undecided"
    assert row.mde is not None
    assert 0.1 < row.mde < 1


def test_items_of_one_experiment_only_are_listed_and_in_no_mean() -> None:
    # Five items are gone, and three are new: the pairs are those of the other twenty.
    old = _of("old", *(result(f"i{n}", {"exact": float(n % 2)}) for n in range(25)))
    new = _of("new", *(result(f"i{n}", {"exact": 1.0}) for n in range(5, 28)))
    comparison = old.compare(new)
    assert comparison.only_in_a == tuple(f"i{n}" for n in range(5))
    assert comparison.only_in_b == ("i25", "i26", "i27")
    row = comparison.row("exact")
    assert (row.n, row.mean_a, row.mean_b) == (20, 0.5, 1.0)


def test_a_failing_judge_is_a_column_with_bounds_and_never_nan() -> None:
    old, new = [1.0] * 50 + [0.0] * 50, [None] * 4 + [1.0] * 46 + [0.0] * 50
    row = experiment("old", old).compare(experiment("new", new)).row("exact")
    assert (row.n, row.n_a_only, row.failed_a, row.failed_b) == (96, 4, 0, 4)
    assert row.difference == 0
    assert row.worst_case is not None
    assert tuple(row.worst_case) == pytest.approx((-0.04, 0.0))


def test_repeats_of_an_item_are_one_value() -> None:
    old = _of("old", *(result(f"i{n}", {"exact": float(r == 0)}, repeat=r) for n in range(10) for r in range(4)))
    new = _of("new", *(result(f"i{n}", {"exact": 1.0}, repeat=r) for n in range(10) for r in range(2)))
    row = old.compare(new).row("exact")
    assert (row.n, row.mean_a, row.difference) == (10, 0.25, 0.75)


def test_tasks_that_fail_more_often_are_worse() -> None:
    old = _of("old", *(result(f"i{n}", {"exact": 1.0}) for n in range(40)))
    new = _of("new", *(result(f"i{n}", {"exact": 1.0}, status="error" if n < 15 else "ok") for n in range(40)))
    row = old.compare(new).row("task_failed")
    assert (row.mean_a, row.mean_b, row.verdict) == (0.0, 0.375, "worse")


def test_clusters_widen_the_interval() -> None:
    pick = random.Random(1)
    shared = [pick.choice([0.0, 1.0]) for _ in range(20)]
    old, new = [0.5] * 200, [shared[n // 10] for n in range(200)]
    groups = [{"document": n // 10} for n in range(200)]
    baseline, change = experiment("old", old, metadata=groups), experiment("new", new, metadata=groups)
    alone, grouped = baseline.compare(change).row("exact"), baseline.compare(change, by="document").row("exact")
    by_function = baseline.compare(change, by=lambda one: one.metadata["document"]).row("exact")
    assert (alone.clusters, grouped.clusters, by_function.interval) == (200, 20, grouped.interval)
    assert alone.interval is not None
    assert grouped.interval is not None
    assert grouped.interval.high - grouped.interval.low > 2.5 * (alone.interval.high - alone.interval.low)


def test_a_cluster_of_every_item_counts_without_being_asked_for() -> None:
    groups = [{"cluster": n // 5} for n in range(50)]
    row = (
        experiment("a", [0.0] * 50, metadata=groups).compare(experiment("b", [1.0] * 50, metadata=groups)).row("exact")
    )
    assert row.clusters == 10


def test_slices_have_rows_of_their_own() -> None:
    parts = [{"language": "de" if n < 50 else "en"} for n in range(100)]
    comparison = experiment("old", OLD, metadata=parts).compare(experiment("new", NEW), slices=["language"])
    assert [row.slice for row in comparison] == ["", "language=de", "language=en"]
    assert [comparison.row("exact", f"language={code}").n for code in ("de", "en")] == [50, 50]
    whole = comparison.row("exact")
    assert whole.p_value is not None
    assert whole.p_adjusted is not None
    assert whole.p_adjusted > whole.p_value


def test_a_regression_is_an_assertion_error_that_names_the_scores() -> None:
    comparison = experiment("old", OLD).compare(experiment("new", NEW))
    with pytest.raises(RegressionError, match=r"exact: 0\.6 -> 0\.4, difference -0\.2 .*, n 100") as caught:
        comparison.assert_no_regression()
    assert isinstance(caught.value, AssertionError)
    assert caught.value.scorers == ("exact",)
    comparison.assert_no_regression(margin=0.3)
    experiment("old", NEW).compare(experiment("new", OLD)).assert_no_regression()


def test_nothing_in_common_is_no_pass() -> None:
    old, new = _of("old", result("a", {"exact": 1.0})), _of("new", result("b", {"exact": 1.0}))
    comparison = old.compare(new)
    assert "no item in common" in comparison.warnings[0]
    with pytest.raises(ConfigError, match="nothing to compare"):
        comparison.assert_no_regression()


def test_items_sorted_by_label_are_warned_of_and_shuffled_ones_are_not() -> None:
    # The prime numbers of the reference come sorted: 500 that are prime, 500 that are not.
    expected = ["yes"] * 500 + ["no"] * 500
    old = [1.0] * 1000
    new = [1.0] * 480 + [0.0] * 20 + [0.0] * 450 + [1.0] * 50
    ordered = experiment("old", old, expected=expected).compare(experiment("new", new, expected=expected))
    assert any("sorted by what is expected" in warning for warning in ordered.warnings)
    assert any("neighbouring items are alike" in warning for warning in ordered.warnings)
    places = list(range(1000))
    random.Random(3).shuffle(places)
    mixed = experiment("old", old, expected=[expected[n] for n in places]).compare(
        experiment("new", [new[n] for n in places])
    )
    assert mixed.warnings == ()
    groups = [{"cluster": n // 10} for n in range(1000)]
    grouped = experiment("old", old, expected=expected, metadata=groups).compare(experiment("new", new))
    assert grouped.warnings == ()


def test_order_warnings_are_rarely_false() -> None:
    pick = random.Random(7)
    false = 0
    for _ in range(300):
        expected = [pick.choice("abc") for _ in range(120)]
        old, new = ([float(pick.random() < 0.7) for _ in range(120)] for _ in range(2))
        comparison = experiment("old", old, expected=expected).compare(experiment("new", new))
        false += bool(comparison.warnings)
    assert false <= 3


@pytest.mark.thorough
def test_many_scores_and_slices_without_a_change_give_few_false_regressions() -> None:
    # Twelve scorers in five slices; at most 5 % of the comparisons may show any regression.
    pick = random.Random(11)
    parts = [{"part": n % 5} for n in range(250)]
    runs, false = 60, 0
    for _ in range(runs):
        columns = [{f"s{k}": [float(pick.random() < 0.6) for _ in range(250)] for k in range(12)} for _ in range(2)]
        old, new = (experiment(name, each, metadata=parts) for name, each in zip("ab", columns, strict=True))
        false += bool(old.compare(new, slices=["part"]).regressions())
    assert false <= 6  # at 5 % the chance of 7 or more of 60 is 3 %; the seed is fixed


def test_changed_scorers_and_unfinished_experiments_are_warned_of() -> None:
    old = experiment("old", OLD, identity={"version": "1"}, dataset_version="aa")
    new = experiment("new", NEW, identity={"version": "2"}, dataset_version="bb", status="stopped", reason="budget")
    text = "\n".join(old.compare(new).warnings)
    assert "stopped (budget)" in text
    assert "scorers that changed between the experiments: exact" in text
    assert "the data sets differ" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scorers": ["unknown"]}, "'unknown' is not a scorer of both"),
        ({"scorers": "exact"}, "give a list of names"),
        ({"slices": "part"}, "give a list of metadata keys"),
        ({"slices": ["part"]}, "no item has the key 'part'"),
        ({"by": "document"}, "100 items have no such key"),
        ({"correction": "bonferroni"}, "'holm', 'bh' or 'none'"),
    ],
)
def test_invalid_arguments_say_what_to_give(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        experiment("old", OLD).compare(experiment("new", NEW), **options)  # pyright: ignore[reportArgumentType]


def test_no_scorer_in_common_and_an_unknown_row_are_told() -> None:
    with pytest.raises(ConfigError, match="old has exact; new has other"):
        experiment("old", OLD).compare(experiment("new", {"other": NEW}))
    with pytest.raises(KeyError, match="its scorers are exact"):
        experiment("old", OLD).compare(experiment("new", NEW)).row("other")


@given(st.lists(st.tuples(*[st.none() | st.floats(0, 1)] * 2), min_size=1, max_size=40))
def test_swapping_the_experiments_turns_the_sign_and_bounds_hold(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    old, new = (experiment(name, [pair[k] for pair in pairs]) for k, name in enumerate(("old", "new")))
    there, back = old.compare(new).row("exact"), new.compare(old).row("exact")
    assert there.n == back.n == sum(None not in pair for pair in pairs)
    if there.difference is None or back.difference is None:
        assert there.verdict == "undecided"
        return
    assert there.difference == pytest.approx(-back.difference)
    assert {there.verdict, back.verdict} in ({"undecided"}, {"better", "worse"})
    if there.interval is not None:
        assert there.interval.low <= there.difference + 1e-9
        assert there.difference - 1e-9 <= there.interval.high
    assert there.worst_case is not None
    assert -1 - 1e-9 <= there.worst_case.low <= there.worst_case.high <= 1 + 1e-9


def test_slices_of_many_values_are_refused_before_they_take_minutes() -> None:
    many = [{"user": str(number)} for number in range(20_000)]
    runs = [experiment(name, [1.0] * len(many), metadata=many) for name in ("a", "b")]
    with pytest.raises(ConfigError, match="slices give 20,001 rows"):
        runs[0].compare(runs[1], slices=["user"])


def test_slices_of_any_type_are_titled_within_bounds() -> None:
    kinds = [{"kind": value} for value in (["x"], {"k": 1}, None, 1, "y" * 100_000)] * 2
    runs = [experiment(name, [1.0] * 10, metadata=kinds) for name in ("a", "b")]
    rows = runs[0].compare(runs[1], slices=["kind"]).rows
    assert [row.n for row in rows] == [10, 2, 2, 2, 2, 2]
    assert max(len(row.slice) for row in rows) <= 200
