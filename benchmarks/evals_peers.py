"""One evaluation under one library: 1,000 items, three scorers in plain Python, a model and a judge in this process.

`evals_beside.py` runs this file as a program, with the Python of the library's own environment and in a folder of its
own: `evals_peers.py LIBRARY WAY`. It prints one JSON object: the time, the memory, and what the library reports.
The ways are `plain` (the settings that the library has by itself), `light` (nothing on disk, as far as the library can
do that), `tolerant` (as `light`, and failing scorers do not end the run), `again` (its own way to pay nothing twice),
for this library `used` (as `plain`, in a store that has rows), and for ragas `legacy` (its older function `evaluate`).

Environment variables tell the model and the judge what to do, because a library may look at their code to see whether
they changed: `BENCH_CALLS` names a file that gets a byte a call, `BENCH_KILL_AT` is the number of the judge's call at
which the process kills itself, and `BENCH_FAILING` lets the judge fail on 4 % of the items.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ITEMS = int(os.environ.get("BENCH_ITEMS", "1000"))
FAILING = 25  # the judge fails on one of so many items
SCORERS = ("exact", "length", "judge")
ROWS = [{"number": str(number), "question": f"q {number}", "answer": f"Q {number}"} for number in range(ITEMS)]
ATTEMPTS: list[str] = []  # addresses that the library tried to connect to

Report = dict[str, Any]


class JudgeError(Exception):
    """The judge's provider fails."""


def called(kind: bytes) -> None:
    """Count a call, and kill the process where the run says so."""
    path = os.environ.get("BENCH_CALLS")
    if path is None:
        return
    with Path(path).open("ab", buffering=0) as file:
        file.write(kind)
    kill_at = os.environ.get("BENCH_KILL_AT")
    if kill_at is not None and kind == b"j" and Path(path).read_bytes().count(b"j") >= int(kill_at):
        os.kill(os.getpid(), signal.SIGKILL)


def model(question: str) -> str:
    """Answer a question; one in ten is wrong."""
    called(b"m")
    return "I do not know" if question.endswith("0") else question.upper()


def judge(output: str, expected: str) -> float:
    """Judge an answer, or fail."""
    called(b"j")
    if os.environ.get("BENCH_FAILING") and int(expected[2:]) % FAILING == 1:
        raise JudgeError("the provider of the judge is overloaded")
    return float(output.strip() == expected)


def exact(output: str, expected: str) -> float:
    """Return whether the answer is the expected one."""
    return float(output == expected)


def length(output: str, expected: str) -> float:
    """Return the ratio of the lengths."""
    return min(len(output), len(expected)) / max(len(output), len(expected))


FUNCTIONS: dict[str, Callable[[str, str], float]] = {"exact": exact, "length": length, "judge": judge}


def report(columns: dict[str, Sequence[Any]], items: int, means: dict[str, Any] | None = None, **more: Any) -> Report:
    """Return what a library reports: its values by scorer, the items in its result, and its own means, if it has any.

    A value is a number, NaN, or None where it has none.
    """
    known = {
        name: [value for value in values if value is not None and not math.isnan(value)]
        for name, values in columns.items()
    }
    return {
        "items": items,
        "valid": {name: len(values) for name, values in known.items()},
        "nan": sum(value is not None and math.isnan(value) for values in columns.values() for value in values),
        "means": means or {name: sum(values) / len(values) if values else None for name, values in known.items()},
        **more,
    }


def ours(way: str) -> Callable[[], Report]:
    import llmops_sdk as llmops
    from llmops_sdk.evals import evaluate, scorer

    if way == "light":
        llmops.configure(store={"enabled": False})
    rows = [{"input": {"question": row["question"]}, "expected": row["answer"]} for row in ROWS]
    scorers = [scorer(name=name)(function) for name, function in FUNCTIONS.items()]
    if way == "used":
        evaluate(model, rows[:10], scorers, name="earlier", progress=False)

    def run() -> Report:
        found = evaluate(model, rows, scorers, name="bench", progress=False)
        summary = {row["scorer"]: row for row in found.summary()}
        columns = {name: [one.scores[name].value for one in found.results] for name in SCORERS}
        return report(
            columns, len(found.results), {name: row["mean"] for name, row in summary.items()},
            failed={name: row["failed"] for name, row in summary.items()},
            worst=summary["judge"]["worst_case"], status=found.status,
        )  # fmt: skip

    return run


