"""`evaluate` and `aevaluate`: run a task over a data set and score its outputs."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from llmops_sdk.datasets import Dataset
from llmops_sdk.evals._experiment import Experiment
from llmops_sdk.evals.running._plan import Plan
from llmops_sdk.evals.running._prepare import prepare
from llmops_sdk.evals.running._progress import Progress
from llmops_sdk.evals.running._run import Run
from llmops_sdk.store._record_writer import RecordWriter, open_record_writer

__all__ = ["aevaluate", "evaluate"]

_STOP_SECONDS = 10.0
_CLEAN_UP_SECONDS = 1.0


def evaluate(
    task: Callable[..., Any],
    dataset: Dataset | Iterable[Any] | str,
    scorers: Any = (),
    *,
    name: str | None = None,
    repeats: int = 1,
    concurrency: int = 8,
    resume: bool = True,
    budget: float | None = None,
    timeout: float | None = None,
    scorer_timeout: float | None = None,
    progress: bool | Callable[[int, int], object] | None = None,
    metadata: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Experiment:
    """Run a task on each item of a data set, score its outputs, and write all of it to the store.

    If an input is a mapping, and each parameter of the task without a default has the name of one of its keys, the task
    gets these keys as keyword arguments; otherwise it gets the input as its one argument. What it returns becomes a
    JSON value: a `Response` its parsed answer or its text, a stream or generator of texts one text, models and
    dataclasses their fields. A task or scorer that fails is a result with an error, and the others go on.

    A row is in the store before the next item starts, so a run that was stopped or killed goes on where it was, without
    paying again: call it again. An output is used again if the item, the task (its code, and the values and functions
    of the application that it uses), the default model, the models' configuration, and the models that serve are the
    same; a score, if the scorer is the same too. Failures are tried again. Files and services that the task reads are
    not seen: put a version into a `functools.partial` of the task, or pass `resume=False`.

    Each run of an item is a trace. Calls of scorers are in traces of their own, so that a trace's cost is the task's.
    Ctrl-C stops the run within seconds and raises KeyboardInterrupt.

    Args:
        task: A function of an item's input, sync (it runs in a thread) or async; also a prompt function, a partial, or
            a callable object.
        dataset: A `Dataset`, the name of a saved one, or rows for `Dataset.from_rows`.
        scorers: Functions under `@scorer`, judges, or names such as "exact_match" or "regex:^[A-Z]"; one, or a list.
        name: The series to which the experiment belongs; only its runs are used again. By default TASK@DATASET.
        repeats: How often to run each item.
        concurrency: How many items run at one time.
        resume: Whether to use results of earlier runs of the series again, and to go on with one that did not finish.
        budget: USD after which no new item starts. A call whose estimated cost does not fit is refused before it is
            sent; the experiment is then `stopped`, with the reason `budget`. Calls of unknown price do not count.
        timeout: Seconds for the task on one item. A thread cannot be ended: it goes on, and its result does not count.
        scorer_timeout: Seconds for each scorer on one output.
        progress: True for a line on stderr, False for none, None for one on a terminal, or a function that gets the
            number of results and the total.
        metadata: What to note with the experiment, such as the commit; JSON values.
        seed: For the random order in which items run: what a budget leaves undone is a random sample.

    Raises:
        ConfigError: An argument is not valid.
        DatasetError: The data set cannot be read.
        StoreError: A row cannot be written.

    Example:
        >>> from llmops_sdk.evals import evaluate
        >>> rows = [{"input": "Paris", "expected": "PARIS"}, {"input": "Oslo", "expected": "Oslo"}]
        >>> experiment = evaluate(str.upper, rows, "equals", name="upper")
        >>> [(row["scorer"], row["n"], row["mean"]) for row in experiment.summary()]
        [('equals', 2, 0.5)]
    """
    plan = prepare(
        task,
        dataset,
        scorers,
        name=name,
        repeats=repeats,
        concurrency=concurrency,
        resume=resume,
        budget=budget,
        timeout=timeout,
        scorer_timeout=scorer_timeout,
        metadata=metadata,
        seed=seed,
    )
    writer = open_record_writer(plan.settings)
    try:
        return _BlockingRun(plan, writer, Progress(len(plan.slots), progress)).result()
    finally:
        if writer is not None:
            writer.close()


async def aevaluate(
    task: Callable[..., Any],
    dataset: Dataset | Iterable[Any] | str,
    scorers: Any = (),
    *,
    name: str | None = None,
    repeats: int = 1,
    concurrency: int = 8,
    resume: bool = True,
    budget: float | None = None,
    timeout: float | None = None,
    scorer_timeout: float | None = None,
    progress: bool | Callable[[int, int], object] | None = None,
    metadata: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Experiment:
    """Run a task on each item of a data set, in the running event loop; see `evaluate` for everything.

    Cancelling it stops the run; a later one goes on.

    Args:
        task: A function of an item's input.
        dataset: The data set.
        scorers: The scorers.
        name: The series to which the experiment belongs.
        repeats: How often to run each item.
        concurrency: How many items run at one time.
        resume: Whether to use results of earlier runs again.
        budget: USD after which no new item starts.
        timeout: Seconds for the task on one item.
        scorer_timeout: Seconds for each scorer on one output.
        progress: Whether to show a line on stderr.
        metadata: What to note with the experiment.
        seed: For the order in which items run.

    Raises:
        ConfigError: An argument is not valid.
        DatasetError: The data set cannot be read.
        StoreError: A row cannot be written.

    Example:
        >>> import asyncio
        >>> from llmops_sdk.evals import aevaluate
        >>> async def shout(text: str) -> str:
        ...     return text.upper()
        >>> rows = [{"input": "a", "expected": "A"}]
        >>> asyncio.run(aevaluate(shout, rows, "equals", name="shout")).summary()[0]["mean"]
        1.0
    """
    plan = await asyncio.to_thread(
        prepare,
        task,
        dataset,
        scorers,
        name=name,
        repeats=repeats,
        concurrency=concurrency,
        resume=resume,
        budget=budget,
        timeout=timeout,
        scorer_timeout=scorer_timeout,
        metadata=metadata,
        seed=seed,
    )
    writer = open_record_writer(plan.settings)
    try:
        return await Run(plan, writer, Progress(len(plan.slots), progress)).run()
    finally:
        if writer is not None:
            writer.close()


class _BlockingRun:
    """A run in a loop and a thread of its own, so that `evaluate` also works inside a running loop, as in a notebook.

    Args:
        plan: What to do.
        writer: Writes rows to the store, or None.
        progress: Shows how far it is.
    """

    def __init__(self, plan: Plan, writer: RecordWriter | None, progress: Progress) -> None:
        self._plan = plan
        self._writer = writer
        self._progress = progress
        self._run: Run | None = None
        self._loop = asyncio.new_event_loop()
        self._future: Future[Experiment] = Future()

    def result(self) -> Experiment:
        """Return the experiment when it has ended.

        Raises:
            KeyboardInterrupt: Ctrl-C; the rows until then are in the store.
        """
        context = contextvars.copy_context()
        # A daemon: a task that never returns must not hold up the end of the process.
        threading.Thread(target=context.run, args=(self._work,), name="llmops-evaluate-loop", daemon=True).start()
        try:
            return self._future.result()
        except KeyboardInterrupt:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._interrupt)
            with suppress(Exception):
                self._future.result(_STOP_SECONDS)
            raise

    def _interrupt(self) -> None:
        if self._run is not None:
            self._run.interrupt()

    async def _main(self) -> Experiment:
        self._run = Run(self._plan, self._writer, self._progress)
        return await self._run.run()

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            experiment = self._loop.run_until_complete(self._main())
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            self._clean_up()
            self._future.set_exception(error)
        else:
            self._clean_up()
            self._future.set_result(experiment)

    def _clean_up(self) -> None:
        """End what the task left in the loop, and wait for it a second at most."""
        left = asyncio.all_tasks(self._loop)
        for one in left:
            one.cancel()
        steps: list[Coroutine[Any, Any, Any]] = [self._loop.shutdown_asyncgens()]
        if left:
            steps.insert(0, asyncio.wait(left, timeout=_CLEAN_UP_SECONDS))
        for step in steps:
            self._loop.run_until_complete(step)
        # One that ignores its cancellation keeps its loop: closing it would break the task's own clean-up.
        if not asyncio.all_tasks(self._loop):
            self._loop.close()
