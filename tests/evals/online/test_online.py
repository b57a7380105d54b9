"""Stored traces are scored once, in a stable sample, within a budget; failures are tried a bounded number of times."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.config import EvaluatorSettings
from llmops_sdk.drift import Canary
from llmops_sdk.errors import ConfigError, QueryError
from llmops_sdk.evals import OnlineResult, evaluate, evaluate_online
from llmops_sdk.testing import ScriptedProvider, use_provider

SHORT = EvaluatorSettings(name="short", scorer="max_length:100", sample=1.0)


@llmops.trace
def answer(question: str) -> str:
    return f"the answer to {question}"


def _ask(count: int) -> None:
    for number in range(count):
        answer(f"question {number}")


def _run(*evaluators: EvaluatorSettings) -> OnlineResult:
    return evaluate_online(evaluators)[0]


def _scores(name: str) -> list[tuple[str, float]]:
    return llmops.query(
        "SELECT trace_id, value FROM scores WHERE source = $1 ORDER BY trace_id", [f"evaluator:{name}"]
    ).rows()


def test_each_trace_is_scored_once() -> None:
    _ask(5)
    first = _run(SHORT)
    assert (first.scored, first.failed, first.stopped) == (5, 0, None)
    _ask(2)
    assert _run(SHORT).scored == 2
    assert _run(SHORT).scored == 0
    assert [value for _, value in _scores("short")] == [1.0] * 7
    rows = llmops.query(
        "SELECT count(*), count(DISTINCT item_id) FROM experiment_scores WHERE experiment_id = 'online/short'"
    ).rows()
    assert rows == [(7, 7)]


def test_calls_of_a_canary_are_not_scored() -> None:
    llmops.chat("Hello", model="offline/echo")
    Canary(name="echo", model="offline/echo", prompts=["Say yes."], samples=2).run()
    calls = EvaluatorSettings(name="calls", scorer="max_length:100", sample=1.0, span="chat echo")
    assert _run(calls).scored == 1


def test_two_runs_at_once_score_each_trace_once() -> None:
    _ask(3)
    Path("tests_online_inner.py").write_text(
        "from llmops_sdk.config import EvaluatorSettings\nfrom llmops_sdk.evals import evaluate_online, scorer\n"
        "found = []\n@scorer\ndef meanwhile(output):\n"
        "    short = EvaluatorSettings(name='short', scorer='max_length:100', sample=1.0)\n"
        "    found.append(evaluate_online([short])[0])\n    return 1.0\n"
    )
    sys.path.insert(0, str(Path.cwd()))
    try:
        outer = _run(EvaluatorSettings(name="outer", scorer="tests_online_inner:meanwhile", sample=1.0))
        inner = sys.modules["tests_online_inner"].found
    finally:
        sys.path.pop(0)
    assert outer.scored == 3
    assert {(one.scored, one.stopped) for one in inner} == {(0, "running")}
    assert _run(SHORT).scored == 3


def test_the_scores_are_on_the_scored_span_with_input_and_output() -> None:
    with llmops.span("request"), llmops.span("retrieve", input="q", attributes={"k": 3}) as found:
        found.output = ["a document"]
    inner = EvaluatorSettings(name="inner", scorer="tests_online_scorer:seen", sample=1.0, span="retrieve")
    Path("tests_online_scorer.py").write_text(
        "from llmops_sdk.evals import scorer\n@scorer\ndef seen(input, output, metadata):\n"
        "    return f\"{input} {output} {metadata['attributes']}\"\n"
    )
    sys.path.insert(0, str(Path.cwd()))
    try:
        assert _run(inner).scored == 1
    finally:
        sys.path.pop(0)
        sys.modules.pop("tests_online_scorer", None)
    rows = llmops.query("SELECT span_id, label FROM scores WHERE source = 'evaluator:inner'").rows()
    assert rows[0][0] == found.span_id
    assert "q ['a document']" in rows[0][1]


def test_the_sample_is_stable_and_of_the_size_asked_for() -> None:
    _ask(300)
    part = EvaluatorSettings(name="part", scorer="max_length:100", sample=0.3)
    first = _run(part).scored
    assert 60 < first < 120
    assert _run(part).scored == 0
    # A larger sample holds the smaller one; another evaluator draws for itself.
    more = EvaluatorSettings(name="part", scorer="max_length:100", sample=0.6)
    assert 60 < _run(more).scored < 120
    other = EvaluatorSettings(name="other", scorer="max_length:100", sample=0.3)
    _run(other)
    assert {trace for trace, _ in _scores("other")} != {trace for trace, _ in _scores("part")}


def test_a_failure_is_tried_again_and_then_left_alone() -> None:
    _ask(1)
    judge = EvaluatorSettings(name="judged", scorer="judge:tone", sample=1.0, attempts=2)
    with use_provider(ScriptedProvider(["Hm."], repeat=True)):
        found = [_run(judge) for _ in range(3)]
    assert [(one.failed, one.scored) for one in found] == [(1, 0), (1, 0), (0, 0)]
    rows = llmops.query("SELECT status, error_type FROM experiment_scores WHERE experiment_id = 'online/judged'").rows()
    assert rows == [("error", "VerdictError")] * 2
    assert _scores("judged") == []


def test_judges_are_not_judged_nor_are_experiments() -> None:
    _ask(1)
    evaluate(answer, [{"input": "one"}], [SHORT.scorer])
    with use_provider(ScriptedProvider(["Verdict: correct"], repeat=True)):
        judge = EvaluatorSettings(name="judged", scorer="judge", sample=1.0)
        assert [_run(judge).scored for _ in range(3)] == [1, 0, 0]


def test_the_budget_of_a_day_stops_and_the_rest_waits() -> None:
    llmops.configure(
        model="offline/script",
        options={"answers": ["Verdict: correct"]},
        prices={"offline/script": {"input": 1_000.0}},
    )
    _ask(10)
    small = EvaluatorSettings(name="judged", scorer="judge", sample=1.0, budget_usd=1.0)
    first = _run(small)
    assert first.stopped == "budget"
    assert 1 <= first.scored < 10
    assert 0 < first.cost <= 1.0
    # What was spent today counts for the next run, too.
    assert (_run(small).scored, _run(small).stopped) == (0, "budget")
    large = EvaluatorSettings(name="judged", scorer="judge", sample=1.0, budget_usd=100.0)
    rest = _run(large)
    assert (rest.scored, rest.stopped) == (10 - first.scored, None)


def test_a_run_takes_a_bounded_number() -> None:
    _ask(5)
    few = EvaluatorSettings(name="few", scorer="max_length:100", sample=1.0, max_traces=2)
    assert [(one.scored, one.stopped) for one in (_run(few) for _ in range(3))] == [
        (2, "max_traces"), (2, "max_traces"), (1, None),
    ]  # fmt: skip


def test_a_condition_chooses_and_a_wrong_one_is_told() -> None:
    _ask(3)
    with llmops.context(tags=["vip"]):
        answer("for a guest of honour")
    some = EvaluatorSettings(name="vip", scorer="max_length:100", sample=1.0, where="list_contains(tags, 'vip') -- ok")
    assert _run(some).scored == 1
    with pytest.raises(QueryError, match=r"^evaluators\.bad\.where: "):
        _run(EvaluatorSettings(name="bad", scorer="max_length:100", where="1 = 1) OR (read_text('/etc/passwd') <> ''"))


def test_a_condition_with_brackets_of_its_own_does_not_reach_the_other_conditions() -> None:
    _ask(2)
    none = EvaluatorSettings(name="none", scorer="max_length:100", sample=1.0, where="1 = 0)) OR ((1 = 1")
    with pytest.raises(QueryError, match=r"^evaluators\.none\.where: "):
        _run(none)


def test_the_configuration_names_the_evaluators(tmp_path: Path) -> None:
    (tmp_path / "llmops.toml").write_text('[[evaluators]]\nname = "a"\nscorer = "not_empty"\nsample = 1.0\n')
    llmops.configure(tmp_path / "llmops.toml")
    _ask(2)
    assert [(one.evaluator, one.scored) for one in evaluate_online()] == [("a", 2)]


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ("unknown", r"^evaluators\.\w+\.scorer: there is no scorer"),
        ("no_such_module:f", "no_such_module"),
        ("json:load", "the scorer load has the argument"),
    ],
)
def test_a_wrong_scorer_is_told_before_anything_is_scored(scorer: str, words: str) -> None:
    _ask(1)
    with pytest.raises(ConfigError, match=words):
        evaluate_online([SHORT, EvaluatorSettings(name="b", scorer=scorer)])
    assert _scores("short") == []


def test_without_evaluators_the_error_says_what_to_add() -> None:
    with pytest.raises(ConfigError, match=r"\[\[evaluators\]\]"):
        evaluate_online()


def test_a_store_that_is_off_is_told() -> None:
    llmops.configure(store={"enabled": False})
    with pytest.raises(ConfigError, match="the store is off"):
        evaluate_online([SHORT])
