"""Cases 2 and 3: what the items of two runs have in common, and what failed."""

from __future__ import annotations

import json
import math

import pytest

import llmops_sdk as llmops
from llmops_sdk.evals import Experiment, Judge, compare, evaluate, gate, scorer
from llmops_sdk.testing import use_provider


@scorer
def correct(output, expected):
    return output == expected


def rows(numbers):
    return [{"id": f"q{number}", "input": number, "expected": number % 2} for number in numbers]


def zero(number):
    return 0


def one(number):
    return 1


def test_case_2_only_the_intersection_is_averaged(store, command, tmp_path):
    before = evaluate(zero, rows(range(30)), correct, name="before", progress=False)
    after = evaluate(one, rows(range(5, 33)), correct, name="after", progress=False)
    result = before.compare(after)
    row = result.row("correct")

    assert (row.n, row.n_a_only, row.n_b_only) == (25, 0, 0)
    assert set(result.only_in_a) == {f"q{number}" for number in range(5)}
    assert set(result.only_in_b) == {"q30", "q31", "q32"}
    # Of 5 to 29, 12 are even and 13 odd; over all items the means would be 15/30 and 14/28.
    assert row.mean_a == pytest.approx(12 / 25)
    assert row.mean_b == pytest.approx(13 / 25)
    assert row.difference == pytest.approx(1 / 25)

    report = tmp_path / "report.html"
    markdown = tmp_path / "gate.md"
    status, out, err = command("eval", "compare", "before", "after")
    assert status == 0
    assert "5" in out + err
    assert "q30" in out + err
    assert command("eval", "gate", "before", "after", "--markdown", markdown)[0] == 0
    assert command("eval", "report", "after", "--baseline", "before", "--html", report)[0] == 0
    for page in (markdown.read_text("utf-8"), report.read_text("utf-8")):
        assert "q30" in page
        assert "q0" in page


def test_case_2_nothing_in_common_is_an_error_and_no_pass(made):
    first = made("a", {"correct": dict.fromkeys(range(10), 1.0)})
    second = made("b", {"correct": dict.fromkeys(range(20, 30), 0.0)})
    result = compare(first, second)

    with pytest.raises(llmops.ConfigError):
        result.assert_no_regression()
    assert gate(result).outcome == "undecided"
    assert gate(result).exit_code == 2


def test_case_2_an_item_that_was_edited_under_its_id_is_not_silently_paired(store):
    before = evaluate(zero, rows(range(30)), correct, name="before", progress=False)
    edited = [{**row, "input": row["input"] + 100} if row["id"] == "q7" else row for row in rows(range(30))]
    after = evaluate(one, edited, correct, name="after", progress=False)
    result = before.compare(after)

    assert result.row("correct").n == 29 or any("q7" in warning for warning in result.warnings)


def test_case_2_repeats_of_one_item_count_once(made):
    steady = {number: float(number % 2) for number in range(20)}
    single = made("a", {"correct": steady})
    more = made("b", {"correct": steady})
    tripled = Experiment.from_dict(
        {
            **more.to_dict(),
            "repeats": 3,
            "results": [{**one, "repeat": n} for one in more.to_dict()["results"] for n in range(3)],
        }
    )
    row = compare(single, tripled).row("correct")

    assert row.n == 20
    assert row.difference == 0


def garbled(prompt: str) -> str:
    return "Hm." if any(f"item {number}." in prompt for number in (3, 28, 53, 78)) else "Verdict: correct"


def wrong(prompt: str) -> str:
    return "Verdict: incorrect" if "item 1" in prompt else garbled(prompt)


def describe(number):
    return f"item {number}."


def test_case_3_a_judge_that_fails_on_4_percent_is_a_column_with_bounds(store, counting):
    items = [{"id": f"q{number}", "input": number, "expected": "?"} for number in range(100)]
    judge = Judge(name="right", reasks=0, options={"cache": False})
    with use_provider(counting(garbled)):
        before = evaluate(describe, items, judge, name="before", progress=False)
    with use_provider(counting(wrong)):
        after = evaluate(describe, items, judge, name="after", resume=False, progress=False)
    (first,), (second,) = before.summary(), after.summary()

    assert (first["n"], first["failed"], first["mean"]) == (96, 4, 1.0)
    assert tuple(first["worst_case"]) == (0.96, 1.0)
    # "item 1." and "item 10." to "item 19." are wrong.
    assert (second["n"], second["failed"]) == (96, 4)
    assert second["mean"] == pytest.approx(85 / 96)
    assert tuple(second["worst_case"]) == pytest.approx((0.85, 0.89))

    row = before.compare(after).row("right")
    assert (row.n, row.failed_a, row.failed_b) == (96, 4, 4)
    assert row.verdict == "worse"
    assert row.difference == pytest.approx(-11 / 96)
    assert row.worst_case is not None
    low, high = row.worst_case
    assert low == pytest.approx(-0.15)
    assert high == pytest.approx(-0.07)

    failed = llmops.query(
        "SELECT count(*), count(*) FILTER (isnan(value)), count_if(value IS NULL) FROM experiment_scores"
        " WHERE experiment_id = ? AND status = 'error'",
        [after.id],
    ).rows()
    assert failed == [(4, 0, 4)]
    mean = llmops.query("SELECT avg(value) FROM experiment_scores WHERE experiment_id = ?", [after.id]).scalar()
    assert mean == pytest.approx(85 / 96)


def broken(number):
    raise ZeroDivisionError(number)


@scorer
def not_a_number(output):
    return float("nan")


@scorer
def infinite(output):
    return float("inf")


@scorer
def nothing(output):
    return None


@pytest.mark.parametrize(
    ("task", "scorer", "column"),
    [
        (broken, correct, "failed"),
        (zero, not_a_number, "failed"),
        (zero, infinite, "failed"),
        (zero, nothing, "skipped"),
    ],
)
def test_case_3_nothing_valid_is_no_mean_and_never_nan(store, command, task, scorer, column, tmp_path):
    run = evaluate(task, rows(range(4)), scorer, name="run", progress=False)
    (row,) = run.summary()

    assert (row["n"], row["mean"], row["interval"], row[column]) == (0, None, None, 4)
    json.dumps([run.to_dict(), run.summary()], default=list, allow_nan=False)
    assert not any(isinstance(value, float) and math.isnan(value) for one in run.rows() for value in one.values())
    # The same failures on both sides are no proof that nothing became worse.
    assert gate(run.compare(run), scorers=[row["scorer"]]).outcome == "undecided"
    page = tmp_path / "report.html"
    status, out, _ = command("eval", "report", "run", "--html", page, "--format", "json")
    assert status == 0
    assert "nan" not in out.lower().replace("not_a_number", "")
    assert ">nan<" not in page.read_text("utf-8").lower()


def test_case_3_more_failures_are_not_a_better_mean(made):
    values = {number: float(number % 4 > 0) for number in range(200)}
    full = made("full", {"score": values})
    # The change fails exactly on the items that were wrong.
    lucky = made("lucky", {"score": {number: value or None for number, value in values.items()}})
    row = compare(full, lucky).row("score")

    assert row.n == 150
    assert row.failed_b == 50
    assert row.difference == 0
    assert row.verdict == "undecided"
    assert row.worst_case is not None
    assert row.worst_case.low == pytest.approx(0.0)
    assert row.worst_case.high == pytest.approx(0.25)
