"""`Experiment`: summaries count failures, and the JSON form loses nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.evals import Experiment, ItemResult, ScoreResult


def scored(*values, status="ok", name="s"):
    """Return one result an item; a value that is text is the status of a failed score."""
    return tuple(
        ItemResult(
            item_id=f"i{number}",
            status=status,
            scores={
                name: ScoreResult(scorer=name, status=value)
                if isinstance(value, str)
                else ScoreResult(scorer=name, status="ok", value=value)
            },
        )
        for number, value in enumerate(values)
    )


def experiment(results, **more):
    return Experiment(id="e", name="n", scorers={"s": {"higher_is_better": True}}, results=results, **more)


def test_failures_are_a_column_and_never_part_of_the_mean():
    row = experiment(scored(1.0, 1.0, 0.0, "error", "timeout", "skipped")).summary()[0]
    assert (row["n"], row["failed"], row["skipped"], row["not_run"]) == (3, 2, 1, 0)
    assert row["mean"] == pytest.approx(2 / 3)
    assert row["worst_case"] == pytest.approx((2 / 5, 4 / 5))


def test_a_failed_task_counts_as_a_failed_score_and_one_that_never_ran_does_not():
    failed = ItemResult(item_id="a", status="error", scores={"s": ScoreResult(scorer="s", status="not_run")})
    left = ItemResult(item_id="b", status="not_run")
    row = experiment((*scored(1.0, 0.5), failed, left)).summary()[0]
    assert (row["n"], row["failed"], row["not_run"]) == (2, 1, 1)


def test_no_value_at_all_gives_none_and_not_nan():
    row = experiment(scored("error", "error")).summary()[0]
    assert (row["n"], row["mean"], row["interval"], row["worst_case"], row["failed"]) == (0, None, None, None, 2)


def test_repeats_of_one_item_count_as_one_item():
    results = tuple(
        ItemResult(
            item_id=item, repeat=repeat, status="ok", scores={"s": ScoreResult(scorer="s", status="ok", value=value)}
        )
        for item, values in {"a": (1.0, 0.0, 1.0), "b": (0.0, 0.0, 0.0)}.items()
        for repeat, value in enumerate(values)
    )
    row = experiment(results, repeats=3).summary()[0]
    assert (row["n"], row["items"]) == (6, 2)
    assert row["mean"] == pytest.approx(1 / 3)


def test_rates_get_the_interval_of_wilson_and_others_one_of_the_mean():
    assert experiment(scored(*[1.0] * 10)).summary()[0]["interval"] == pytest.approx((0.7225, 1.0), abs=1e-4)
    low, high = experiment(scored(0.2, 0.4, 0.6, 0.8)).summary()[0]["interval"]
    assert low < 0.5 < high


def test_the_worst_case_of_scores_without_a_known_range_uses_the_range_of_the_values():
    assert experiment(scored(2.0, 6.0, "error", "error")).summary()[0]["worst_case"] == (3.0, 5.0)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    value=JSON, passed=st.none() | st.booleans(), status=st.sampled_from(["ok", "error"]), models=st.lists(st.text())
)
def test_the_json_form_loses_nothing(value, passed, status, models):
    score = ScoreResult(scorer="s", status="ok", value=0.0, passed=passed, metadata={"k": value})
    result = ItemResult(
        item_id="a", status=status, input=value, output=value, expected=value, models=tuple(models), scores={"s": score}
    )
    whole = experiment((result,), status="stopped", reason="budget", warnings=("w",), metadata={"commit": "c"})
    assert Experiment.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


@pytest.mark.parametrize(
    ("content", "says"),
    [({}, "no `format`"), ({"format": 99}, "upgrade"), ({"format": 1, "id": "x"}, "not an experiment that")],
)
def test_other_json_is_refused_with_what_to_do(content, says):
    with pytest.raises(ValueError, match=says):
        Experiment.from_dict(content)


def test_cost_is_what_this_run_paid():
    paid = ScoreResult(scorer="s", status="ok", value=1.0, cost=0.25)
    old = ScoreResult(scorer="s", status="ok", value=1.0, cost=8.0, reused=True)
    results = (
        ItemResult(item_id="a", status="ok", cost=0.5, scores={"s": paid}),
        ItemResult(item_id="b", status="ok", cost=4.0, reused=True, scores={"s": old}),
        ItemResult(item_id="c", status="ok", cost=None),
    )
    assert experiment(results).cost == 0.75
    assert experiment(results).counts == {"ok": 3, "error": 0, "timeout": 0, "not_run": 0, "reused": 1}


def test_rows_are_flat():
    row = experiment(scored(0.5)).rows()[0]
    assert (row["item_id"], row["repeat"], row["score.s"], row["status.s"], row["output"]) == ("i0", 0, 0.5, "ok", None)
