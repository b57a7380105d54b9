"""Resume: what has been paid for is used again, and nothing that has changed is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmops_sdk as llmops
from llmops_sdk.evals import Experiment, Score, evaluate, scorer
from llmops_sdk.evals.running._plan import scorer_key, task_key
from llmops_sdk.providers import Response
from llmops_sdk.testing import ScriptedProvider, use_provider

CIRCULAR: dict = {}
CIRCULAR["itself"] = CIRCULAR
ROWS = [{"input": f"q{number}", "expected": f"Q{number}"} for number in range(6)]


@scorer
def exact(output, expected):
    return output == expected


def counted():
    """Return a task and the list of the inputs that it has seen."""
    seen = []

    def task(text):
        seen.append(text)
        return text.upper()

    return task, seen


def test_a_rerun_of_a_finished_experiment_pays_nothing():
    task, seen = counted()
    first = evaluate(task, ROWS, exact, name="again")
    second = evaluate(task, ROWS, exact, name="again")
    assert len(seen) == 6
    assert second.counts["reused"] == 6
    assert second.summary()[0]["mean"] == first.summary()[0]["mean"]
    assert second.summary()[0]["reused"] == 6
    assert (second.id, second.cost, second.started) == (first.id, 0.0, first.started)
    assert llmops.query("SELECT count(*), min(status) FROM experiments").rows() == [(1, "completed")]
    assert llmops.query("SELECT count(*) FROM experiment_scores").rows() == [(6,)]


def test_without_resume_everything_runs_again_as_another_experiment():
    task, seen = counted()
    first = evaluate(task, ROWS, exact, name="fresh")
    second = evaluate(task, ROWS, exact, name="fresh", resume=False)
    assert len(seen) == 12
    assert second.id != first.id


def test_another_series_uses_nothing_again():
    task, seen = counted()
    evaluate(task, ROWS, exact, name="one")
    evaluate(task, ROWS, exact, name="two")
    assert len(seen) == 12


def test_new_items_run_and_old_ones_do_not():
    task, seen = counted()
    evaluate(task, ROWS[:4], exact, name="grows")
    experiment = evaluate(task, ROWS[1:], exact, name="grows")
    assert sorted(seen) == ["q0", "q1", "q2", "q3", "q4", "q5"]
    assert experiment.counts["reused"] == 3
    # The new experiment is whole by itself.
    assert len(Experiment.load(experiment.id).results) == 5
    assert Experiment.load(experiment.id).summary()[0]["n"] == 5


def test_only_failures_are_tried_again():
    seen, broken = [], {"q1", "q4"}

    def task(text):
        seen.append(text)
        if text in broken:
            broken.discard(text)  # it changes it, so it is state, and no input of the task
            raise ValueError(text)
        return text.upper()

    judged = []

    @scorer
    def judge(output):
        judged.append(output)
        if output == "Q2" and judged.count("Q2") == 1:
            raise RuntimeError("no verdict")
        return 1.0

    first = evaluate(task, ROWS, judge, name="retry")
    assert (first.counts["error"], first.summary()[0]["failed"]) == (2, 3)
    second = evaluate(task, ROWS, judge, name="retry")
    assert sorted(seen[6:]) == ["q1", "q4"]
    assert sorted(judged[4:]) == ["Q1", "Q2", "Q4"]
    assert (second.id, second.counts["ok"], second.summary()[0]["failed"]) == (first.id, 6, 0)


def test_another_scorer_scores_stored_outputs():
    task, seen = counted()
    evaluate(task, ROWS, exact, name="more")

    @scorer
    def length(output):
        return len(output)

    experiment = evaluate(task, ROWS, [exact, length], name="more")
    assert len(seen) == 6
    assert [row["mean"] for row in experiment.summary()] == [1.0, 2.0]
    assert [row["reused"] for row in experiment.summary()] == [6, 0]


def test_a_prompt_that_is_edited_by_one_character_runs_everything_again():
    def task(prompt):
        return lambda text: prompt + text

    reused = [
        evaluate(task(prompt), ROWS, exact, name="edit").counts["reused"]
        for prompt in ("Be brief.", "Be brief.", "Be brief!")
    ]
    assert reused == [0, 6, 0]


@pytest.mark.parametrize("what", ["prompt", "threshold"])
def test_an_edit_of_a_scorer_by_one_character_scores_again_and_the_task_does_not_run(what):
    task, seen = counted()
    judged = []

    def judge(prompt="Is it good?", version="1", threshold=0.5, name="judge"):
        @scorer(version=version, threshold=threshold, name=name)
        def score(output):
            judged.append(prompt)
            return 1.0

        return score

    edited = {"prompt": "Is it good!", "version": "2", "threshold": 0.6, "name": "judge2"}[what]
    evaluate(task, ROWS, judge(), name="scorer")
    evaluate(task, ROWS, judge(), name="scorer")
    assert len(judged) == 6
    evaluate(task, ROWS, judge(**{what: edited}), name="scorer")
    assert (len(seen), len(judged)) == (6, 12)


def test_a_change_of_the_item_runs_it_again():
    task, seen = counted()
    evaluate(task, [{"id": "a", "input": "x", "expected": "X"}], exact, name="item")
    evaluate(task, [{"id": "a", "input": "x", "expected": "Y"}], exact, name="item")
    evaluate(task, [{"id": "b", "input": "x", "expected": "Y"}], exact, name="item")
    assert seen == ["x"] * 3


def ask(text):
    return llmops.chat(text).text


class Served:
    """A provider that counts calls and can be moved to another model."""

    def __init__(self, model="m-1"):
        self.model = model
        self.calls = 0
        self.provider = ScriptedProvider([self.answer], repeat=True, name="openai")

    def answer(self, request):
        self.calls += 1
        return Response(text="yes", model=self.model, cost=0.01)


def test_a_model_alias_that_moved_runs_everything_again():
    llmops.configure(model="openai/m")
    served = Served()
    with use_provider(served.provider):
        evaluate(ask, ROWS, exact, name="alias")
        evaluate(ask, ROWS, exact, name="alias")
        assert served.calls == 6
        served.model = "m-2"
        ask("some other call of the application shows that the alias moved")
        moved = evaluate(ask, ROWS, exact, name="alias")
        assert served.calls == 6 + 1 + 6
        assert moved.counts["reused"] == 0
        assert {result.models for result in moved.results} == {("m-2",)}
        assert evaluate(ask, ROWS, exact, name="alias").counts["reused"] == 6


def test_a_new_call_of_the_run_shows_that_the_alias_moved():
    llmops.configure(model="openai/m")
    served = Served()
    with use_provider(served.provider):
        evaluate(ask, ROWS[:4], exact, name="alias")
        served.model = "m-2"
        experiment = evaluate(ask, ROWS, exact, name="alias")
    assert served.calls == 4 + 6
    assert experiment.counts["reused"] == 0


def test_an_answer_of_a_fallback_does_not_mean_that_the_alias_moved():
    llmops.configure(model="smart", models={"smart": {"model": "openai/m", "fallbacks": ["anthropic/b"]}})
    is_down = False

    def answer(request):
        if is_down and request.model == "openai/m":
            raise llmops.NotFoundError("down")
        return Response(text="yes", model=request.model_name)

    with use_provider(ScriptedProvider([answer], repeat=True)):
        evaluate(ask, ROWS[:5], exact, name="fallback")
        is_down = True
        experiment = evaluate(ask, ROWS, exact, name="fallback")
    assert experiment.results[5].models == ("b",)
    assert experiment.counts["reused"] == 5


def test_a_change_of_the_models_configuration_runs_again_and_one_of_another_model_does_not():
    def task(text):
        return llmops.chat(text, model="fast").text

    def configure(target, other="openai/x"):
        llmops.configure(model="openai/default", models={"fast": {"model": target}, "other": {"model": other}})

    served = Served()
    with use_provider(served.provider):
        configure("openai/a")
        evaluate(task, ROWS, name="models")
        configure("openai/a", other="openai/y")
        evaluate(task, ROWS, name="models")
        assert served.calls == 6
        configure("openai/b")
        evaluate(task, ROWS, name="models")
        assert served.calls == 12


def test_another_default_model_runs_again():
    served = Served()
    with use_provider(served.provider):
        for model in ("openai/a", "openai/a", "openai/b"):
            llmops.configure(model=model)
            evaluate(ask, ROWS, name="default")
    assert served.calls == 12


def test_outputs_that_are_not_stored_whole_are_not_used_again():
    secret = "sk-" + "proj-" + "a1B2" * 12
    seen = []

    def leaky(text):
        seen.append(text)
        return f"the key is {secret}" if text == "q1" else text

    assert evaluate(leaky, ROWS, exact, name="secret").results[1].output == f"the key is {secret}"
    assert secret not in str(llmops.query("SELECT output FROM experiment_items").rows())
    evaluate(leaky, ROWS, exact, name="secret")
    assert seen == [*seen[:6], "q1"]


def test_without_content_nothing_is_stored_and_a_run_says_so():
    llmops.configure(capture={"content": False})
    task, seen = counted()
    evaluate(task, ROWS, exact, name="private")
    experiment = evaluate(task, ROWS, exact, name="private")
    assert len(seen) == 12
    assert "cannot be resumed" in experiment.warnings[0]
    [(rows, contents)] = llmops.query(
        "SELECT count(*), count(coalesce(input, output, expected)) FROM experiment_items"
    ).rows()
    assert (rows > 0, contents) == (True, 0)


@given(
    left=st.tuples(st.text(), st.text(), st.integers(0, 5)),
    right=st.tuples(st.text(), st.text(), st.integers(0, 5)),
)
def test_keys_are_equal_only_for_equal_parts(left, right):
    assert (task_key(*left) == task_key(*right)) == (left == right)
    parts = [str(part) for part in left], [str(part) for part in right]
    assert (scorer_key(*parts[0]) == scorer_key(*parts[1])) == (parts[0] == parts[1])


def test_keys_of_tasks_and_of_scorers_never_meet():
    parts = [["a", "b", "0"], ["", "", ""]]
    keys = [task_key(one, two, 0) for one, two, _ in parts] + [scorer_key(*part) for part in parts]
    assert all(a != b for a, b in itertools.combinations(keys, 2))


def test_values_that_the_task_changes_itself_are_state_and_do_not_run_it_again():
    count = 0
    log, cache = [], {}

    def task(text):
        nonlocal count
        count += 1
        log.append(text)
        cache[text] = count
        return text

    evaluate(task, ROWS, name="state")
    assert evaluate(task, ROWS, name="state").counts["reused"] == 6
    assert count == 6


def test_an_output_that_failed_when_it_was_made_anew_has_no_score_of_the_old_one():
    """The rows of the old output's scores are still there: the run that fails writes none."""
    task = lambda text: llmops.LLM("scripted/new").chat(text).text  # noqa: E731
    served = [Response(text="Q0", model="old")], [Response(text="Q0", model="new")]
    with use_provider(ScriptedProvider(*served[:1])):
        evaluate(task, ROWS[:1], exact, name="stale")
    with use_provider(ScriptedProvider(*served[1:])):
        llmops.LLM("scripted/new").chat("who serves now?")
    with use_provider(ScriptedProvider([RuntimeError("down")], repeat=True)):
        second = evaluate(task, ROWS[:1], exact, name="stale")
    loaded = Experiment.load(second.id)
    assert [one.results[0].status for one in (second, loaded)] == ["error", "error"]
    assert [one.summary()[0]["n"] for one in (second, loaded)] == [0, 0]


def test_what_a_scorer_of_any_class_returns_never_ends_the_run():
    class Odd:
        name, identity, higher_is_better = "odd", {}, True

        def score(self, case):
            return Score(value=1.0, metadata=CIRCULAR) if case.input == "q0" else Score(value=10**400)

    experiment = evaluate(str.upper, ROWS, [Odd(), exact], name="odd")
    assert (experiment.summary()[0]["failed"], experiment.summary()[1]["n"]) == (6, 6)
