"""What a judge is worth by labels of people, and when it may not decide."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import replace

import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import JudgeRefusedError
from llmops_sdk.evals import (
    ItemResult,
    PairJudge,
    ScoreResult,
    apairwise,
    calibrate,
    calibrate_by_scores,
    corrected_mean,
    evaluate,
    human_scores,
    pairwise,
)
from llmops_sdk.providers import Request
from llmops_sdk.testing import ScriptedProvider, use_provider


def _report(right: int, n: int, consistent: int = 0, pairs: int = 0, garbage: int = 0):
    verdicts = ["good"] * right + ["bad"] * (n - right - garbage) + [None] * garbage
    orders = [True] * consistent + [False] * (pairs - consistent)
    return calibrate(verdicts, ["good"] * n, judge="neighbor", consistent=orders)


def test_garbage_counts_as_wrong_and_is_told_apart() -> None:
    # GPT-3.5 on PandaLM's pairs: 25 of 999 verdicts cannot be read.
    report = _report(710, 999, garbage=25)
    assert (report.garbage, round(report.accuracy, 4), round(report.valid_accuracy or 0, 4)) == (25, 0.7107, 0.729)
    assert report.confusion["good", "no verdict"] == 25


def test_a_consistent_judge_that_is_wrong_is_refused() -> None:
    # ChatGPT on LLMBar Neighbor: 71.6 % of 134 pairs alike in both orders, and right on 19.4 %.
    report = _report(26, 134, consistent=96, pairs=134)
    with pytest.raises(JudgeRefusedError, match=r"accuracy is 0\.194 on 134 labelled cases") as caught:
        report.check()
    assert caught.value.judge == "neighbor"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_judge_that_is_right_but_follows_the_order_is_refused() -> None:
    assert "same winner in both orders for 0.520" in str(_report(95, 100, consistent=52, pairs=100).refusal())


def test_a_good_judge_may_gate_and_floors_can_be_set() -> None:
    # GPT-4 on LLMBar Natural: 95 and 95.5 %.
    report = _report(95, 100, consistent=95, pairs=100)
    assert report.refusal() is None
    report.check()
    assert report.refusal(accuracy=0.95) is not None
    assert report.refusal(order_consistency=0.99) is not None


def test_few_labels_are_no_evidence() -> None:
    assert "29 labelled cases are too few" in str(_report(29, 29).refusal())
    assert _report(30, 30).refusal() is None


@pytest.mark.parametrize(("verdicts", "labels"), [([], []), (["good"], []), (["good"], ["good", "bad"])])
def test_unequal_lengths_are_refused(verdicts: list[str], labels: list[str]) -> None:
    with pytest.raises(ValueError, match="one label for each verdict"):
        calibrate(verdicts, labels)


def _result(number: int, value: float | None) -> ItemResult:
    status = "error" if value is None else "ok"
    score = ScoreResult(scorer="judge", status=status, value=value)
    return ItemResult(item_id=f"i{number}", status="ok", trace_id=f"{number:032x}", output="o", scores={"judge": score})


def test_a_judge_that_is_too_kind_is_corrected_by_the_labels_of_a_few() -> None:
    # The judge passes 80 %, people 60 %: it is wrong on every fourth of its passes.
    results = [_result(number, float(number % 5 != 0)) for number in range(400)]
    people = {f"i{number}": float(number % 5 != 0 and number % 4 != 0) for number in range(0, 400, 3)}
    corrected = corrected_mean([*results, _result(400, None)], "judge", people)
    assert corrected.failed == 1
    assert corrected.corrected.judge_only == pytest.approx(0.8)
    assert corrected.corrected.interval.low < 0.6 < corrected.corrected.interval.high < 0.8
    human = corrected.corrected.human_only
    assert corrected.corrected.standard_error < human.standard_error


def test_repeats_of_an_item_are_one_label_and_not_many() -> None:
    once = [_result(number, float(number % 3 == 0)) for number in range(60)]
    people = {f"i{number}": float(number % 4 == 0) for number in range(20)}
    repeated = [replace(one, repeat=number) for one in once for number in range(10)]
    single, many = (corrected_mean(each, "judge", people).corrected for each in (once, repeated))
    assert (many.n_labelled, many.n_judged) == (single.n_labelled, single.n_judged) == (20, 40)
    assert many.standard_error == pytest.approx(single.standard_error)


def test_too_few_labels_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"llmops\.score"):
        corrected_mean([_result(1, 1.0)], "judge", {"i1": 1.0})


def test_labels_of_people_come_from_the_scores_of_the_store() -> None:
    with llmops.span("answer") as answered:
        pass
    llmops.score("helpful", True, trace_id=answered.trace_id)
    llmops.score("helpful", 0.0, trace_id=answered.trace_id, source="judge")
    assert human_scores("helpful") == {answered.trace_id: 1.0}
    assert human_scores("helpful", source="judge") == {answered.trace_id: 0.0}
    assert human_scores("unknown") == {}


def _results(text: str, items: range, *, broken: int | None = None) -> list[ItemResult]:
    return [
        ItemResult(item_id=f"i{n}", status="error" if n == broken else "ok", input="q", output=f"{text} {n}")
        for n in items
    ]


def _likes(text: str):
    def answer(request: Request) -> str:
        content = str(request.messages[-1]["content"])
        first = content[content.index("<response-1 ") : content.index("<response-2 ")]
        return f"Verdict: {1 if text in first else 2}"

    return answer


def test_pairs_of_two_experiments_give_a_win_rate_with_its_interval() -> None:
    judge = PairJudge(options={"cache": False})
    with use_provider(ScriptedProvider([_likes("new")] * 60)):
        result = asyncio.run(
            apairwise(_results("old", range(31), broken=30), _results("new", range(1, 32)), judge, concurrency=4)
        )
    assert (result.n, result.win_rate, result.verdict) == (29, 1.0, "better")
    assert (result.wins, result.ties, result.losses) == (29, 0, 0)
    assert (result.only_in_a, result.only_in_b) == (("i0",), ("i30", "i31"))
    assert (result.order_consistency, result.first_share) == (1.0, 0.5)
    report = result.calibrate(dict.fromkeys((f"i{n}" for n in range(1, 30)), "b"))
    assert (report.accuracy, report.pairs, report.order_consistency) == (1.0, 29, 1.0)


def test_a_judge_that_always_takes_the_first_is_undecided_and_shows_its_bias() -> None:
    with use_provider(ScriptedProvider(["Verdict: 1"], repeat=True)):
        result = pairwise(_results("old", range(40)), _results("new", range(40)), PairJudge(options={"cache": False}))
    assert (result.win_rate, result.verdict, result.ties) == (0.5, "undecided", 40)
    assert (result.order_consistency, result.first_share) == (0.0, 1.0)
    assert result.calibrate({"i1": "a"}).refusal() is not None


def test_a_failing_judge_is_a_count_and_never_a_number() -> None:
    answers = [llmops.ServerError("down", status_code=503), "Nothing."] * 2 + ["Verdict: tie"] * 36
    judge = PairJudge(order="random", reasks=0, options={"cache": False, "retry": False})
    with use_provider(ScriptedProvider(answers)):
        result = asyncio.run(apairwise(_results("old", range(40)), _results("new", range(40)), judge, concurrency=1))
    assert (result.n, result.garbage, result.failed, result.win_rate) == (36, 2, 2, 0.5)
    assert result.order_consistency is None


def test_no_pair_at_all_is_undecided() -> None:
    result = asyncio.run(apairwise(_results("old", range(2)), [], PairJudge()))
    assert (result.n, result.win_rate, result.interval, result.verdict) == (0, None, None, "undecided")
    assert result.only_in_a == ("i0", "i1")


async def test_synchronous_code_in_a_running_loop_works_as_in_a_notebook() -> None:
    with use_provider(ScriptedProvider(["Verdict: 1"], repeat=True)):
        result = pairwise(_results("old", range(2)), _results("new", range(2)), PairJudge(order="random"))
    assert result.n == 2
    with pytest.raises(ValueError, match="at least 1"):
        pairwise([], [], PairJudge(), concurrency=0)


@pytest.mark.parametrize(("n", "verdict"), [(2, "undecided"), (5, "undecided"), (6, "better"), (10, "better")])
def test_a_few_wins_in_a_row_are_no_proof(n: int, verdict: str) -> None:
    old, new = (
        [ItemResult(item_id=str(item), status="ok", input="?", output=text) for item in range(n)]
        for text in ("old", "new")
    )

    def prefer_new(request: Request) -> str:
        text = str(request.messages[-1]["content"])
        return f"Verdict: {1 if text.index('new') < text.index('old') else 2}"

    with use_provider(ScriptedProvider([prefer_new], repeat=True)):
        found = pairwise(old, new, PairJudge())
    assert (found.win_rate, found.wins, found.verdict) == (1.0, n, verdict)
    assert found.interval is not None
    assert found.interval.low < 0.8


def test_experiments_are_taken_whole_and_users_scores_measure_a_scorer() -> None:
    run = evaluate(str.upper, [{"input": text} for text in "abc"], "not_empty", name="up", progress=False)
    for number, result in enumerate(run.results):
        llmops.score("helpful", float(number > 0), trace_id=result.trace_id)
    llmops.flush()
    assert [calibrate_by_scores(runs, "not_empty", "helpful").n for runs in (run, [run, run])] == [3, 6]
    people = human_scores("helpful")
    assert corrected_mean(run, "not_empty", people) == corrected_mean(run.results, "not_empty", people)
    with use_provider(ScriptedProvider(["Verdict: tie"], repeat=True)):
        assert pairwise(run, run, PairJudge()).ties == 3
