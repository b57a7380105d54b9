"""Score one output with every scorer."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Mapping
from typing import Any

from llmops_sdk.evals._types import Case, ScoreResult
from llmops_sdk.evals.running._plan import PlannedScorer
from llmops_sdk.evals.running._scope import Scope, describe_error
from llmops_sdk.evals.running._threads import ThreadCalls
from llmops_sdk.evals.running._usage import usage_of
from llmops_sdk.evals.scorers._values import score_of
from llmops_sdk.tracing import score as put_score

__all__ = ["SOURCE", "outcome_fields", "put_on_trace", "run_async", "run_scorer", "score_result"]

SOURCE = "evaluator"
"""The source of scores on the traces of items."""

_GRACE = 1.0  # seconds that a cancelled coroutine has to end


async def run_async(scope: Scope, function: Any, context: contextvars.Context, timeout: float | None) -> None:
    """Run a coroutine function within a scope, and leave it when it does not end in time.

    Args:
        scope: Gets the outcome.
        function: Returns the awaitable.
        context: The context to run it in.
        timeout: Seconds, or None.
    """
    task = asyncio.get_running_loop().create_task(scope.arun(function), context=context)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        scope.expire()
        task.cancel()
        # One that does not end when it is cancelled is left: its outcome counts no more.
        await asyncio.wait({task}, timeout=_GRACE)


async def run_scorer(
    planned: PlannedScorer,
    case: Case,
    *,
    threads: ThreadCalls,
    context: contextvars.Context,
    attributes: Mapping[str, Any],
    timeout: float | None,
) -> Scope:
    """Run a scorer on a case, and return its scope.

    Args:
        planned: The scorer.
        case: The case.
        threads: Run sync scorers.
        context: The context of the run, which is copied.
        attributes: Attributes of the span of an async scorer. A sync one has no span of its own, since most make no
            calls; each call of it begins a trace.
        timeout: Seconds, or None.
    """
    scorer = planned.scorer
    scope = Scope(f"score {planned.name}", "evaluator", attributes, None, traced=planned.is_async)
    if planned.is_async:
        await run_async(scope, lambda: scorer.score(case), context.copy(), timeout)
        return scope
    try:
        await threads.call(lambda: scope.run(lambda: scorer.score(case)), context.copy(), timeout)
    except TimeoutError:
        scope.expire()
    value = scope.value
    if scope.status == "ok" and inspect.isawaitable(value):
        later = Scope(f"score {planned.name}", "evaluator", attributes, None)
        await run_async(later, lambda: value, context.copy(), timeout)
        later.calls[:0] = scope.calls
        return later
    return scope


def score_result(planned: PlannedScorer, scope: Scope) -> ScoreResult:
    """Return how a scorer ended.

    Args:
        planned: The scorer.
        scope: Its run.
    """
    usage = usage_of(scope.calls)
    common: dict[str, Any] = {
        "scorer": planned.name,
        "cost": usage.cost,
        "trace_id": scope.trace_id if scope.trace_id is not None else usage.trace_id,
    }
    if scope.status == "budget":
        return ScoreResult(status="not_run", error_type=scope.error_type, error=scope.error, **common)
    if scope.status != "ok":
        return ScoreResult(status=scope.status, error_type=scope.error_type, error=scope.error, **common)
    try:
        score = score_of(scope.value)
    except (TypeError, ValueError) as error:
        error_type, message = describe_error(error)
        return ScoreResult(status="error", error_type=error_type, error=message, **common)
    if score is None:
        return ScoreResult(status="skipped", **common)
    return ScoreResult(
        status="ok",
        value=score.value,
        label=score.label,
        comment=score.comment,
        passed=score.passed,
        metadata=dict(score.metadata),
        **common,
    )


def outcome_fields(scope: Scope) -> dict[str, Any]:
    """Return what an `ItemResult` says about the run of a task: its error, trace, time and use of models.

    Args:
        scope: The run.
    """
    usage = usage_of(scope.calls)
    return {
        "error_type": scope.error_type,
        "error": scope.error,
        "trace_id": scope.trace_id,
        "duration_ms": scope.duration_ms,
        "cost": usage.cost,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "models": usage.models,
    }


def put_on_trace(result: ScoreResult, trace_id: str | None) -> None:
    """Put a score on the trace of its item, so that the view `scores` has it.

    Args:
        result: The score.
        trace_id: The trace, or None.
    """
    value = result.label if result.value is None else result.value
    if trace_id is None or result.status != "ok" or value is None:
        return
    put_score(result.scorer, value, trace_id=trace_id, label=result.label, comment=result.comment, source=SOURCE)
