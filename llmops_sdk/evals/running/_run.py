"""Run the items of an experiment: at most so many at a time, each written down before the next one starts."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from llmops_sdk.evals._experiment import Experiment, ExperimentStatus
from llmops_sdk.evals._types import Case, ItemResult, ScoreResult
from llmops_sdk.evals.identity._digest import digest
from llmops_sdk.evals.judges._ask import WITHOUT_CACHE
from llmops_sdk.evals.running._output import MAX_KEPT, collect, collect_async, json_value, shortened
from llmops_sdk.evals.running._plan import Plan, PlannedScorer, Slot, scorer_key
from llmops_sdk.evals.running._progress import Progress
from llmops_sdk.evals.running._rows import experiment_row, item_row, score_row
from llmops_sdk.evals.running._scope import Scope
from llmops_sdk.evals.running._scoring import outcome_fields, put_on_trace, run_async, run_scorer, score_result
from llmops_sdk.evals.running._spending import Spending
from llmops_sdk.evals.running._threads import ThreadCalls, TooManyLeftError
from llmops_sdk.evals.running._usage import ModelConfigurations, ServedNow, served_by, usage_of
from llmops_sdk.resilience.budgets import budget
from llmops_sdk.resilience.budgets._scopes import enter_scope
from llmops_sdk.store._record_writer import RecordWriter

__all__ = ["Run"]

_GRACE = 2.0  # seconds that items in flight have to end after an interrupt


class _Output:
    """The output of a slot: the result without scores, and what the scores depend on."""

    def __init__(self, result: ItemResult, value: Any, output_digest: str | None, *, reused: bool) -> None:
        self.result = result
        self.value = value
        self.digest = output_digest
        self.reused = reused


class Run:
    """One run of a plan.

    Args:
        plan: What to do.
        writer: Writes rows to the store, or None.
        progress: Shows how far it is.
    """

    def __init__(self, plan: Plan, writer: RecordWriter | None, progress: Progress) -> None:
        self._plan = plan
        self._writer = writer
        self._progress = progress
        self._results = [self._not_run(slot) for slot in sorted(plan.slots, key=lambda slot: slot.index)]
        self._spending = Spending(plan.budget)
        self._configurations = ModelConfigurations(plan.settings)
        self._served = ServedNow(self._configurations, plan.newest_models)
        self._context = contextvars.copy_context()
        self._changed = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._interrupted = False
        self._reason: str | None = None
        self._error: BaseException | None = None
        self._shortened = 0
        if plan.budget is not None:
            # The hard bound: a call whose estimate does not fit is refused before it is sent.
            policy = budget(limit_usd=plan.budget, window="total", unknown_cost=1e-12)
            self._context.run(enter_scope, policy)

    async def run(self) -> Experiment:
        """Run everything, and return the experiment.

        Raises:
            StoreError: A row cannot be written. The rows before it are safe.
        """
        self._threads = ThreadCalls(asyncio.get_running_loop())
        self._write(experiment_row(self._plan, "running", None, self._plan.warnings))
        with ExitStack() as stack:
            stack.callback(self._threads.close)
            stack.callback(self._progress.close)
            try:
                # New calls first: they tell which models serve now, before stored outputs are used again.
                await self._run_all(slot for slot in self._plan.slots if slot.stored is None)
                await self._run_all(slot for slot in self._plan.slots if slot.stored is not None)
            except asyncio.CancelledError:
                self._reason = "interrupted"
                self._end()
                raise
            return self._end()

    def interrupt(self) -> None:
        """Stop soon: start no more items, and give those in flight two seconds. Call it in the run's loop."""
        self._stop("interrupted")
        if not self._interrupted:
            self._interrupted = True
            asyncio.get_running_loop().call_later(_GRACE, self._cancel_workers)

    def _cancel_workers(self) -> None:
        for worker in self._workers:
            worker.cancel()

    def _stop(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._changed.set()

    async def _run_all(self, slots: Iterable[Slot]) -> None:
        waiting = iter(slots)
        self._workers = [asyncio.create_task(self._work(waiting)) for _ in range(self._plan.concurrency)]
        try:
            await asyncio.wait(self._workers)
        except asyncio.CancelledError:
            self._cancel_workers()
            raise
        for worker in self._workers:
            if not worker.cancelled() and (error := worker.exception()) is not None:
                raise error

    async def _work(self, waiting: Iterator[Slot]) -> None:
        while self._reason is None and (slot := next(waiting, None)) is not None:
            if not await self._may_start(slot):
                return
            cost = None
            ended = False
            self._spending.start()
            try:
                cost = await self._process(slot)
                ended = True
            except TooManyLeftError:
                self._stop("hung")
                ended = True
            finally:
                if not ended:
                    self._stop("error")
                self._spending.end(cost)
                self._changed.set()

    async def _may_start(self, slot: Slot) -> bool:
        """Return whether to start a slot; wait for those in flight where they decide it."""
        while self._reason is None:
            if self._reusable(slot) or self._spending.allows():
                return True
            if not self._spending.in_flight:
                self._stop("budget")
                break
            self._changed.clear()
            await self._changed.wait()
        return False

    def _reusable(self, slot: Slot) -> bool:
        return slot.stored is not None and self._served.still_serves(slot.stored.served)

    async def _process(self, slot: Slot) -> float | None:
        """Run a slot, and return what it cost; None if it ran no task."""
        made = self._reused(slot) if self._reusable(slot) else await self._run_task(slot)
        if made is None:
            return None  # refused by the budget
        scores: dict[str, ScoreResult] = {}
        for planned in self._plan.scorers:
            if made.result.status != "ok" or self._reason == "budget":
                scores[planned.name] = ScoreResult(scorer=planned.name, status="not_run")
            else:
                scores[planned.name] = await self._score(slot, made, planned)
        result = replace(made.result, scores=scores)
        self._results[slot.index] = result
        self._progress.note(result, self._spending.spent)
        costs = [result.cost, *(score.cost for score in scores.values() if not score.reused)]
        return None if made.reused else math.fsum(cost for cost in costs if cost is not None)

    # --- the task -----------------------------------------------------------------------------------------------------

    def _not_run(self, slot: Slot) -> ItemResult:
        item = slot.item
        return ItemResult(
            item_id=item.id,
            repeat=slot.repeat,
            status="not_run",
            input=item.input,
            expected=item.expected,
            metadata=item.metadata,
        )

    def _reused(self, slot: Slot) -> _Output:
        stored = slot.stored
        assert stored is not None
        result = replace(
            self._not_run(slot),
            status="ok",
            output=stored.output,
            trace_id=stored.trace_id,
            duration_ms=stored.duration_ms,
            cost=stored.cost,
            input_tokens=stored.input_tokens,
            output_tokens=stored.output_tokens,
            models=stored.models,
            reused=True,
        )
        if stored.experiment_id != self._plan.experiment_id:
            self._write(item_row(self._plan, slot, result, stored.output_digest, stored.served, reusable=True))
        return _Output(result, stored.output, stored.output_digest, reused=True)

    async def _run_task(self, slot: Slot) -> _Output | None:
        plan = self._plan
        scope = Scope(plan.task_name, "chain", self._attributes(slot), slot.item.input)
        args, kwargs = plan.arguments.of(slot.item.input)

        def convert(value: Any) -> tuple[Any, bytes]:
            output, raw = json_value(value)
            scope.note_output(output)
            return output, raw

        async def call() -> tuple[Any, bytes]:
            return convert(await collect_async(plan.task(*args, **kwargs)))

        if plan.task_is_async:
            await run_async(scope, call, self._context.copy(), plan.timeout)
        else:
            function = lambda: scope.run(lambda: convert(collect(plan.task(*args, **kwargs))))  # noqa: E731
            try:
                await self._threads.call(function, self._context.copy(), plan.timeout)
            except TimeoutError:
                scope.expire()
        self._served.note(scope.calls)
        self._spending.add(usage_of(scope.calls).cost)
        if scope.status == "budget":
            self._stop("budget")
            return None
        value, raw = scope.value if scope.status == "ok" else (None, b"")
        is_whole = len(raw) <= MAX_KEPT
        self._shortened += not is_whole
        result = replace(
            self._not_run(slot),
            status=scope.status,
            output=value if is_whole else shortened(raw),
            **outcome_fields(scope),
        )
        content = digest(value) if scope.status == "ok" else None
        served = served_by(scope.calls, self._configurations)
        self._write(item_row(plan, slot, result, content, served, reusable=is_whole and scope.status == "ok"))
        return _Output(result, value, content, reused=False)

    def _attributes(self, slot: Slot) -> dict[str, Any]:
        return {
            "llmops.eval.experiment_id": self._plan.experiment_id,
            "llmops.eval.experiment": self._plan.name,
            "llmops.eval.item_id": slot.item.id,
            "llmops.eval.repeat": slot.repeat,
        }

    # --- scorers ------------------------------------------------------------------------------------------------------

    async def _score(self, slot: Slot, made: _Output, planned: PlannedScorer) -> ScoreResult:
        plan = self._plan
        key = scorer_key(slot.key, made.digest or "", planned.digest)
        stored = plan.stored_scores.get(key) if made.reused else None
        if stored is not None and self._served.still_serves(stored.served):
            result = replace(stored.result, scorer=planned.name)
            if stored.experiment_id != plan.experiment_id:
                self._write(score_row(plan, slot, made.result.trace_id, result, key, stored.served))
            return result
        item = slot.item
        case = Case(
            item_id=item.id,
            input=item.input,
            output=made.value,
            expected=item.expected,
            metadata=item.metadata,
            repeat=slot.repeat,
            trace_id=made.result.trace_id,
        )
        attributes = self._attributes(slot)
        context = self._context.copy()
        if self._served.moved:
            # The caches of judges have verdicts of the model that served before.
            context.run(WITHOUT_CACHE.set, True)
        scope = await run_scorer(
            planned,
            case,
            threads=self._threads,
            context=context,
            attributes=attributes,
            timeout=plan.scorer_timeout,
        )
        self._served.note(scope.calls)
        result = score_result(planned, scope)
        self._spending.add(result.cost)
        if result.status == "not_run":
            self._stop("budget")
            return result
        served = served_by(scope.calls, self._configurations)
        self._write(score_row(plan, slot, made.result.trace_id, result, key, served))
        put_on_trace(result, made.result.trace_id)
        return result

    # --- the end ------------------------------------------------------------------------------------------------------

    def _write(self, row: Any) -> None:
        if self._writer is not None:
            self._writer.write(row)

    def _end(self) -> Experiment:
        warnings = list(self._plan.warnings)
        if self._shortened:
            warnings.append(
                f"{self._shortened} outputs are larger than 1 MiB: only their beginning is kept, and a resumed run "
                "runs these items again"
            )
        status: ExperimentStatus = "completed" if self._reason is None else "stopped"
        self._write(experiment_row(self._plan, status, self._reason, warnings))
        plan = self._plan
        return Experiment(
            id=plan.experiment_id,
            name=plan.name,
            dataset_name=plan.dataset_name,
            dataset_version=plan.dataset_version,
            status=status,
            reason=self._reason,
            results=tuple(self._results),
            scorers=plan.described_scorers(),
            repeats=plan.repeats,
            started=plan.start_ns / 1e9,
            ended=time.time(),
            task_name=plan.task_name,
            task_version=plan.task_version,
            metadata=dict(plan.metadata),
            warnings=tuple(warnings),
        )
