"""The streams and views of experiments: the runs, the outputs of their items, and the scores of these outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from llmops_sdk.store.schema._shared_columns import TIME, view_columns
from llmops_sdk.store.schema._types import Column, RecordStream, StoredColumn, View

__all__ = ["EXPERIMENT_STREAMS", "ExperimentItemRecord", "ExperimentRecord", "ExperimentScoreRecord"]

_SINCE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRecord:
    """The state of an experiment at one moment; the latest record counts. JSON values are bytes."""

    experiment_id: str
    name: str
    dataset_name: str | None
    dataset_version: str
    task_name: str
    task_version: str
    settings: bytes | None
    scorers: bytes | None
    repeats: int
    items: int
    metadata: bytes | None
    status: str
    reason: str | None
    warnings: bytes | None
    start_ns: int
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentItemRecord:
    """How the task ended on an item in one repeat; the latest record counts."""

    experiment_id: str
    item_id: str
    item_digest: str
    repeat: int
    task_key: str | None
    status: str
    error_type: str | None
    error: str | None
    input: bytes | None
    output: bytes | None
    output_digest: str | None
    expected: bytes | None
    metadata: bytes | None
    trace_id: str | None
    source_trace_id: str | None
    duration_ms: float | None
    cost: float | None
    input_tokens: int | None
    output_tokens: int | None
    models: Sequence[str]
    served: bytes | None
    position: int
    reused: bool
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentScoreRecord:
    """How a scorer ended on an output; the latest record counts."""

    experiment_id: str
    item_id: str
    repeat: int
    scorer: str
    scorer_key: str | None
    status: str
    value: float | None
    label: str | None
    comment: str | None
    passed: bool | None
    metadata: bytes | None
    error_type: str | None
    error: str | None
    cost: float | None
    trace_id: str | None
    source_trace_id: str | None
    scorer_trace_id: str | None
    served: bytes | None
    reused: bool
    time_ns: int


_stored = partial(StoredColumn, since=_SINCE)

_ID = _stored("experiment_id", "VARCHAR", "The experiment.", default="")
_ITEM_ID = _stored("item_id", "VARCHAR", "The item's id in its data set.", default="")
_REPEAT = _stored("repeat", "BIGINT", "Which run of the item, from 0.", default=0)
_ERROR_TYPE = _stored("error_type", "VARCHAR", "The class of the error.")
_ERROR = _stored("error", "VARCHAR", "Its message.")
_SOURCE = _stored("source_trace_id", "VARCHAR", "The stored trace that the item was made from.")
_SERVED = _stored("served", "JSON", "By requested model: the models that served, and a digest of its configuration.")
_REUSED = _stored("reused", "BOOLEAN", "Whether it comes from an earlier run, and cost nothing.", default=False)
_TIME_NS = _stored("time_ns", "BIGINT", "When it was written, since the epoch.", "ns")

_EXPERIMENTS = (
    _ID,
    _stored("name", "VARCHAR", "The series that it belongs to.", default=""),
    _stored("dataset_name", "VARCHAR", "The data set; NULL for one without a name."),
    _stored("dataset_version", "VARCHAR", "The data set's version.", default=""),
    _stored("task_name", "VARCHAR", "The task.", default=""),
    _stored("task_version", "VARCHAR", "A digest of what the task's outputs depend on.", default=""),
    _stored("settings", "JSON", "The default model, and how the experiment ran."),
    _stored("scorers", "JSON", "What the values of each scorer depend on, by its name."),
    _stored("repeats", "BIGINT", "How often each item was to run.", default=1),
    _stored("items", "BIGINT", "The number of items.", default=0),
    _stored("metadata", "JSON", "What the caller noted, such as a commit."),
    _stored("status", "VARCHAR", "running (or killed), completed or stopped.", default=""),
    _stored("reason", "VARCHAR", "Why it stopped: budget, interrupted, hung, or an error."),
    _stored("warnings", "JSON", "What a reader of the results must know."),
    _stored("start_ns", "BIGINT", "When it began, since the epoch.", "ns", default=0),
    _TIME_NS,
)
_ITEMS = (
    _ID,
    _ITEM_ID,
    _stored("item_digest", "VARCHAR", "A digest of the item's content.", default=""),
    _REPEAT,
    _stored("task_key", "VARCHAR", "What the output depends on; NULL where it cannot be used again."),
    _stored("status", "VARCHAR", "ok, error, timeout or not_run.", default=""),
    _ERROR_TYPE,
    _ERROR,
    _stored("input", "JSON", "The item's input."),
    _stored("output", "JSON", "What the task returned."),
    _stored("output_digest", "VARCHAR", "A digest of the output, before secrets were redacted."),
    _stored("expected", "JSON", "What the data set expects."),
    _stored("metadata", "JSON", "The item's further columns."),
    _stored("trace_id", "VARCHAR", "The trace of the run."),
    _SOURCE,
    _stored("duration_ms", "DOUBLE", "How long the task took.", "ms"),
    _stored("cost", "DOUBLE", "Of the task's calls to models; NULL when unknown.", "USD"),
    _stored("input_tokens", "BIGINT", "Of the prompts of these calls."),
    _stored("output_tokens", "BIGINT", "Of their answers."),
    _stored("models", "VARCHAR[]", "The models that served them, in order.", default=()),
    _SERVED,
    _stored("position", "BIGINT", "The item's place in its data set, from 0.", default=0),
    _REUSED,
    _TIME_NS,
)
_SCORES = (
    _ID,
    _ITEM_ID,
    _REPEAT,
    _stored("scorer", "VARCHAR", "The scorer.", default=""),
    _stored("scorer_key", "VARCHAR", "What the score depends on; NULL where it cannot be used again."),
    _stored("status", "VARCHAR", "ok, error, timeout, skipped or not_run.", default=""),
    _stored("value", "DOUBLE", "The number; NULL for a label alone, and for a failure."),
    _stored("label", "VARCHAR", "The label."),
    _stored("comment", "VARCHAR", "The comment."),
    _stored("passed", "BOOLEAN", "Whether the output is good enough; NULL where the scorer does not decide that."),
    _stored("metadata", "JSON", "Further values."),
    _ERROR_TYPE,
    _ERROR,
    _stored("cost", "DOUBLE", "Of the scorer's calls to models; NULL when unknown.", "USD"),
    _stored("trace_id", "VARCHAR", "The trace of the item's run."),
    _SOURCE,
    _stored("scorer_trace_id", "VARCHAR", "The trace of the scorer's own calls."),
    _SERVED,
    _REUSED,
    _TIME_NS,
)


def _stream(
    name: str,
    record_type: type,
    columns: tuple[StoredColumn, ...],
    *,
    identifying: str,
    key: str,
    doc: str,
    example: str,
    more: Sequence[tuple[Column, str]] = (),
) -> RecordStream:
    """Return a stream of which the latest record by `key`, columns separated by spaces, counts."""
    names = [column.name for column in columns if column is not _TIME_NS]
    keys = ", ".join(key.split())
    computed = "".join(f", {sql} AS {column.name}" for column, sql in more)
    sql = f"""SELECT {", ".join(names)}, make_timestamp(time_ns // 1000) AS time{computed}
FROM store.{name}
QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY time_ns DESC) = 1"""  # noqa: S608 - constants
    return RecordStream(
        name=name,
        columns=columns,
        segment_folder=name,
        parquet_folder=name,
        required="experiment_id",
        identifying=("experiment_id", identifying),
        same_record=f"concat_ws(chr(10), {keys}, time_ns // 1000)",
        record_type=record_type,
        view=View(
            name, doc, (*view_columns(" ".join(names), columns), TIME, *(column for column, _ in more)), sql, example
        ),
    )


# An import moves items and scores first, so that a cut-off one leaves no experiment without them.
EXPERIMENT_STREAMS = (
    _stream(
        "experiment_items",
        ExperimentItemRecord,
        _ITEMS,
        identifying="item_digest",
        key="experiment_id item_id repeat",
        doc="One row an item and repeat of an experiment: the output, or the error.",
        example="SELECT status, count(*), avg(duration_ms), sum(cost) FROM experiment_items GROUP BY ALL",
    ),
    _stream(
        "experiment_scores",
        ExperimentScoreRecord,
        _SCORES,
        identifying="scorer_key",
        key="experiment_id item_id repeat scorer",
        doc="One row a scorer, item and repeat of an experiment. A failure is a status, never a number.",
        example="SELECT e.name, s.scorer, avg(s.value), count_if(s.status IN ('error', 'timeout')) AS failed "
        "FROM experiment_scores s JOIN experiments e USING (experiment_id) GROUP BY ALL",
    ),
    _stream(
        "experiments",
        ExperimentRecord,
        _EXPERIMENTS,
        identifying="task_version",
        key="experiment_id",
        doc="One row a run of `llmops_sdk.evals.evaluate`, in its latest state.",
        example="SELECT name, status, items, start_time FROM experiments ORDER BY start_time DESC",
        more=(
            (Column("start_time", "TIMESTAMP", "When it began, in UTC."), "make_timestamp(start_ns // 1000)"),
            (
                Column("end_time", "TIMESTAMP", "When it ended, in UTC; NULL while it is running."),
                "CASE WHEN status <> 'running' THEN make_timestamp(time_ns // 1000) END",
            ),
        ),
    ),
)