def deepeval(way: str) -> Callable[[], Report]:
    from deepeval import evaluate
    from deepeval.evaluate.configs import CacheConfig, DisplayConfig, ErrorConfig
    from deepeval.metrics import BaseMetric
    from deepeval.test_case import LLMTestCase

    class Metric(BaseMetric):
        def __init__(self, name: str) -> None:
            self.name, self.threshold = name, 0.5

        def measure(self, test_case: Any, *_: Any, **__: Any) -> float:
            self.score = FUNCTIONS[self.name](test_case.actual_output, test_case.expected_output)
            self.success = self.score >= self.threshold
            return self.score

        async def a_measure(self, test_case: Any, *_: Any, **__: Any) -> float:
            return self.measure(test_case)

        def is_successful(self) -> bool:
            return bool(self.success)

        @property
        def __name__(self) -> str:
            return self.name

    def run() -> Report:
        # It takes finished answers, so the application calls the model.
        cases = [
            LLMTestCase(input=row["question"], actual_output=model(row["question"]), expected_output=row["answer"])
            for row in ROWS
        ]
        found = evaluate(
            cases, [Metric(name) for name in SCORERS],
            display_config=DisplayConfig(show_indicator=False, print_results=False, inspect_after_run=False),
            cache_config=CacheConfig(write_cache=way in ("plain", "again"), use_cache=way == "again"),
            error_config=ErrorConfig(ignore_errors=way in ("tolerant", "again")),
        )  # fmt: skip
        data = [one for case in found.test_results for one in case.metrics_data or []]
        columns = {name: [one.score for one in data if one.name == name] for name in SCORERS}
        return report(
            columns, len(found.test_results),
            failed={name: sum(one.error is not None for one in data if one.name == name) for name in SCORERS},
            passed=sum(bool(case.success) for case in found.test_results),
        )  # fmt: skip

    return run


def ragas(way: str) -> Callable[[], Report]:
    if way == "legacy":
        return ragas_legacy()
    from ragas import Dataset, experiment
    from ragas.cache import DiskCacheBackend, cacher
    from ragas.metrics import numeric_metric

    ask, measures = model, dict(FUNCTIONS)
    if way == "again":
        cached = cacher(DiskCacheBackend("cache"))
        ask, measures["judge"] = cached(model), cached(judge)

    def metric(name: str) -> Any:
        @numeric_metric(name=name, allowed_values=(0.0, 1.0))
        def measure(output: str, expected: str) -> float:
            return measures[name](output, expected)

        return measure

    metrics = [metric(name) for name in SCORERS]
    backend = "inmemory" if way == "light" else "local/jsonl"
    more: dict[str, str] = {} if way == "light" else {"root_dir": "."}
    dataset = Dataset(name="bench", backend=backend, data=[dict(row) for row in ROWS], **more)

    @experiment()
    async def one(row: dict[str, str]) -> dict[str, Any]:
        output = ask(row["question"])
        scores = [await each.ascore(output=output, expected=row["answer"]) for each in metrics]
        return {**row, "output": output} | {each.name: score.value for each, score in zip(metrics, scores, strict=True)}

    def run() -> Report:
        found = list(asyncio.run(one.arun(dataset, name="bench")))
        return report({name: [row[name] for row in found] for name in SCORERS}, len(found))

    return run


