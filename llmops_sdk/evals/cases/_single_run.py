"""Run a test function on one item once, in the caller's thread, and score what it returns."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from llmops_sdk.datasets import Item
from llmops_sdk.evals._types import Case, ItemResult, Scorer, ScoreResult
from llmops_sdk.evals.running._output import MAX_KEPT, NotJsonError, collect, collect_async, json_value, shortened
from llmops_sdk.evals.running._plan import PlannedScorer
from llmops_sdk.evals.running._scope import Scope
from llmops_sdk.evals.running._scoring import outcome_fields, put_on_trace, score_result

__all__ = ["SingleRuns", "planned_scorer"]


def planned_scorer(scorer: Scorer) -> PlannedScorer:
    """Return a scorer with what does not change between runs.

    Args:
        scorer: The scorer.
    """
    is_async = getattr(scorer, "is_async", None) is True or inspect.iscoroutinefunction(scorer.score)
    return PlannedScorer(name=scorer.name, scorer=scorer, identity=dict(scorer.identity), digest="", is_async=is_async)


class SingleRuns:
    """Runs of one case. It is a context manager: at its end it closes the event loop of async functions.

    Args:
        name: The name of the runs' spans.
        scorers: The scorers.
        is_failure: Tells which exceptions of the function are a failure of the run. The others are raised.

    Attributes:
        errors: What the function raised, by the number of the run.
    """

    def __init__(
        self, name: str, scorers: Sequence[PlannedScorer], is_failure: Callable[[BaseException], bool]
    ) -> None:
        self._name = name
        self._scorers = scorers
        self._is_failure = is_failure
        self._runner: asyncio.Runner | None = None
        self.errors: dict[int, BaseException] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._runner is not None:
            self._runner.close()

    def run(self, call: Callable[[], Any], item: Item, repeat: int) -> ItemResult:
        """Run the function once, and return the result with its scores.

        Args:
            call: Calls the function; what it returns may be awaitable.
            item: The item.
            repeat: The number of the run, from 0.
        """
        attributes = {"llmops.eval.case": self._name, "llmops.eval.item_id": item.id, "llmops.eval.repeat": repeat}
        scope = Scope(self._name, "chain", attributes, item.input)
        made = self._run_function(scope, call, repeat)
        error = self.errors.get(repeat)
        if error is not None and not self._is_failure(error):
            raise error
        value, raw = made if made is not None else (None, b"")
        result = ItemResult(
            item_id=item.id,
            repeat=repeat,
            status="ok" if scope.status == "ok" else "error",
            input=item.input,
            output=value if len(raw) <= MAX_KEPT else shortened(raw),
            expected=item.expected,
            metadata=item.metadata,
            **outcome_fields(scope),
        )
        if result.status != "ok":
            return replace(result, scores=self._not_scored())
        return replace(result, scores=self._score(item, value, result, attributes))

    def _run_function(self, scope: Scope, call: Callable[[], Any], repeat: int) -> tuple[Any, bytes] | None:
        def convert(value: Any) -> tuple[Any, bytes] | None:
            try:
                output, raw = json_value(value)
            except NotJsonError:
                if self._scorers:
                    raise
                return None  # the function asserts by itself, and nobody reads what it returns
            scope.note_output(output)
            return output, raw

        def run() -> Any:
            try:
                value = call()
                if inspect.isawaitable(value) or inspect.isasyncgen(value):
                    return convert(self._wait(value))
                return convert(collect(value))
            except BaseException as error:
                self.errors[repeat] = error
                raise

        contextvars.copy_context().run(scope.run, run)
        return scope.value if scope.status == "ok" else None

    def _wait(self, value: Any) -> Any:
        if self._runner is None:
            # With a factory it leaves the thread's own event loop alone.
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        return self._runner.run(collect_async(value), context=contextvars.copy_context())

    def _not_scored(self) -> dict[str, ScoreResult]:
        return {one.name: ScoreResult(scorer=one.name, status="not_run") for one in self._scorers}

    def _score(
        self, item: Item, output: Any, result: ItemResult, attributes: Mapping[str, Any]
    ) -> dict[str, ScoreResult]:
        case = Case(
            item_id=item.id,
            input=item.input,
            output=output,
            expected=item.expected,
            metadata=item.metadata,
            repeat=result.repeat,
            trace_id=result.trace_id,
        )
        found: dict[str, ScoreResult] = {}
        for one in self._scorers:
            found[one.name] = scored = self._score_once(one, case, attributes)
            put_on_trace(scored, result.trace_id)
        return found

    def _score_once(self, planned: PlannedScorer, case: Case, attributes: Mapping[str, Any]) -> ScoreResult:
        errors: list[BaseException] = []

        def run() -> Any:
            try:
                value = planned.scorer.score(case)
                return self._wait(value) if inspect.isawaitable(value) else value
            except BaseException as error:
                errors.append(error)
                raise

        # As in `evaluate`: a sync scorer has no span of its own, since most make no calls.
        scope = Scope(f"score {planned.name}", "evaluator", attributes, None, traced=planned.is_async)
        contextvars.copy_context().run(scope.run, run)
        if errors and not isinstance(errors[0], Exception):
            raise errors[0]
        return score_result(planned, scope)
