"""Make rows of the store out of results."""

from __future__ import annotations

import time
from typing import Any

from llmops_sdk.evals._types import ItemResult, ScoreResult
from llmops_sdk.evals.identity._digest import canonical
from llmops_sdk.evals.running._plan import Plan, Slot
from llmops_sdk.store._record_writer import ExperimentItemRecord, ExperimentRecord, ExperimentScoreRecord

__all__ = ["experiment_row", "item_row", "score_row"]


def _json(value: Any) -> bytes | None:
    return None if value is None else canonical(value)


def experiment_row(plan: Plan, status: str, reason: str | None, warnings: list[str]) -> ExperimentRecord:
    """Return the row of a run in a state.

    Args:
        plan: The run.
        status: `running`, `completed` or `stopped`.
        reason: Why it stopped.
        warnings: What a reader must know.
    """
    return ExperimentRecord(
        experiment_id=plan.experiment_id,
        name=plan.name,
        dataset_name=plan.dataset_name,
        dataset_version=plan.dataset_version,
        task_name=plan.task_name,
        task_version=plan.task_version,
        settings=canonical(dict(plan.recorded)),
        scorers=canonical(plan.described_scorers()),
        repeats=plan.repeats,
        items=plan.items,
        metadata=canonical(dict(plan.metadata)),
        status=status,
        reason=reason,
        warnings=canonical(warnings),
        start_ns=plan.start_ns,
        time_ns=time.time_ns(),
    )


def item_row(
    plan: Plan, slot: Slot, result: ItemResult, output_digest: str | None, served: Any, *, reusable: bool
) -> ExperimentItemRecord:
    """Return the row of a result.

    Args:
        plan: The run.
        slot: The slot.
        result: The result.
        output_digest: The digest of the whole output, or None.
        served: Which models served, by requested model.
        reusable: Whether the result holds the whole output.
    """
    return ExperimentItemRecord(
        experiment_id=plan.experiment_id,
        item_id=result.item_id,
        item_digest=slot.item_digest,
        repeat=result.repeat,
        task_key=slot.key if reusable else None,
        status=result.status,
        error_type=result.error_type,
        error=result.error,
        input=_json(result.input),
        output=_json(result.output),
        output_digest=output_digest,
        expected=_json(result.expected),
        metadata=_json(dict(result.metadata)),
        trace_id=result.trace_id,
        source_trace_id=slot.item.source_trace_id,
        duration_ms=result.duration_ms,
        cost=result.cost,
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        models=result.models,
        served=_json(served or None),
        position=slot.position,
        reused=result.reused,
        time_ns=time.time_ns(),
    )


def score_row(
    plan: Plan, slot: Slot, trace_id: str | None, score: ScoreResult, key: str | None, served: Any
) -> ExperimentScoreRecord:
    """Return the row of a score.

    Args:
        plan: The run.
        slot: The slot.
        trace_id: The trace of the item's run.
        score: The score.
        key: What it depends on; None where it cannot be used again.
        served: Which models served the scorer, by requested model.
    """
    return ExperimentScoreRecord(
        experiment_id=plan.experiment_id,
        item_id=slot.item.id,
        repeat=slot.repeat,
        scorer=score.scorer,
        scorer_key=key,
        status=score.status,
        value=score.value,
        label=score.label,
        comment=score.comment,
        passed=score.passed,
        metadata=_json(dict(score.metadata) or None),
        error_type=score.error_type,
        error=score.error,
        cost=score.cost,
        trace_id=trace_id,
        source_trace_id=slot.item.source_trace_id,
        scorer_trace_id=score.trace_id,
        served=_json(served or None),
        reused=score.reused,
        time_ns=time.time_ns(),
    )
