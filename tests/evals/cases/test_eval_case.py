"""`@eval_case` outside of pytest: arguments, verdicts, traces, and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
from itertools import count

import pytest

import llmops_sdk as llmops
from llmops_sdk.datasets import Dataset
from llmops_sdk.errors import ConfigError, DatasetError
from llmops_sdk.evals import Score, scorer

ROWS = [{"id": "paris", "input": "Paris", "expected": "PARIS"}, {"id": "oslo", "input": "Oslo", "expected": "Oslo"}]


def outcomes(function, **arguments):
    return {item: verdict.outcome for item, verdict in function.run(**arguments).items()}


def test_each_item_has_a_verdict_and_a_trace_with_its_scores():
    @llmops.eval_case(cases=ROWS, scorers=["equals"])
    def shout(city):
        return city.upper()

    verdicts = shout.run()
    assert {item: one.outcome for item, one in verdicts.items()} == {"paris": "pass", "oslo": "fail"}
    assert verdicts["oslo"].runs[0].reason == "equals 0 does not pass"
    llmops.flush()
    assert llmops.query(
        "SELECT input, output, value FROM spans JOIN scores USING (trace_id) WHERE trace_id = ?",
        [verdicts["oslo"].runs[0].trace_id],
    ).rows() == [('"Oslo"', '"OSLO"', 0.0)]
    assert shout("Rom") == "ROM"
    assert shout.__name__ == "shout"


def test_scores_around_the_threshold_are_undecided_and_stable_ones_are_run_twice():
    values = {"flaky": iter([0.62, 0.58, 0.61]), "good": count(0.7, 0), "bad": count(0.1, 0)}
    calls: list[str] = []

    @llmops.eval_case(cases=[{"id": name, "input": name} for name in values], scorers=[scorer(name="judge")(
        lambda output: output)], threshold=0.6, repeats=3)  # fmt: skip
    def case(name):
        calls.append(name)
        return next(values[name])

    verdicts = case.run()
    assert {name: one.outcome for name, one in verdicts.items()} == {
        "flaky": "undecided", "good": "pass", "bad": "fail"
    }  # fmt: skip
    assert verdicts["flaky"].pass_rate == pytest.approx(2 / 3)
    assert [calls.count(name) for name in values] == [3, 2, 2]


@pytest.mark.parametrize("in_loop", [False, True])
def test_async_functions_run_everywhere(in_loop):
    @scorer
    async def same(output, expected):
        await asyncio.sleep(0)
        return output == expected

    @llmops.eval_case(cases=ROWS, scorers=[same])
    async def shout(city):
        await asyncio.sleep(0)
        return city.upper()

    async def main():
        return outcomes(shout)

    assert (asyncio.run(main()) if in_loop else outcomes(shout)) == {"paris": "pass", "oslo": "fail"}


def test_keys_of_the_input_become_arguments_and_the_rest_are_fixtures():
    seen = []

    @llmops.eval_case(cases=[{"id": "1", "input": {"question": "q", "context": "c", "more": 1}, "expected": "e"}])
    def case(question, model, context, expected, item_id, style="plain"):
        seen.append((question, model, context, expected, item_id, style))

    assert outcomes(case, model="m") == {"1": "pass"}
    assert seen == [("q", "m", "c", "e", "1", "plain")]
    with pytest.raises(ConfigError, match="besides the item's are model, and not none"):
        case.run()


def test_a_mapping_that_names_no_parameter_comes_whole():
    seen = []

    @llmops.eval_case(cases=[{"id": "1", "input": {"a": 1}, "topic": "x"}])
    def case(row, metadata):
        seen.append((row, dict(metadata)))

    assert outcomes(case) == {"1": "pass"}
    assert seen == [({"a": 1}, {"topic": "x"})]

    @llmops.eval_case(cases=[{"id": "1", "input": {"a": 1, "b": 2}}])
    def all_keys(a, **rest):
        seen.append((a, rest))

    assert outcomes(all_keys) == {"1": "pass"}
    assert seen[-1] == (1, {"b": 2})


def test_an_assertion_and_any_other_error_fail_the_run_with_the_reason():
    @llmops.eval_case(cases=[{"id": "one", "input": 1}, {"id": "two", "input": 0}])
    def case(number):
        assert 1 / number == 2, "not two"

    verdicts = case.run()
    assert verdicts["one"].runs[0].reason.startswith("AssertionError: not two")
    assert verdicts["two"].runs[0].reason == "ZeroDivisionError: division by zero"


def test_what_is_no_failure_of_the_case_is_raised():
    @llmops.eval_case(cases=["x"])
    def case(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        case.run()


@pytest.mark.parametrize(
    ("value", "threshold", "reason"),
    [
        (0.5, None, "nothing decides whether it passes (found): give a threshold"),
        (Score(value=0.2, passed=False, comment="rude"), None, "found 0.2 does not pass (rude)"),
        (Score(value=0.2, comment="rude"), {"found": 0.6}, "found 0.2 is below 0.6 (rude)"),
        ("a label", 0.5, "nothing decides whether it passes (found): give a threshold"),
        (None, 0.5, "nothing decides whether it passes (found): give a threshold"),
        (float("nan"), 0.5, "found failed: ValueError: the scorer returned nan"),
        (ValueError("no verdict"), 0.5, "found failed: ValueError: no verdict"),
    ],
)
def test_a_score_that_is_missing_or_low_does_not_pass(value, threshold, reason):
    @scorer
    def found(output):
        if isinstance(value, Exception):
            raise value
        return value

    @llmops.eval_case(cases=["x"], scorers=[found], threshold=threshold)
    def case(text):
        return text

    [verdict] = case.run().values()
    assert (verdict.outcome, verdict.runs[0].reason[: len(reason)]) == ("fail", reason)


def test_less_is_better_where_the_scorer_says_so():
    length = scorer(name="length", higher_is_better=False)(lambda output: len(output))

    @llmops.eval_case(cases=[{"id": "short", "input": "ab"}, {"id": "long", "input": "abcdef"}], scorers=length,
                      threshold=3)  # fmt: skip
    def case(text):
        return text

    verdicts = case.run()
    assert verdicts["short"].outcome == "pass"
    assert verdicts["long"].runs[0].reason == "length 6 is above 3"


def test_data_sets_saved_ones_and_files_beside_the_test(tmp_path, monkeypatch):
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    saved = Dataset.from_rows(ROWS).save("cities")
    program = compile("def case(city):\n    return city.upper()\n", str(tmp_path / "test_it.py"), "exec")
    names: dict = {}
    exec(program, names)
    for dataset in ("items.jsonl", tmp_path / "items.jsonl", "cities", f"cities@{saved.version[:8]}", saved):
        made = llmops.eval_case(dataset=dataset, scorers=["equals"])(names["case"])
        assert outcomes(made) == {"paris": "pass", "oslo": "fail"}


def test_ids_come_from_a_column_or_a_function():
    rows = [{"key": "k1", "input": "a"}]

    @llmops.eval_case(cases=rows, id="key")
    def by_column(text): ...

    @llmops.eval_case(cases=rows, id=lambda item: f"case-{item.input}")
    def by_function(text): ...

    assert (list(by_column.run()), list(by_function.run())) == (["k1"], ["case-a"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of cases and dataset"),
        ({"cases": ["a"], "dataset": "d"}, "give one of cases and dataset"),
        ({"cases": "text"}, "list of rows or inputs"),
        ({"cases": ["a"], "repeats": 0}, "from 1 to 1000"),
        ({"cases": ["a"], "repeats": True}, "from 1 to 1000"),
        ({"cases": ["a"], "threshold": float("nan")}, "threshold is nan"),
        ({"cases": ["a"], "threshold": {"x": "high"}}, "threshold is 'high'"),
    ],
)
def test_wrong_options_are_errors_where_they_stand(options, message):
    with pytest.raises(ConfigError, match=message):
        llmops.eval_case(**options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cases": []}, DatasetError, "no items"),
        ({"dataset": "nowhere"}, DatasetError, "nowhere"),
        ({"cases": ["a"], "scorers": ["exact_mach"]}, ConfigError, "exact_mach"),
        ({"cases": ["a"], "scorers": ["equals"], "threshold": {"other": 1}}, ConfigError, "threshold names 'other'"),
        ({"cases": ["a"], "scorers": ["equals", "equals"]}, ConfigError, "two scorers are called 'equals'"),
        ({"cases": [{"input": {"text": 1}}, {"input": {}}, {"input": {"text": 2}}]}, None, ""),
    ],
)
def test_wrong_items_and_scorers_are_errors_of_the_run(options, error, message):
    @llmops.eval_case(**options)
    def case(text):
        return text

    if error is None:
        assert set(outcomes(case).values()) == {"pass"}  # not each has the key: the input comes whole
    else:
        with pytest.raises(error, match=message):
            case.run()


def test_an_item_without_a_needed_key_is_named():
    @llmops.eval_case(cases=[{"id": "1", "input": {"a": 1, "b": 2}}, {"id": "2", "input": {"a": 1}}])
    def case(a, b):
        return a

    with pytest.raises(ConfigError, match="item '2' has no key 'b'"):
        case.run()


def test_a_function_without_parameters_or_no_function_is_refused():
    with pytest.raises(ConfigError, match="with a parameter"):
        llmops.eval_case(cases=["a"])(lambda: None).run()
    with pytest.raises(ConfigError, match="expects a function"):
        llmops.eval_case(cases=["a"])(3)  # type: ignore[arg-type]
