"""Read the calls of two windows from the store into arrays."""
# ruff: noqa: S608 - statements are put together from our own SQL, checked names of columns and the user's condition

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_sdk.drift.signals._frame import Column, Frame, codes_of, numpy
from llmops_sdk.drift.signals._windows import Windows
from llmops_sdk.errors import ConfigError
from llmops_sdk.store._own_traces import OWN_ROOT
from llmops_sdk.tracing.records import _semconv as sc

if TYPE_CHECKING:
    from llmops_sdk.store.duck._sql import duckdb

__all__ = ["CALL_END", "PARAMETERS", "Loaded", "find_rows", "load"]

_LONGEST_CALL = 24 * 3_600 * 1_000_000_000
_CATEGORIES = 50
_CONFIGS = 400
_SEPARATOR = "\x1f"
PARAMETERS = ("temperature", "top_p", "max_tokens", "reasoning.level", "frequency_penalty", "presence_penalty")
"""The parameters of a request that belong to its configuration."""

_HASH = "CASE WHEN ({0}) IS NULL THEN 0 ELSE greatest(hash(({0})::VARCHAR) >> 32, 1) END"
CALL_END = "(start_ns + (duration_ms * 1e6)::BIGINT)"
_OWN = f"""SELECT DISTINCT hash(trace_id) AS own FROM spans WHERE start_time >= make_timestamp($scan // 1000)
  AND start_time < make_timestamp($end // 1000) AND {OWN_ROOT}"""
