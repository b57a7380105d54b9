"""What a run is to do: its items, keys and scorers, and the stored results that it may use again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from llmops_sdk.config import Settings
from llmops_sdk.evals._stored import StoredOutput, StoredScore
from llmops_sdk.evals._types import Scorer
from llmops_sdk.evals.identity._digest import digest
from llmops_sdk.evals.running._arguments import TaskArguments

__all__ = ["Plan", "PlannedItem", "PlannedScorer", "Slot", "scorer_key", "task_key"]


class PlannedItem(Protocol):
    """An item of a data set."""

    @property
    def id(self) -> str: ...
    @property
    def input(self) -> Any: ...
    @property
    def expected(self) -> Any: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def source_trace_id(self) -> str | None: ...
    @property
    def digest(self) -> str: ...


@dataclass(slots=True)
class Slot:
    """One run of the task on one item.

    Attributes:
        index: Its place in the results.
        item: The item.
        item_digest: The digest of the item's content.
        repeat: Which run of the item, from 0.
        key: What the output depends on.
        stored: An output of an earlier run, or None.
    """

    index: int
    position: int
    item: PlannedItem
    item_digest: str
    repeat: int
    key: str
    stored: StoredOutput | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedScorer:
    """A scorer, with what does not change during the run."""

    name: str
    scorer: Scorer
    identity: Mapping[str, Any]
    digest: str
    is_async: bool


@dataclass(slots=True, kw_only=True)
class Plan:
    """Everything that a run needs.

    Attributes:
        experiment_id: The id, that of an earlier run if it goes on.
        start_ns: When the experiment began.
        slots: The runs of the task, in the order in which they start.
        stored_scores: Scores of earlier runs, by key.
        newest_models: Who serves each requested model, as far as the store knows.
        recorded: What the `experiments` row holds of the run's settings.
    """

    experiment_id: str
    name: str
    start_ns: int
    task: Callable[..., Any]
    arguments: TaskArguments
    task_is_async: bool
    task_name: str
    task_version: str
    dataset_name: str | None
    dataset_version: str
    items: int
    repeats: int
    slots: list[Slot]
    scorers: Sequence[PlannedScorer]
    settings: Settings
    concurrency: int
    budget: float | None
    timeout: float | None
    scorer_timeout: float | None
    metadata: Mapping[str, Any]
    recorded: Mapping[str, Any]
    stored_scores: Mapping[str, StoredScore] = field(default_factory=dict[str, StoredScore])
    newest_models: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: list[str] = field(default_factory=list[str])

    def described_scorers(self) -> dict[str, dict[str, Any]]:
        """Return what `Experiment.scorers` holds."""
        return {
            one.name: {**one.identity, "higher_is_better": bool(one.scorer.higher_is_better)} for one in self.scorers
        }


def task_key(item_digest: str, task_version: str, repeat: int) -> str:
    """Return what an output depends on; a stored output with the same key may be used again.

    Args:
        item_digest: The digest of the item's content.
        task_version: The digest of the task, of the default model, and of the prompt's version.
        repeat: Which run of the item, from 0.
    """
    return digest(["task", item_digest, task_version, repeat])


def scorer_key(key: str, output_digest: str, scorer_digest: str) -> str:
    """Return what a score depends on.

    Args:
        key: The key of the output.
        output_digest: The digest of the output.
        scorer_digest: The digest of the scorer's identity and of the default model.
    """
    return digest(["score", key, output_digest, scorer_digest])
