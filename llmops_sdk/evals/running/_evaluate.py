"""`evaluate` and `aevaluate`: run a task over a data set and score its outputs."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from llmops_sdk._util._guard import Caught
from llmops_sdk.datasets import Dataset
from llmops_sdk.evals._experiment import Experiment
from llmops_sdk.evals.running._plan import Plan
from llmops_sdk.evals.running._prepare import RunOptions, prepare
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

    docs/evaluation.md has the details. A run that was stopped or killed goes on where it was when it is called again,
    and a finished one pays nothing: results are used again if the item, the task's code, the models and the scorer are
    the same.

    Args:
        task: A function of an item's input, sync (in a thread) or async. It gets the keys of a mapping by their names
            if it has parameters for them.
        dataset: A `Dataset`, the name of a saved one, or rows for `Dataset.from_rows`.
        scorers: Functions under `@scorer`, judges, or names such as "exact_match"; one, or a list.
        name: The series that the experiment belongs to; only its runs are used again. By default TASK@DATASET.
        repeats: How often to run each item.
        concurrency: How many items run at one time.
        resume: Whether to use results of earlier runs again, and to go on with one that did not finish.
        budget: USD after which no item starts; calls that do not fit are refused. Calls of unknown price do not count.
        timeout: Seconds for the task on one item. A thread goes on after it, and its result does not count.
        scorer_timeout: Seconds for each scorer on one output.
        progress: Whether to show a line on stderr (None: on a terminal), or a function of results so far and total.
        metadata: What to note with the experiment, such as the commit; JSON values.
        seed: For the random order of items: what a budget leaves undone is a random sample.

    Raises:
        ConfigError: An argument is not valid.
        DatasetError: The data set cannot be read.
        StoreError: A row cannot be written.

    Example:
        >>> from llmops_sdk.evals import evaluate
        >>> rows = [{"input": "Paris", "expected": "PARIS"}, {"input": "Oslo", "expected": "Oslo"}]
        >>> evaluate(str.upper, rows, "equals", name="upper").summary()[0]["mean"]
        0.5
    """
    options = (name, repeats, concurrency, resume, budget, timeout, scorer_timeout, metadata, seed)
    plan = prepare(task, dataset, scorers, RunOptions(*options))
    with _writing(plan) as writer:
        return _BlockingRun(plan, writer, Progress(len(plan.slots), progress)).result()


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
    """Run a task on each item of a data set, in the running event loop; see `evaluate`. Cancelling it stops the run.

    Args:
        task: A function of an item's input.
        dataset: The data set.
        scorers: The scorers.
        name: The series that the experiment belongs to.
        repeats: How often to run each item.
        concurrency: How many items run at one time.
        resume: Whether to use results of earlier runs again.
        budget: USD after which no item starts.
        timeout: Seconds for the task on one item.
        scorer_timeout: Seconds for each scorer on one output.
        progress: Whether to show a line on stderr.
        metadata: What to note with the experiment.
        seed: For the order of items.

    Raises:
        ConfigError: An argument is not valid.
        DatasetError: The data set cannot be read.
        StoreError: A row cannot be written.

    Example:
        >>> import asyncio
        >>> from llmops_sdk.evals import aevaluate
        >>> rows = [{"input": "a", "expected": "A"}]
        >>> asyncio.run(aevaluate(str.upper, rows, "equals", name="shout")).summary()[0]["mean"]
        1.0
    """
    options = (name, repeats, concurrency, resume, budget, timeout, scorer_timeout, metadata, seed)
    plan = await asyncio.to_thread(prepare, task, dataset, scorers, RunOptions(*options))
    with _writing(plan) as writer:
        return await Run(plan, writer, Progress(len(plan.slots), progress)).run()


@contextmanager
def _writing(plan: Plan) -> Generator[RecordWriter | None]:
    writer = open_record_writer(plan.settings)
    try:
        yield writer
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
            with Caught():  # what ended the run is in its row
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
        experiment: Experiment | None = None
        with Caught(BaseException) as caught:
            experiment = self._loop.run_until_complete(self._main())
        left = asyncio.all_tasks(self._loop)
        for one in left:
            one.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=_CLEAN_UP_SECONDS))
        # Nobody waits for what ignores its cancellation; this thread goes on until it ends.
        if experiment is None:
            self._future.set_exception(caught.error or RuntimeError("the run ended without a result"))
        else:
            self._future.set_result(experiment)
        with Caught():
            while left := asyncio.all_tasks(self._loop):
                self._loop.run_until_complete(asyncio.wait(left))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