_CATEGORY = {
    "finish_reason": "finish_reason",
    "served_model": "CASE WHEN model IS NULL THEN NULL ELSE coalesce(request_model, '') || ' > ' || model END",
    "fingerprint": f"attributes->>'{sc.OPENAI_FINGERPRINT}'",
}
_ANSWERED = "status IN ('ok', 'unset', 'closed') AND cache IS NULL"
_NUMBERS = {
    "input_tokens": ("CASE WHEN input_tokens > 0 THEN input_tokens END", "log", "tokens", True),
    "output_tokens": (f"CASE WHEN {_ANSWERED} AND output_tokens > 0 THEN output_tokens END", "log", "tokens", False),
    "cost": (f"CASE WHEN {_ANSWERED} AND cost > 0 THEN cost END", "log", "USD", False),
    "latency": (f"CASE WHEN {_ANSWERED} AND duration_ms > 0 THEN duration_ms END", "log", "ms", False),
    "ttft": (f"CASE WHEN {_ANSWERED} AND ttft_ms > 0 THEN ttft_ms END", "log", "ms", False),
    "error_rate": ("CASE WHEN status = 'error' THEN 1 ELSE 0 END", "share", "", False),
    "retry_rate": ("CASE WHEN attempts IS NULL OR cache IS NOT NULL THEN NULL WHEN attempts > 1 THEN 1 ELSE 0 END",
                   "share", "", False),
    "cache_hit_rate": ("CASE WHEN cache IS NULL THEN 0 ELSE 1 END", "share", "", True),
    "tool_use": (f"CASE WHEN {_ANSWERED} THEN (finish_reason = 'tool_calls')::INT END", "share", "", False),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was read.

    Attributes:
        frame: The calls.
        configs: What we decided about a call: prompt, version, model and parameters, for each place.
        values: For each column of `by`, the values, the most frequent first.
        span_keys: A number of each call's span.
        trace_keys: A number of each call's trace.
        own_traces: The numbers of the traces that are not traffic.
        source: The calls as a view and a condition.
        parameters: Its parameters.
    """

    frame: Frame
    configs: tuple[tuple[str, ...], ...]
    values: dict[str, tuple[str, ...]]
    span_keys: Any
    trace_keys: Any
    own_traces: Any
    source: str
    parameters: dict[str, Any]


def load(connection: duckdb.DuckDBPyConnection, windows: Windows, by: Sequence[str], where: str | None) -> Loaded:
    """Return the calls of the windows as arrays.

    Args:
        connection: To the store.
        windows: The windows.
        by: Columns of `llm_calls` whose values are slices.
        where: The user's condition, or None for calls that are not simulated.

    Raises:
        ConfigError: A column of `by` does not exist.
    """
    _check_columns(connection, by)
    np = numpy()
    texts = {**_CATEGORY, "config": _config(), **{f"by_{number}": f'"{name}"' for number, name in enumerate(by)}}
    source, parameters = _source(windows, where)
    selected = [
        f"{CALL_END} >= $start AS is_current",
        "hash(coalesce('u' || user_id, 's' || session_id, 't' || trace_id)) AS cluster",
        f"(({CALL_END} - $begin) // $block)::INTEGER AS block",
        "((start_ns // 3600000000000) % $hours)::INTEGER AS hour",
        "hash(span_id) AS span_key",
        "hash(trace_id) AS trace_key",
        *(f"coalesce(({sql})::FLOAT, 'nan'::FLOAT) AS {name}" for name, (sql, *_) in _NUMBERS.items()),
        *(f"({_HASH.format(sql)})::UINTEGER AS h_{name}" for name, sql in texts.items()),
    ]
    asked = {"start": windows.current_start, "block": windows.block, "hours": windows.period or 1}
    found = connection.execute(f"SELECT {', '.join(selected)} FROM {source}", {**parameters, **asked}).fetchnumpy()
    arrays = {name: np.asarray(values) for name, values in found.items()}
    own = np.asarray(connection.execute(_OWN, {name: parameters[name] for name in ("scan", "end")}).fetchnumpy()["own"])
    if len(own):
        is_traffic = ~np.isin(arrays["trace_key"], own)
        arrays = {name: values[is_traffic] for name, values in arrays.items()}
    hashes = {name: arrays.pop(f"h_{name}") for name in texts}
    categories = _names(connection, source, parameters, texts, hashes, arrays["span_key"])
    places = {name: _places(hashes.pop(name), categories[name]) for name in texts}
    frame = Frame(
        is_current=arrays["is_current"].astype(bool),
        clusters=codes_of(arrays["cluster"]),
        blocks=arrays["block"].astype("int32"),
        hours=arrays["hour"].astype("int32"),
        configs=np.nan_to_num(places["config"], nan=len(categories["config"])).astype("int32"),
        slices={name: places[f"by_{number}"] for number, name in enumerate(by)},
    )
    for name, (_, scale, unit, is_input) in _NUMBERS.items():
        frame.columns[name] = Column(values=arrays[name], scale=scale, unit=unit, is_input=is_input)
    for name in _CATEGORY:
        frame.columns[name] = Column(values=places[name], scale="category", names=tuple(n for n, _ in categories[name]))
    return Loaded(
        frame=frame,
        configs=tuple(tuple(name.split(_SEPARATOR)) for name, _ in categories["config"]),
        values={name: tuple(n for n, _ in categories[f"by_{number}"]) for number, name in enumerate(by)},
        span_keys=arrays["span_key"],
        trace_keys=arrays["trace_key"],
        own_traces=own,
        source=source,
        parameters=parameters,
    )


def _check_columns(connection: duckdb.DuckDBPyConnection, by: Sequence[str]) -> None:
    known = [str(row[0]) for row in connection.execute("DESCRIBE llm_calls").fetchall()]
    for name in by:
        if name not in known:
            close = next(iter(difflib.get_close_matches(name, known, n=1)), None)
            hint = f'; did you mean "{close}"?' if close else ""
            raise ConfigError(
                f'drift.by: llm_calls has no column "{name}"{hint}', key="drift.by", value=name, nearest=close
            )


def _config() -> str:
    """Return SQL for what we decide about a call: prompt, version, model and parameters."""
    paths = ", ".join(f"'$.\"{sc.REQUEST_PREFIX}{name}\"'" for name in PARAMETERS)
    parameters = f"json_extract_string(attributes, [{paths}])::VARCHAR"
    known = ", ".join(f"coalesce({name}, '')" for name in ("prompt_name", "prompt_version", "request_model"))
    return f"concat_ws('{_SEPARATOR}', {known}, coalesce({parameters}, ''))"


def _source(windows: Windows, where: str | None) -> tuple[str, dict[str, Any]]:
    """Return the calls of both windows as a view and its condition, and the parameters."""
    parameters = {
        "scan": windows.reference_start - _LONGEST_CALL,
        "begin": windows.reference_start,
        "end": windows.current_end,
    }
    # `Drift` has checked the condition in one pair of brackets: what leaves that pair stays in the second. The line
    # breaks keep a comment at its end from the rest.
    condition = "NOT simulated" if where is None else f"((\n{where}\n))"
    # The scan prunes files by the start; a call belongs to the window in which it ended.
    return (
        f"""llm_calls WHERE kind = 'llm' AND start_time >= make_timestamp($scan // 1000)
        AND start_time < make_timestamp($end // 1000) AND {CALL_END} >= $begin AND {CALL_END} < $end AND {condition}""",
        parameters,
    )


def _names(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    parameters: dict[str, Any],
    texts: dict[str, str],
    hashes: dict[str, Any],
    span_keys: Any,
) -> dict[str, list[tuple[str, int]]]:
    """Return, for each text column, its most frequent values and their hashes, the most frequent first.

    One call stands for each value, so a single scan finds all of them.
    """
    np = numpy()
    wanted: dict[str, list[int]] = {}
    keys: set[int] = set()
    for name, numbers in hashes.items():
        values, first, counts = np.unique(numbers, return_index=True, return_counts=True)
        order = [place for place in np.lexsort((values, -counts)).tolist() if values[place]]
        order = order[: _CONFIGS if name == "config" else _CATEGORIES]
        wanted[name] = [int(values[place]) for place in order]
        keys.update(int(span_keys[first[place]]) for place in order)
    if not keys:
        return {name: [] for name in texts}
    selected = ", ".join(f"({sql})::VARCHAR, {_HASH.format(sql)}" for sql in texts.values())
    listed = ", ".join(f"{key}::UBIGINT" for key in sorted(keys))
    rows = connection.execute(f"SELECT {selected} FROM {source} AND hash(span_id) IN ({listed})", parameters).fetchall()
    found: dict[str, list[tuple[str, int]]] = {}
    for column, name in enumerate(texts):
        named = {int(row[2 * column + 1]): str(row[2 * column]) for row in rows}
        found[name] = [(named[number], number) for number in wanted[name] if number in named]
    return found


def _places(numbers: Any, named: list[tuple[str, int]]) -> Any:
    """Return the place of each number in the list: NaN for 0, which is no value, and the length for one not listed."""
    np = numpy()
    order = sorted(range(len(named)), key=lambda place: named[place][1])
    known = np.array([named[place][1] for place in order], "uint32")
    if not len(known):
        return np.where(numbers == 0, np.nan, 0.0).astype("float32")
    at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    found = np.where(known[at] == numbers, np.array(order)[at], len(named)).astype("float32")
    found[numbers == 0] = np.nan
    return found


def find_rows(keys: Any, asked: Any, order: Any = None) -> Any:
    """Return the first row of each key, or -1.

    Args:
        keys: The key of each row.
        asked: The keys to find.
        order: The rows in the order of their keys, where they are known.
    """
    np = numpy()
    if not len(keys):
        return np.full(len(asked), -1, np.intp)
    order = np.argsort(keys, kind="stable") if order is None else order
    rows = order[np.minimum(np.searchsorted(keys, asked, sorter=order), len(keys) - 1)]
    return np.where(keys[rows] == asked, rows, -1)
