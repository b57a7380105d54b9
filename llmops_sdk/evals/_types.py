"""The values that experiments, scorers, judges, comparisons and reports exchange."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

from llmops_sdk._util._public import public

__all__ = [
    "Case",
    "ComparableRun",
    "ItemResult",
    "Results",
    "Score",
    "ScoreResult",
    "ScoreStatus",
    "ScoreValue",
    "Scorer",
    "TaskStatus",
    "results_of",
]

TaskStatus: TypeAlias = Literal["ok", "error", "timeout", "not_run"]
"""How the task ended on an item. `not_run`: the experiment stopped before it, for instance at its budget."""

ScoreStatus: TypeAlias = Literal["ok", "error", "timeout", "skipped", "not_run"]
"""How a scorer ended. `skipped`: it does not apply to the item. `not_run`: there was no output to score."""


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a scorer says about one output.

    Attributes:
        value: A finite number, and by default the higher the better; None for a label alone.
        label: A category, such as `correct`.
        comment: The reason, for people.
        passed: Whether the output is good enough, where the scorer decides that.
        metadata: Further JSON values, such as a judge's two verdicts.
    """

    value: float | None = None
    label: str | None = None
    comment: str | None = None
    passed: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


ScoreValue: TypeAlias = "Score | float | bool | str | None"
"""What a scorer may return: a `Score`, a number, true or false, a label, or None where it does not apply."""


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One output with all that a scorer may look at.

    Attributes:
        item_id: The item's id in its data set.
        input: The item's input.
        output: What the task returned.
        expected: What the data set expects, or None.
        metadata: The item's further columns.
        repeat: Which run of the item this is, from 0.
        trace_id: The trace of the run, or None where nothing is traced.
    """

    item_id: str
    input: Any
    output: Any
    expected: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    repeat: int = 0
    trace_id: str | None = None


@public("llmops_sdk.evals")
@runtime_checkable
class Scorer(Protocol):
    """Judges one output. `@scorer` makes one of a function, `Judge` is one that asks a model.

    Attributes:
        name: The column of its scores.
        identity: What its scores depend on, as JSON: version, parameters, prompts, models. A change means that stored
            scores are not used again.
        higher_is_better: Whether a larger value is a better one.
    """

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> Mapping[str, Any]: ...

    @property
    def higher_is_better(self) -> bool: ...

    def score(self, case: Case) -> ScoreValue | Awaitable[ScoreValue]:
        """Score a case, or return an awaitable of its score; what it raises is a failure of this score alone."""
        ...


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """How one scorer ended on one output. A failure is a status, never a number.

    Attributes:
        scorer: The scorer's name.
        status: How it ended.
        value, label, comment, passed, metadata: As in `Score`, where the status is `ok`.
        error_type: The class of what it raised.
        error: Its message.
        cost: USD of the scorer's own calls to models, or None where unknown.
        trace_id: The trace of the scorer's own calls, or None.
        reused: Whether it comes from an earlier run.
    """

    scorer: str
    status: ScoreStatus
    value: float | None = None
    label: str | None = None
    comment: str | None = None
    passed: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error_type: str | None = None
    error: str | None = None
    cost: float | None = None
    trace_id: str | None = None
    reused: bool = False


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """What happened to one item in one repeat.

    Attributes:
        item_id: The item's id in its data set.
        repeat: Which run of the item, from 0.
        status: How the task ended.
        input, expected, metadata: As in `Case`.
        output: What the task returned, or None unless the status is `ok`.
        error_type: The class of what the task raised.
        error: Its message.
        trace_id: The trace of the run, or None.
        duration_ms: Milliseconds of the task.
        cost: USD of the task's calls to models, or None where unknown.
        input_tokens: Tokens of their prompts, or None.
        output_tokens: Tokens of their answers, or None.
        models: The models that served, in order of their first call.
        scores: The result of each scorer, by its name.
        reused: Whether the output comes from an earlier run.
    """

    item_id: str
    repeat: int = 0
    status: TaskStatus
    input: Any = None
    output: Any = None
    expected: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error_type: str | None = None
    error: str | None = None
    trace_id: str | None = None
    duration_ms: float | None = None
    cost: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    models: tuple[str, ...] = ()
    scores: Mapping[str, ScoreResult] = field(default_factory=dict[str, ScoreResult])
    reused: bool = False


class ComparableRun(Protocol):
    """What a comparison needs of an experiment."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def dataset_version(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def reason(self) -> str | None: ...

    @property
    def results(self) -> Sequence[ItemResult]: ...

    @property
    def scorers(self) -> Mapping[str, Mapping[str, Any]]: ...


Results: TypeAlias = ComparableRun | Iterable[ItemResult]
"""An experiment, or its results."""


def results_of(given: Results) -> Iterable[ItemResult]:
    """Return the results of an experiment, or the results themselves.

    Args:
        given: An experiment or results.
    """
    return cast("Iterable[ItemResult]", getattr(given, "results", given))
