"""`evaluate`: results, failures, traces, calling rules, hostile tasks."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import sys
import threading
import time
from types import MappingProxyType

import pydantic
import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import ConfigError
from llmops_sdk.evals import Experiment, Score, aevaluate, evaluate, scorer
from llmops_sdk.providers import Response
from llmops_sdk.testing import ScriptedProvider, use_provider

ROWS = [{"input": f"q{number}", "expected": f"Q{number}"} for number in range(6)]


@scorer
def exact(output, expected):
    return output == expected


def upper(text):
    return text.upper()


async def async_upper(text):
    return text.upper()


class Upper:
    def __call__(self, text):
        return text.upper()


def add(suffix, text):
    return text.upper() + suffix


@pytest.mark.parametrize(
    "task",
    [
        upper,
        async_upper,
        Upper(),
        Upper().__call__,
        functools.partial(add, ""),
        llmops.trace(upper),
        llmops.trace(async_upper),
        str.upper,
        lambda text: iter(text.upper()),
    ],
    ids=["function", "coroutine", "object", "method", "partial", "traced", "traced coroutine", "builtin", "iterator"],
)
def test_any_callable_of_the_input_is_a_task(task):
    experiment = evaluate(task, ROWS, exact, name="any")
    assert experiment.counts["ok"] == 6
    assert [result.output for result in experiment.results] == [row["expected"] for row in ROWS]
    assert experiment.summary()[0]["mean"] == 1.0
    assert (experiment.status, experiment.reason, experiment.repeats) == ("completed", None, 1)


def test_a_prompt_function_is_a_task_and_its_calls_are_counted():
    @llmops.llm("offline/echo")
    def ask(question: str) -> str:
        return f"Say {question}"

    experiment = evaluate(ask, [{"input": {"question": "hi"}}], name="prompt")
    [result] = experiment.results
    assert result.output == "Say hi"
    assert result.models == ("echo",)
    assert result.input_tokens > 0
    assert result.output_tokens > 0


@pytest.mark.parametrize(
    ("task", "given"),
    [
        (lambda question: question, "a"),
        (lambda value: value, {"question": "a", "k": 1}),
        (lambda question, k=0: (question, k), ["a", 1]),
        (lambda question, other=7: (question, other), ["a", 7]),
        (lambda question, **rest: (question, rest), ["a", {"k": 1}]),
        (lambda *all_of_it: list(all_of_it), [{"question": "a", "k": 1}]),
        (lambda inputs, /: inputs, {"question": "a", "k": 1}),
    ],
    ids=["name", "whole", "two names", "default", "rest", "positional", "positional only"],
)
def test_keys_of_a_mapping_become_arguments_if_the_task_names_them(task, given):
    [result] = evaluate(task, [{"input": {"question": "a", "k": 1}}]).results
    assert result.output == given


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Answer(pydantic.BaseModel):
    text: str


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (Point(1, 0.5), {"x": 1, "y": 0.5}),
        (Answer(text="a"), {"text": "a"}),
        ((1, "a", None), [1, "a", None]),
        ({1: float("nan")}, {"1": None}),
        (["x" * 10], ["x" * 10]),
        (10**30, None),
        ("\ud800", None),
        (object(), None),
        (lambda: 0, None),
    ],
    ids=["dataclass", "model", "tuple", "NaN", "list", "large number", "surrogate", "object", "function"],
)
def test_an_output_becomes_json_or_a_failure(value, output):
    seen = []

    @scorer
    def look(output):
        seen.append(output)
        return 1.0

    [result] = evaluate(lambda text: value, [{"input": "a"}], look, resume=False).results
    if output is None:
        assert (result.status, result.error_type, seen) == ("error", "NotJsonError", [])
        assert result.scores["look"].status == "not_run"
    else:
        assert (result.status, result.output, seen) == ("ok", output, [output])


def raising(error):
    def task(text):
        raise error

    return task


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "error", [ValueError("x" * 10_000), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("b"),
              UnprintableError(), StopIteration(), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
@pytest.mark.parametrize("style", ["sync", "async"])
def test_whatever_a_task_raises_is_the_failure_of_its_item(error, style):
    task = raising(error)

    async def async_task(text):
        task(text)

    experiment = evaluate(task if style == "sync" else async_task, ROWS[:3], exact, name="raise")
    assert experiment.counts["error"] == 3
    assert experiment.status == "completed"
    first = experiment.results[0]
    assert len(first.error) <= 2_000
    # In a coroutine, Python makes another error of a StopIteration.
    assert first.error_type == (
        "RuntimeError" if (style, type(error)) == ("async", StopIteration) else type(error).__qualname__
    )
    row = experiment.summary()[0]
    assert (row["n"], row["mean"], row["failed"]) == (0, None, 3)


def test_failures_of_scorers_are_theirs_alone():
    @scorer
    def broken(output):
        raise RuntimeError("no verdict")

    @scorer
    def not_a_number(output):
        return float("nan")

    @scorer
    def does_not_apply(output):
        return None

    @scorer
    async def later(output):
        await asyncio.sleep(0)
        return Score(value=0.25, label="low", comment="why", metadata={"a": 1})

    experiment = evaluate(upper, ROWS, [exact, broken, not_a_number, does_not_apply, later], name="scores")
    rows = {row["scorer"]: row for row in experiment.summary()}
    assert [rows[name]["failed"] for name in ("exact", "broken", "not_a_number", "does_not_apply")] == [0, 6, 6, 0]
    assert rows["does_not_apply"]["skipped"] == 6
    assert (rows["later"]["mean"], rows["later"]["labels"]) == (0.25, {"low": 6})
    score = experiment.results[0].scores["broken"]
    assert (score.status, score.error_type, score.error) == ("error", "RuntimeError", "no verdict")


def test_threads_and_a_sync_scorer_that_returns_an_awaitable():
    class Odd:
        name = "odd"
        identity = MappingProxyType({"version": 1})
        higher_is_better = True

        def score(self, case):
            async def later():
                return len(case.output)

            return later()

    def task(text):
        found = []
        thread = threading.Thread(target=lambda: found.append(text))
        thread.start()
        thread.join()
        return found[0]

    assert evaluate(task, ROWS, Odd(), name="odd").summary()[0]["mean"] == 2.0


@pytest.mark.parametrize("style", ["thread", "coroutine", "stubborn coroutine"])
def test_an_item_that_takes_too_long_is_a_timeout_and_the_others_go_on(style):
    release = threading.Event()
    never = asyncio.Event

    def in_thread(text):
        if text == "q1":
            release.wait(30)
        return text

    async def in_loop(text):
        if text == "q1":
            await never().wait()
        return text

    async def stubborn(text):
        if text != "q1":
            return text
        while not release.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        return text

    task = {"thread": in_thread, "coroutine": in_loop, "stubborn coroutine": stubborn}[style]
    try:
        experiment = evaluate(task, ROWS, exact, name=style, timeout=0.2)
    finally:
        release.set()
    assert [result.status for result in experiment.results] == ["ok", "timeout", "ok", "ok", "ok", "ok"]
    late = experiment.results[1]
    assert (late.error_type, late.output, late.scores["exact"].status) == ("TimeoutError", None, "not_run")


def test_a_scorer_that_takes_too_long_is_a_timeout():
    release = threading.Event()

    @scorer
    def slow(output):
        release.wait(30)
        return 1.0

    try:
        experiment = evaluate(upper, ROWS[:2], [slow, exact], name="slow", scorer_timeout=0.1)
    finally:
        release.set()
    assert [result.scores["slow"].status for result in experiment.results] == ["timeout"] * 2
    assert experiment.summary()[1]["mean"] == 1.0


def test_too_many_threads_that_never_return_stop_the_run(monkeypatch):
    monkeypatch.setattr("llmops_sdk.evals.running._threads.MAX_LEFT", 2)
    release = threading.Event()
    try:
        experiment = evaluate(lambda text: release.wait(30), ROWS, name="hung", timeout=0.05, concurrency=1)
    finally:
        release.set()
    assert (experiment.status, experiment.reason) == ("stopped", "hung")
    assert experiment.counts["timeout"] == 2
    assert experiment.counts["not_run"] == 4


def test_concurrency_is_bounded():
    lock, running, most = threading.Lock(), [0], [0]
    barrier = threading.Barrier(3, timeout=10)

    def task(text):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        barrier.wait()
        with lock:
            running[0] -= 1
        return text

    assert evaluate(task, ROWS, name="three", concurrency=3).counts["ok"] == 6
    assert most[0] == 3


def test_repeats_run_each_item_several_times():
    lock, seen = threading.Lock(), []

    @scorer
    def first(repeat):
        return repeat == 0

    def task(text):
        with lock:
            seen.append(text)
        return len(seen)

    experiment = evaluate(task, ROWS[:2], first, repeats=3, name="repeats")
    assert sorted(seen) == ["q0"] * 3 + ["q1"] * 3
    assert [(result.item_id == experiment.results[0].item_id, result.repeat) for result in experiment.results[:3]] == [
        (True, 0), (True, 1), (True, 2),
    ]  # fmt: skip
    row = experiment.summary()[0]
    assert (row["n"], row["items"]) == (6, 2)
    assert row["mean"] == pytest.approx(1 / 3)


def test_each_item_is_a_trace_and_calls_of_scorers_are_traces_of_their_own():
    @scorer
    async def judge(output):
        return len((await llmops.achat("judge " + output, model="offline/echo")).text)

    def task(text):
        return llmops.chat(text, model="offline/echo").text

    with llmops.span("outer"), llmops.context(tags=["nightly"]):
        experiment = evaluate(task, ROWS[:2], [judge, exact], name="traced")
    traces = llmops.query("SELECT trace_id, name, llm_calls, tags FROM traces ORDER BY name").rows()
    names = [name for _, name, _, _ in traces]
    assert names == ["outer", "score judge", "score judge", "task", "task"]
    assert [calls for _, _, calls, _ in traces] == [0, 1, 1, 1, 1]
    assert all(sorted(tags) == ["llmops.eval", "nightly"] for _, name, _, tags in traces if name != "outer")
    by_name = {name: sorted(trace for trace, own, _, _ in traces if own == name) for name in names}
    assert sorted(result.trace_id for result in experiment.results) == by_name["task"]
    assert sorted(result.scores["judge"].trace_id for result in experiment.results) == by_name["score judge"]
    scores = llmops.query("SELECT trace_id, name, value, source FROM scores ORDER BY ALL").rows()
    assert len(scores) == 4
    assert {(trace, source) for trace, _, _, source in scores} == {(trace, "evaluator") for trace in by_name["task"]}
    attributes = llmops.query(
        "SELECT DISTINCT attributes->>'llmops.eval.experiment_id' FROM spans WHERE parent_span_id IS NULL "
        "AND name <> 'outer'"
    ).rows()
    assert attributes == [(experiment.id,)]


def test_the_store_has_the_experiment_and_gives_it_back():
    @scorer
    def sometimes(output):
        if output == "Q1":
            raise ValueError("no")
        return Score(value=0.5, comment="c", metadata={"k": [1]})

    made = evaluate(upper, ROWS, [exact, sometimes], name="kept", metadata={"commit": "abc"})
    for loaded in (Experiment.load(made.id), Experiment.load("kept"), Experiment.latest("kept")):
        assert loaded.summary() == made.summary()
        assert [dataclasses.replace(one, scores={}) for one in loaded.results] == [
            dataclasses.replace(one, scores={}) for one in made.results
        ]
        assert (loaded.id, loaded.metadata, loaded.status) == (made.id, {"commit": "abc"}, "completed")
        assert loaded.scorers == made.scorers
    with pytest.raises(llmops.LLMOpsError, match="the latest are 'kept'"):
        Experiment.load("other")


def test_without_a_store_everything_works_in_memory():
    llmops.configure(store={"enabled": False})
    experiment = evaluate(upper, ROWS, exact)
    assert experiment.summary()[0]["mean"] == 1.0
    assert "cannot be resumed" in experiment.warnings[0]


async def test_aevaluate_runs_in_the_loop_of_the_caller():
    loop = asyncio.get_running_loop()

    async def task(text):
        assert asyncio.get_running_loop() is loop
        return text.upper()

    assert (await aevaluate(task, ROWS, exact, name="loop")).summary()[0]["mean"] == 1.0


async def test_evaluate_works_inside_a_running_loop_as_in_a_notebook():
    assert evaluate(async_upper, ROWS, exact, name="notebook").summary()[0]["mean"] == 1.0


async def test_a_cancelled_aevaluate_leaves_an_experiment_to_go_on_with():
    started = asyncio.Event()

    async def task(text):
        if text == "q5":
            started.set()
            await asyncio.Event().wait()
        return text

    running = asyncio.create_task(aevaluate(task, ROWS, exact, name="cut", concurrency=6))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    rows = (await llmops.aquery("SELECT status, reason FROM experiments")).rows()
    assert rows == [("stopped", "interrupted")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"repeats": 0}, "repeats = 0"),
        ({"concurrency": True}, "concurrency = True"),
        ({"budget": -1.0}, "budget = -1.0"),
        ({"timeout": float("nan")}, "timeout = nan"),
        ({"metadata": {"a": object}}, "metadata"),
        ({"name": ""}, "name = ''"),
        ({"scorers": [exact, exact]}, "a name of its own"),
        ({"scorers": ["no_such"]}, 'no scorer "no_such"'),
        ({"scorers": [3]}, "3 is no scorer"),
        ({"dataset": {"input": 1}}, "a list of rows"),
        ({"task": "x"}, "task = 'x'"),
    ],
)
def test_arguments_are_checked_before_anything_runs(arguments, says):
    given = {"task": upper, "dataset": ROWS, "scorers": exact, **arguments}
    with pytest.raises(llmops.ConfigError, match=says):
        evaluate(given.pop("task"), given.pop("dataset"), given.pop("scorers"), **given)


def test_outputs_that_are_very_large_are_scored_whole_and_kept_short():
    @scorer
    def size(output):
        return len(output)

    experiment = evaluate(lambda text: "x" * 3_000_000, ROWS[:1], size, name="large")
    [result] = experiment.results
    assert result.scores["size"].value == 3_000_000
    assert (result.output["llmops.truncated"], result.output["bytes"]) == (True, 3_000_002)
    assert "larger than 1 MiB" in experiment.warnings[0]


def test_an_endless_generator_is_a_failure():
    def task(text):
        while True:
            yield 1

    [result] = evaluate(task, ROWS[:1], name="endless").results
    assert (result.status, result.error_type) == ("error", "NotJsonError")


def test_streams_and_responses_are_their_text():
    @llmops.llm("offline/echo", stream=True)
    def stream(text):
        return text

    @llmops.llm("offline/echo", stream=True)
    async def async_stream(text):
        return text

    async def pieces(text):
        for one in text:
            yield one

    for task in (stream, async_stream, pieces, lambda text: llmops.chat(text, model="offline/echo")):
        assert evaluate(task, [{"input": "hello"}], resume=False).results[0].output == "hello"


def test_cost_usage_and_models_come_from_the_calls_also_in_threads_that_carry_the_context():
    def answer(request):
        return Response(text="yes", model="m-2026", cost=0.25)

    def task(text):
        with llmops.Executor(max_workers=1) as pool:
            return pool.submit(llmops.chat, text, model="openai/m").result().text

    with use_provider(ScriptedProvider([answer], repeat=True)):
        experiment = evaluate(task, ROWS[:2], name="cost")
    assert [result.cost for result in experiment.results] == [0.25, 0.25]
    assert experiment.results[0].models == ("m-2026",)
    assert experiment.cost == 0.5


def test_the_progress_of_a_run_is_told(capsys):
    told = []
    evaluate(upper, ROWS, exact, name="told", progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 6) for number in range(1, 7)]
    evaluate(upper, ROWS, exact, name="line", progress=True)
    assert "6 of 6 items" in capsys.readouterr().err
    evaluate(upper, ROWS, exact, name="silent")
    assert capsys.readouterr().err == ""


def test_a_store_that_cannot_be_written_stops_the_run(own_surroundings, monkeypatch):
    from llmops_sdk.store._record_writer import RecordWriter

    written = []

    def write(self, *rows):
        written.extend(rows)
        if len(written) > 3:
            raise llmops.StoreError("the disk is full")

    monkeypatch.setattr(RecordWriter, "write", write)
    with pytest.raises(llmops.StoreError, match="full"):
        evaluate(upper, ROWS, exact, concurrency=1, name="full")


def test_the_package_of_evaluation_loads_nothing_heavy():
    import subprocess

    code = "import sys, llmops_sdk.evals; print([m for m in ('numpy', 'duckdb', 'litellm') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_time_is_measured(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", iter(range(100)).__next__)
    assert evaluate(upper, ROWS[:1], name="time").results[0].duration_ms == 1000.0


def test_an_empty_data_set_is_told_and_no_text_is_an_experiment() -> None:
    found = evaluate(upper, [], "not_empty", name="none", progress=False)
    assert found.warnings == ("the data set has no items: nothing was evaluated",)
    with pytest.raises(ConfigError, match=r"'none' is no experiment: read a stored one with Experiment\.load"):
        found.compare("none")  # pyright: ignore[reportArgumentType]
