"""The streams and views of drift: the results of checks, and the answers of canaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from llmops_sdk.store.schema._shared_columns import TIME, view_columns
from llmops_sdk.store.schema._types import Column, RecordStream, StoredColumn, View

__all__ = ["DRIFT_STREAMS", "CanaryRunRecord", "DriftCheckRecord"]

_SINCE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftCheckRecord:
    """What a check found for one signal of one slice. JSON values are bytes."""

    check_id: str
    kind: str
    name: str
    signal: str
    slice: bytes | None
    status: str
    cause: str | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    p_value: float | None
    adjusted_p_value: float | None
    e_value: float | None
    reference_n: int
    current_n: int
    effective_n: float | None
    reference_start_ns: int | None
    reference_end_ns: int | None
    current_start_ns: int | None
    current_end_ns: int | None
    reason: str
    example_trace_ids: Sequence[str]
    details: bytes | None
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRunRecord:
    """One answer to one prompt of a canary."""

    canary: str
    kind: str
    run_id: str
    item_id: str
    repeat: int
    request_model: str
    configuration: str | None = None
    model: str | None
    fingerprint: str | None
    answer: str | None
    score: float | None
    status: str
    error_type: str | None
    cost: float | None
    duration_ms: float | None
    trace_id: str | None
    time_ns: int


_stored = partial(StoredColumn, since=_SINCE)

_TIME_NS = _stored("time_ns", "BIGINT", "When it was written, since the epoch.", "ns")

_CHECKS = (
    _stored("check_id", "VARCHAR", "The check: its rows have the same id.", default=""),
    _stored("kind", "VARCHAR", "data, concept, identity or quality.", default=""),
    _stored("name", "VARCHAR", "The name of the check or of the canary.", default=""),
    _stored("signal", "VARCHAR", "What was compared, e.g. length, novelty or score:helpful.", default=""),
    _stored("slice", "JSON", "The part of the traffic, as one JSON object; NULL for all of it."),
    _stored("status", "VARCHAR", "drifted, steady, not_enough_data or ours.", default=""),
    _stored("cause", "VARCHAR", "What changed, where that is known: prompt_version, model, configuration or provider."),
    _stored("effect", "DOUBLE", "The size of the change, in the signal's own unit."),
    _stored("effect_low", "DOUBLE", "The lower end of its interval."),
    _stored("effect_high", "DOUBLE", "The upper end of its interval."),
    _stored("p_value", "DOUBLE", "The chance of such a difference without a change."),
    _stored("adjusted_p_value", "DOUBLE", "The p-value after correction for all signals and slices of the check."),
    _stored("e_value", "DOUBLE", "The evidence of a test that may be looked at at any time."),
    _stored("reference_n", "BIGINT", "Values in the reference window.", default=0),
    _stored("current_n", "BIGINT", "Values in the current window.", default=0),
    _stored("effective_n", "DOUBLE", "Independent values that the current ones are worth: users repeat themselves."),
    _stored("reference_start_ns", "BIGINT", "Begin of the reference window, since the epoch.", "ns"),
    _stored("reference_end_ns", "BIGINT", "Its end.", "ns"),
    _stored("current_start_ns", "BIGINT", "Begin of the current window, since the epoch.", "ns"),
    _stored("current_end_ns", "BIGINT", "Its end.", "ns"),
    _stored("reason", "VARCHAR", "The result in one sentence without content.", default=""),
    _stored("example_trace_ids", "VARCHAR[]", "Up to five traces to look at.", default=()),
    _stored("details", "JSON", "Further figures of the method."),
    _TIME_NS,
)
_RUNS = (
    _stored("canary", "VARCHAR", "The canary's name, in `[[canaries]]`.", default=""),
    _stored("kind", "VARCHAR", "identity or quality.", default=""),
    _stored("run_id", "VARCHAR", "The run.", default=""),
    _stored("item_id", "VARCHAR", "A digest of the prompt, or the item's id in its data set.", default=""),
    _stored("repeat", "BIGINT", "Which answer to this prompt in this run, from 0.", default=0),
    _stored("request_model", "VARCHAR", "The model that was asked for.", default=""),
    _stored("configuration", "VARCHAR", "The configured model, #, and a digest of its options, prompts and items."),
    _stored("model", "VARCHAR", "The model that served."),
    _stored("fingerprint", "VARCHAR", "The provider's fingerprint of its system, where it gives one."),
    _stored("answer", "VARCHAR", "The answer: one token for identity; NULL for quality, whose traces have it."),
    _stored("score", "DOUBLE", "The score of the answer; NULL for identity."),
    _stored("status", "VARCHAR", "ok, error or not_run.", default=""),
    _stored("error_type", "VARCHAR", "The class of the error."),
    _stored("cost", "DOUBLE", "Of the call; NULL when unknown.", "USD"),
    _stored("duration_ms", "DOUBLE", "How long the call took.", "ms"),
    _stored("trace_id", "VARCHAR", "The trace of the call."),
    _TIME_NS,
)


def _view(name: str, doc: str, columns: tuple[StoredColumn, ...], example: str, fixed: str) -> View:
    names = [column.name for column in columns if not column.name.endswith("_ns")]
    times = [
        column.name.removesuffix("_ns") for column in columns if column.name.endswith("_ns") and column != _TIME_NS
    ]
    computed = "".join(f", make_timestamp({one}_ns // 1000) AS {one}" for one in times)
    return View(
        name,
        doc,
        (
            *view_columns(" ".join(names), columns),
            *(Column(one, "TIMESTAMP", f"{one.replace('_', ' ').capitalize()}, in UTC.") for one in times),
            TIME,
        ),
        f"SELECT {', '.join(names)}{computed}, make_timestamp(time_ns // 1000) AS time\nFROM store.{name}",
        example,
        fixed,
    )


DRIFT_STREAMS = (
    RecordStream(
        name="drift_checks",
        columns=_CHECKS,
        segment_folder="drift_checks",
        parquet_folder="drift_checks",
        required="check_id",
        identifying=("check_id", "signal"),
        same_record="concat_ws(chr(10), check_id, kind, signal, slice, time_ns // 1000)",
        record_type=DriftCheckRecord,
        pruned_by="nothing",
        view=_view(
            "drift_checks",
            "One row for each signal and slice that a check for drift compared.",
            _CHECKS,
            "SELECT time, name, signal, slice, effect, reason FROM drift_checks WHERE status = 'drifted' ORDER BY time",
            "time check_id kind name signal slice status effect p_value e_value reference_n current_n reason",
        ),
    ),
    RecordStream(
        name="canary_runs",
        columns=_RUNS,
        segment_folder="canary_runs",
        parquet_folder="canary_runs",
        required="run_id",
        identifying=("run_id", "canary"),
        same_record="concat_ws(chr(10), run_id, item_id, repeat, time_ns // 1000)",
        record_type=CanaryRunRecord,
        view=_view(
            "canary_runs",
            "One row for each answer to a prompt of a canary.",
            _RUNS,
            "SELECT time::DATE AS day, model, count(*), avg(score) FROM canary_runs GROUP BY ALL ORDER BY day",
            "time canary kind run_id item_id request_model model answer score status cost trace_id",
        ),
    ),
)
