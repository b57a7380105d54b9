"""Case 8, and what else the key of a stored result names: nothing is used again that something else has changed."""

from __future__ import annotations

import functools
from collections import Counter

import pytest
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.evals import Judge, evaluate, scorer
from llmops_sdk.testing import use_provider

ROWS = [{"id": f"q{number}", "input": f"question {number}", "expected": "?", "topic": "a"} for number in range(6)]
CRITERIA = "The output says the same as the expected answer."


class Calls:
    """Counts the calls of the model by what they are for, and serves them as a model of some name."""

    def __init__(self, served: str = "model-1"):
        self.served = served
        self.counts: Counter[str] = Counter()

    def __call__(self, prompt: str) -> llmops.Response:
        self.counts["judge" if "Verdict" in prompt else "task"] += 1
        return llmops.Response(text="Verdict: correct" if "Verdict" in prompt else self.served, model=self.served)

    def taken(self) -> dict[str, int]:
        counts = {"task": self.counts["task"], "judge": self.counts["judge"]}
        self.counts.clear()
        return counts


@pytest.fixture
def calls(store, counting):
    llmops.configure(
        store={"path": store, "compaction": "manual"},
        model="smart",
        models={"smart": {"model": "offline/echo"}},
        cache={"exact": False},
    )
    calls = Calls()
    with use_provider(counting(calls)):
        yield calls


def ask(text):
    return llmops.chat(f"Answer: {text}").text


def run(task=ask, rows=ROWS, scorers=None, **more):
    return evaluate(task, rows, scorers or Judge(CRITERIA), name="series", progress=False, **more)


PAID = {"task": 6, "judge": 6}
NOTHING = {"task": 0, "judge": 0}


def test_nothing_that_is_the_same_is_paid_twice(calls):
    run()
    assert calls.taken() == PAID
    shuffled = [ROWS[n] for n in (3, 0, 5, 1, 2, 4)]
    again = run(rows=shuffled, concurrency=2, metadata={"commit": "abc"}, seed=9)

    assert calls.taken() == NOTHING
    assert again.counts["reused"] == 6
    assert [one.item_id for one in again.results] == [row["id"] for row in shuffled]
    assert again.cost == 0
    assert again.summary()[0]["n"] == 6


def test_case_8_one_character_of_the_judges_prompt_scores_everything_again(calls):
    run()
    calls.taken()
    run(scorers=Judge(CRITERIA.replace("same as", "same  as")))
    assert calls.taken() == {"task": 0, "judge": 6}
    # The earlier prompt's scores are still known.
    run(scorers=Judge(CRITERIA))
    assert calls.taken() == NOTHING


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"temperature": 0.5}},
        thorough({"labels": {"correct": 1.0, "incorrect": -1.0}}),
        thorough({"version": "2"}),
        thorough({"votes": 3}),
        thorough({"threshold": 0.5}),
        thorough({"include": ("output", "expected")}),
        thorough({"examples": [({"output": "Bern", "expected": "Berne"}, "correct")]}),
        thorough({"options": {"seed": 3}}),
        {"model": "offline/other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_case_8_every_parameter_of_a_judge_is_in_the_key(calls, change):
    run(scorers=Judge(CRITERIA, options={"cache": False}))
    calls.taken()
    options = {"cache": False, **change.pop("options", {})}
    result = run(scorers=Judge(CRITERIA, options=options, **change))

    assert calls.taken()["task"] == 0
    assert not any(score.reused for one in result.results for score in one.scores.values())


@pytest.mark.thorough
def test_case_8_a_moved_alias_reuses_nothing(calls):
    """A call between the runs shows that the name means another model now."""
    run()
    calls.taken()
    calls.served = "model-2"
    llmops.chat("Are you there?")
    calls.taken()
    moved = run()

    assert calls.taken() == PAID
    assert [one.output for one in moved.results] == ["model-2"] * 6
    assert {one.models for one in moved.results} == {("model-2",)}


def test_case_8_a_new_item_shows_that_the_alias_moved(calls):
    """No call between: the first call of this run shows it. No result mixes two models."""
    run()
    calls.taken()
    calls.served = "model-2"
    moved = run(rows=[*ROWS, {"id": "new", "input": "another", "expected": "?"}])

    assert {one.output for one in moved.results} == {"model-2"}
    assert calls.taken() == {"task": 7, "judge": 7}


def test_case_8_verdicts_of_the_moved_model_are_not_those_of_the_old_one(calls):
    """The judge's own cache does not bring back what the earlier model said."""
    judge = Judge(CRITERIA)
    run(task=str.upper, scorers=judge)
    assert calls.taken() == {"task": 0, "judge": 6}
    calls.served = "model-2"
    llmops.chat("Are you there?")
    calls.taken()
    moved = run(task=str.upper, scorers=judge)

    assert calls.taken() == {"task": 0, "judge": 6}
    assert not any(score.reused for one in moved.results for score in one.scores.values())


@pytest.mark.thorough
def test_case_8_another_model_behind_the_name_reuses_nothing(calls, store):
    run()
    calls.taken()
    llmops.configure(
        store={"path": store, "compaction": "manual"}, model="smart", models={"smart": {"model": "offline/script"}}
    )
    run(scorers=Judge(CRITERIA, options={"cache": False}))
    assert calls.taken() == PAID


@pytest.mark.parametrize(
    "changed",
    [{"expected": "other"}, *map(thorough, ({"input": "other"}, {"topic": "b"}, {"id": "q7"}, {"more": None}))],
    ids=lambda changed: next(iter(changed)),
)
def test_an_edited_item_is_paid_for_and_no_other(calls, changed):
    run()
    calls.taken()
    run(rows=[{**ROWS[0], **changed}, *ROWS[1:]], scorers=Judge(CRITERIA, options={"cache": False}))
    assert calls.taken() == {"task": 1, "judge": 1}


@pytest.mark.thorough
def test_added_items_repeats_and_scorers_alone_are_paid_for(calls):
    judge = Judge(CRITERIA, options={"cache": False})
    run(scorers=judge)
    calls.taken()
    run(rows=[*ROWS, {"id": "new", "input": "new", "expected": "?"}], scorers=judge)
    assert calls.taken() == {"task": 1, "judge": 1}
    run(repeats=3, scorers=judge)
    assert calls.taken() == {"task": 12, "judge": 12}
    run(scorers=[judge, Judge("It is polite.", name="polite", options={"cache": False})])
    assert calls.taken() == {"task": 0, "judge": 6}
    run(rows=ROWS[:2], scorers=judge)
    assert calls.taken() == NOTHING
    assert evaluate(ask, ROWS, judge, name="another series", progress=False).counts["reused"] == 0


def versioned(text, *, version, style="plain"):
    return llmops.chat(f"Answer: {text}").text


PREFIX = "Answer"


def with_global(text):
    return llmops.chat(f"{PREFIX}: {text}").text


@llmops.llm
def prompt_one(text: str) -> str:
    return f"Answer this: {text}"


@llmops.llm
def prompt_two(text: str) -> str:
    return f"Answer this! {text}"


@llmops.llm(system="Be brief.")
def prompt_system(text: str) -> str:
    return f"Answer this: {text}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (functools.partial(versioned, version="1"), functools.partial(versioned, version="2")),
        thorough(prompt_one, prompt_two),
        thorough(functools.partial(versioned, version="1"), functools.partial(versioned, version="1", style="rich")),
        thorough(prompt_one, prompt_system),
        thorough(
            lambda text: llmops.chat(text, temperature=0.0).text,
            lambda text: llmops.chat(text, temperature=0.1).text,
        ),
    ],
    ids=["version", "prompt", "argument", "system", "temperature"],
)
def test_another_version_of_the_task_reuses_nothing(calls, first, second):
    judge = Judge(CRITERIA, options={"cache": False})
    run(first, scorers=judge)
    calls.taken()
    run(first, scorers=judge)
    assert calls.taken() == NOTHING
    result = run(second, scorers=judge)
    assert calls.taken()["task"] == 6
    assert result.counts["reused"] == 0


