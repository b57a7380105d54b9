"""What `evaluate` costs beside the task and the scorers: 1,000 items, 3 scorers, a task in this process.

Each figure is the median over runs in processes of their own: seconds and CPU seconds of a run that writes everything
to the store, of a second run that uses all of it again, and of one without a store; the memory that the first run adds;
and the share of a call to `offline/echo` that watching it takes.

Run it with `python benchmarks/evals_running.py`.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

ITEMS = 1_000
RUNS = 5
CALLS = 2_000


def measured(function: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def one_run() -> dict[str, float]:
    """Return the figures of one process."""
    import llmops_sdk as llmops
    from llmops_sdk.client.serving._watched_calls import WATCHED
    from llmops_sdk.evals import evaluate, scorer

    @scorer
    def exact(output: str, expected: str) -> bool:
        return output == expected

    @scorer
    def length(output: str) -> int:
        return len(output)

    @scorer
    def contains(output: str) -> bool:
        return "Q" in output

    def task(question: str) -> str:
        return question.upper()

    rows = [{"input": {"question": f"q {number}"}, "expected": f"Q {number}"} for number in range(ITEMS)]

    def run(name: str) -> None:
        experiment = evaluate(task, rows, [exact, length, contains], name=name, progress=False)
        assert [row["n"] for row in experiment.summary()] == [ITEMS] * 3

    evaluate(task, rows[:10], [exact], name="warm up", progress=False)
    figures: dict[str, float] = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["first, s"], figures["first, CPU s"] = measured(lambda: run("bench"))
    figures["first, MB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    figures["again, s"], figures["again, CPU s"] = measured(lambda: run("bench"))

    def call() -> None:
        for _ in range(CALLS):
            llmops.chat("hello", model="offline/echo")

    call()
    off, on = [], []
    for _ in range(5):
        off.append(measured(call)[1])
        token = WATCHED.set([])
        on.append(measured(call)[1])
        WATCHED.reset(token)
    figures["watched call / call"] = statistics.median(on) / statistics.median(off)
    llmops.configure(store={"enabled": False})
    figures["no store, s"], figures["no store, CPU s"] = measured(lambda: run("memory"))
    return figures


def run() -> dict[str, float]:
    """Return the medians over runs in processes of their own."""
    found: list[dict[str, float]] = []
    for _ in range(RUNS):
        command = [sys.executable, __file__, "one"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found.append(json.loads(out.splitlines()[-1]))
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def main() -> None:
    """Print the medians."""
    if sys.argv[1:] == ["one"]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            print(json.dumps(one_run()))
        return
    for name, value in run().items():
        print(f"{name:24}{value:10.3f}")


if __name__ == "__main__":
    main()
