"""`Experiment`: one run of a task over a data set, with the scores of its outputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from llmops_sdk._util._public import public
from llmops_sdk.evals._json_form import result_from_dict, result_to_dict
from llmops_sdk.evals._summary import summary_row
from llmops_sdk.evals._text_table import as_html, text_table
from llmops_sdk.evals._types import ItemResult

if TYPE_CHECKING:
    from llmops_sdk.evals.comparing._comparison import Comparison, Correction, Method
    from llmops_sdk.evals.comparing._pairing import ClusterBy
    from llmops_sdk.store.reading._query import StorePath

__all__ = ["Experiment", "ExperimentStatus"]

ExperimentStatus: TypeAlias = Literal["running", "completed", "stopped"]
"""`running`: it goes on, or its process was killed. `stopped`: it ended early, and `reason` says why."""

_FORMAT = 1


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The results of one run of a task over a data set.

    `evaluate` makes one. `load` and `latest` read one from the store, and `from_dict` from a file.

    Attributes:
        id: Its id in the store.
        name: The name of the series that it belongs to, such as `answers`; each run has an id of its own.
        dataset_name: The data set's name, or None.
        dataset_version: The data set's version.
        status: Whether it is `completed`.
        reason: Why it `stopped`: `budget`, `interrupted`, or an error.
        results: One result an item and repeat, in the order of the data set.
        scorers: What each scorer's values depend on, by its name; `higher_is_better` is always there.
        repeats: How often each item was to run.
        started: Seconds since the epoch.
        ended: Seconds since the epoch, or None.
        task_name: The task's name.
        task_version: A digest of what the task's outputs depend on.
        metadata: What the caller noted, such as the commit.
        warnings: What a reader of the results must know.
    """

    id: str
    name: str
    dataset_name: str | None = None
    dataset_version: str = ""
    status: ExperimentStatus = "completed"
    reason: str | None = None
    results: tuple[ItemResult, ...] = ()
    scorers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    repeats: int = 1
    started: float = 0.0
    ended: float | None = None
    task_name: str = ""
    task_version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    warnings: tuple[str, ...] = ()

    @property
    def cost(self) -> float:
        """Return the USD that this run paid for the task and the scorers: reused results and unpriced calls are 0."""
        costs = [result.cost for result in self.results if not result.reused]
        costs += [score.cost for result in self.results for score in result.scores.values() if not score.reused]
        return math.fsum(cost for cost in costs if cost is not None)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of results by the status of the task, and how many are `reused`."""
        found = {"ok": 0, "error": 0, "timeout": 0, "not_run": 0, "reused": 0}
        for result in self.results:
            found[result.status] += 1
            found["reused"] += result.reused
        return found

    def summary(self, *, confidence: float = 0.95) -> list[dict[str, Any]]:
        """Return a row a scorer. A failure is counted, and never part of a mean.

        Each row has `scorer`; `n`, the number of valid values; `items`, the number of items that have one; `mean`, the
        mean over items of their means over repeats, or None without a value; `interval`, its confidence interval (of
        Wilson, where all values are 0 or 1), or None for fewer than two items; `failed`, where the scorer or the task
        failed or timed out; `skipped`, where the scorer does not apply; `not_run`, where the experiment stopped before;
        `reused`; `worst_case`, the lowest and the highest mean that the failed and missing values could give;
        `pass_rate`, where the scorer decides that; and `labels`, the number of each.

        Args:
            confidence: Of the interval, above 0 and below 1.

        Example:
            >>> from llmops_sdk.evals import Experiment, ItemResult, ScoreResult
            >>> good, bad = (ScoreResult(scorer="exact", status="ok", value=value) for value in (1.0, 0.0))
            >>> lost = ScoreResult(scorer="exact", status="timeout")
            >>> experiment = Experiment(
            ...     id="x",
            ...     name="answers",
            ...     scorers={"exact": {"higher_is_better": True}},
            ...     results=tuple(
            ...         ItemResult(item_id=str(number), status="ok", scores={"exact": score})
            ...         for number, score in enumerate([good, good, bad, lost])
            ...     ),
            ... )
            >>> row = experiment.summary()[0]
            >>> row["n"], round(row["mean"], 3), row["failed"], tuple(row["worst_case"])
            (3, 0.667, 1, (0.5, 0.75))
        """
        return [summary_row(scorer, self.results, confidence) for scorer in self.scorers]

    def __repr__(self) -> str:
        """Return the name, the id, the number of results and the status."""
        return f"Experiment({self.name}/{self.id[:8]}: {len(self.results)} results, {self.status})"

    def __str__(self) -> str:
        """Return the summary as a table, with the warnings."""
        columns = ("scorer", "n", "mean", "interval", "failed", "skipped", "not_run")
        rows = [[row[column] for column in columns] for row in self.summary()]
        return f"{self!r}\n{text_table(columns, rows, self.warnings)}"

    def _repr_html_(self) -> str:
        """Return the summary for a notebook."""
        return as_html(str(self))

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat row an item and repeat, for a data frame; `score.NAME` has the value, or the label alone."""
        found: list[dict[str, Any]] = []
        for result in self.results:
            row = {name: value for name, value in result_to_dict(result).items() if name != "scores"}
            for name in ("input", "output", "expected", "error_type", "error", "trace_id", "duration_ms", "cost"):
                row.setdefault(name, None)
            row["repeat"] = result.repeat
            for scorer in self.scorers:
                score = result.scores.get(scorer)
                row[f"score.{scorer}"] = None if score is None else score.label if score.value is None else score.value
                row[f"status.{scorer}"] = "not_run" if score is None else score.status
            found.append(row)
        return found

    def compare(
        self,
        other: Experiment,
        *,
        by: ClusterBy = None,
        slices: Iterable[str] = (),
        alpha: float = 0.05,
        correction: Correction = "holm",
        method: Method = "auto",
        scorers: Iterable[str] | None = None,
    ) -> Comparison:
        """Compare this experiment, the baseline, with another one on the items that both have; see `compare`.

        Args:
            other: The experiment with the change.
            by: What items share that are not independent: a metadata key, or a function of a result.
            slices: Metadata keys; each of their values gives rows of its own.
            alpha: The chance of any false verdict among all rows.
            correction: "holm", "bh" or "none".
            method: As in `stats.paired_difference`.
            scorers: The scorers to compare; by default those that both have.

        Raises:
            ConfigError: The experiments have no scorer in common, an item lacks a key, or an argument is not valid.
        """
        from llmops_sdk.evals.comparing._comparison import compare

        return compare(
            self, other, by=by, slices=slices, alpha=alpha, correction=correction, method=method, scorers=scorers
        )

    @classmethod
    def load(cls, name_or_id: str, *, path: StorePath | None = None) -> Self:
        """Read an experiment from the store: the one with an id, or the latest one of a series.

        Args:
            name_or_id: The id of an experiment, or the name of a series.
            path: The store's folder; by default the configured one.

        Raises:
            LLMOpsError: There is no such experiment.
            StoreError: The store cannot be read.
        """
        from llmops_sdk.evals._stored import read_experiment

        return cls.from_dict(read_experiment(name_or_id, path))

    @classmethod
    def latest(cls, name: str, *, path: StorePath | None = None) -> Self:
        """Read the latest experiment of a series from the store.

        Args:
            name: The name of the series.
            path: The store's folder; by default the configured one.

        Raises:
            LLMOpsError: There is none.
            StoreError: The store cannot be read.
        """
        from llmops_sdk.evals._stored import read_experiment

        return cls.from_dict(read_experiment(name, path, by_id=False))

    def to_dict(self) -> dict[str, Any]:
        """Return the experiment as JSON values, for a file such as a baseline in the repository; see `from_dict`."""
        return {
            "format": _FORMAT,
            "id": self.id,
            "name": self.name,
            "dataset_name": self.dataset_name,
            "dataset_version": self.dataset_version,
            "status": self.status,
            "reason": self.reason,
            "repeats": self.repeats,
            "started": self.started,
            "ended": self.ended,
            "task_name": self.task_name,
            "task_version": self.task_version,
            "scorers": {name: dict(identity) for name, identity in self.scorers.items()},
            "metadata": dict(self.metadata),
            "warnings": list(self.warnings),
            "results": [result_to_dict(result) for result in self.results],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the experiment that `to_dict` wrote.

        Args:
            content: The JSON object.

        Raises:
            ValueError: It is not the JSON of an experiment, or a later version of the SDK wrote it.
        """
        written = content.get("format")
        if not isinstance(written, int):
            raise ValueError("this is not an experiment: it has no `format`; write the file with `Experiment.to_dict`")  # noqa: TRY004 - a file
        if written > _FORMAT:
            raise ValueError(f"a later version of llmops-sdk wrote this experiment (format {written}): upgrade")
        try:
            return cls(
                **{name: content[name] for name in ("id", "name", "dataset_name", "dataset_version", "status")},
                **{name: content[name] for name in ("reason", "repeats", "started", "ended", "scorers", "metadata")},
                task_name=content["task_name"],
                task_version=content["task_version"],
                warnings=tuple(content.get("warnings", ())),
                results=tuple(result_from_dict(row) for row in content["results"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"this is not an experiment that `Experiment.to_dict` wrote: {type(error).__name__}: {error}"
            ) from error