@pytest.mark.thorough
def test_a_changed_constant_of_the_tasks_module_reuses_nothing(calls, monkeypatch):
    run(with_global)
    calls.taken()
    monkeypatch.setitem(globals(), "PREFIX", "Reply")
    run(with_global)
    assert calls.taken()["task"] == 6


@pytest.mark.thorough
def test_the_version_of_the_prompt_in_the_context_is_in_the_key(calls):
    with llmops.context(prompt=("support", "1")):
        run()
    calls.taken()
    with llmops.context(prompt=("support", "2")):
        run(scorers=Judge(CRITERIA, options={"cache": False}))
    assert calls.taken()["task"] == 6


@pytest.mark.thorough
def test_a_function_scorer_is_named_by_its_code_version_and_threshold(calls):
    def short(limit, **more):
        @scorer(name="short", **more)
        def count(output):
            seen.append(output)
            return float(len(output) < limit)

        return count

    seen: list[str] = []
    run(scorers=short(10))
    assert len(seen) == 6
    run(scorers=short(10))
    assert len(seen) == 6
    for more in ({"limit": 11}, {"limit": 10, "version": "2"}, {"limit": 10, "threshold": 0.5}):
        seen.clear()
        run(scorers=short(**more))
        assert len(seen) == 6, more
    assert calls.taken()["task"] == 6


def test_failures_are_tried_again_and_successes_are_not(calls):
    broken = {"question 2"}

    def fragile(text):
        if text in state["broken"]:
            raise RuntimeError(text)
        return llmops.chat(text).text

    state = {"broken": broken}
    first = run(fragile)
    assert first.summary()[0]["failed"] == 1
    assert calls.taken() == {"task": 5, "judge": 5}
    second = run(fragile)
    assert second.summary()[0]["failed"] == 1
    assert calls.taken() == NOTHING
    assert second.counts["reused"] == 5


def test_a_verdict_that_could_not_be_read_is_asked_for_again(store, counting):
    """With the options that a judge has by default."""
    answers = iter(["Hm.", "Verdict: correct", "Verdict: incorrect"])
    with use_provider(counting(lambda prompt: next(answers))) as provider:
        first = evaluate(str.upper, ROWS[:1], Judge(reasks=0), name="once", progress=False)
        second = evaluate(str.upper, ROWS[:1], Judge(reasks=0), name="once", progress=False)

        assert [one.summary()[0]["failed"] for one in (first, second)] == [1, 0]
        assert provider.taken() == 2