def ragas_legacy() -> Callable[[], Report]:
    from dataclasses import dataclass, field

    from ragas import EvaluationDataset, evaluate
    from ragas.metrics.base import MetricType, SingleTurnMetric

    @dataclass
    class Metric(SingleTurnMetric):
        name: str = ""
        _required_columns: dict[MetricType, set[str]] = field(
            default_factory=lambda: {MetricType.SINGLE_TURN: {"response", "reference"}}
        )

        def init(self, run_config: Any) -> None: ...

        async def _single_turn_ascore(self, sample: Any, callbacks: Any) -> float:  # noqa: ARG002
            return FUNCTIONS[self.name](sample.response, sample.reference)

    def run() -> Report:
        rows = [
            {"user_input": row["question"], "response": model(row["question"]), "reference": row["answer"]}
            for row in ROWS
        ]
        dataset = EvaluationDataset.from_list(rows)
        found = evaluate(dataset, [Metric(name=name) for name in SCORERS], show_progress=False)
        columns = {name: found[name] for name in SCORERS}
        return report(columns, len(found.scores))

    return run


def inspect(way: str) -> Callable[[], Report]:
    import inspect_ai
    from inspect_ai import Task, eval_set, task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelAPI, ModelOutput, modelapi
    from inspect_ai.scorer import Score, mean, scorer
    from inspect_ai.solver import generate

    @modelapi(name="bench")
    class Model(ModelAPI):
        async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> ModelOutput:  # noqa: ARG002
            return ModelOutput.from_content("bench", model(input[-1].text))

    def measure(name: str) -> Any:
        @scorer(metrics=[mean()], name=name)
        def build() -> Any:
            async def score(state: Any, target: Any) -> Score:
                return Score(value=FUNCTIONS[name](state.output.completion, target.text))

            return score

        return build()

    @task
    def bench() -> Task:
        samples = [Sample(id=int(row["number"]), input=row["question"], target=row["answer"]) for row in ROWS]
        return Task(dataset=MemoryDataset(samples), solver=generate(), scorer=[measure(name) for name in SCORERS])

    def run() -> Report:
        common: dict[str, Any] = {"model": "bench/bench", "log_dir": "logs", "display": "none"}
        if way == "light":  # `tolerant` keeps its samples: their errors stand there
            common |= {"log_samples": False, "log_realtime": False}
        if way in ("tolerant", "again"):
            common |= {"fail_on_error": False}
        [log] = eval_set(bench(), **common)[1] if way == "again" else inspect_ai.eval(bench(), **common)
        if not log.samples and way != "light" and log.location:
            from inspect_ai.log import read_eval_log

            log = read_eval_log(log.location)
        samples = log.samples or []
        columns = {
            name: [(one.scores or {})[name].value if name in (one.scores or {}) else None for one in samples]
            for name in SCORERS
        }
        scores = log.results.scores if log.results else []
        means = {score.name: score.metrics["mean"].value for score in scores}
        return report(
            columns, log.results.completed_samples if log.results else len(samples), means, status=log.status,
            failed={"judge": sum(one.error is not None for one in samples)},
        )  # fmt: skip

    return run


LIBRARIES: dict[str, Callable[[str], Callable[[], Report]]] = {
    "llmops-sdk": ours,
    "deepeval": deepeval,
    "ragas": ragas,
    "inspect-ai": inspect,
}


def peak() -> float:
    """Return the most memory that this process had, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would tell the peak of the parent, where that is higher
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _refuse(_: socket.socket, address: Any) -> None:
    ATTEMPTS.append(str(address))
    raise OSError("a library under test opens no connection")


def main() -> None:
    """Run one library in one way."""
    socket.socket.connect = _refuse  # pyright: ignore[reportAttributeAccessIssue]
    socket.socket.connect_ex = _refuse  # pyright: ignore[reportAttributeAccessIssue]
    output, sys.stdout = sys.stdout, sys.stderr
    logging.disable(logging.CRITICAL)
    name, way = sys.argv[1:]
    began, processor = time.perf_counter(), time.process_time()
    run = LIBRARIES[name](way)
    loaded, loaded_processor = time.perf_counter() - began, time.process_time() - processor
    began, processor = time.perf_counter(), time.process_time()
    try:
        found = run()
    except Exception as error:  # noqa: BLE001 - what the library lets through is the result
        found = {"raised": f"{type(error).__name__}: {error}"}
    found |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - processor, "mb": peak()}
    found |= {"import_seconds": loaded, "import_cpu": loaded_processor, "attempts": ATTEMPTS}
    json.dump(found, output)


if __name__ == "__main__":
    main()
