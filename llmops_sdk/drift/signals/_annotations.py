"""Add the verdicts of guards and the scores to the calls they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_sdk.drift.signals._frame import Column, numpy
from llmops_sdk.drift.signals._load import Loaded, find_rows

if TYPE_CHECKING:
    from llmops_sdk.store.duck._sql import duckdb

__all__ = ["add_annotations"]

_GUARDS = 10
_SCORES = 20
_NAMES = """SELECT {name} FROM {view} WHERE {name} IS NOT NULL AND {condition} GROUP BY {name}
    ORDER BY count(*) DESC, {name} LIMIT {most}"""
_VERDICTS = """SELECT hash(trace_id) AS trace, hash(span_id) AS span, max((action <> 'pass')::INT)::DOUBLE AS value
    FROM guard_verdicts WHERE guard = $name AND (time IS NULL OR (time >= make_timestamp($scan // 1000)
    AND time < make_timestamp($end // 1000))) GROUP BY ALL"""
_VALUES = """SELECT hash(trace_id) AS trace, coalesce(hash(span_id), 0::UBIGINT) AS span, avg(value) AS value
    FROM scores WHERE name = $name AND value IS NOT NULL AND isfinite(value) AND time >= make_timestamp($scan // 1000)
    AND trace_id IS NOT NULL GROUP BY ALL"""


def add_annotations(connection: duckdb.DuckDBPyConnection, loaded: Loaded) -> None:
    """Add a signal for each guard and each name of a score.

    A score of a span counts for that call; one of a trace, or of a span that is no call, for the first call of the
    trace. A score may come days after its call.

    Args:
        connection: To the store.
        loaded: The calls.
    """
    finder = _Finder(loaded)
    scan, end = loaded.parameters["scan"], loaded.parameters["end"]
    for view, name, condition, most, sql, label, scale in (
        ("guard_verdicts", "guard", "true", _GUARDS, _VERDICTS, "guard", "share"),
        ("scores", "name", "value IS NOT NULL", _SCORES, _VALUES, "score", "mean"),
    ):
        listed = connection.execute(_NAMES.format(name=name, view=view, condition=condition, most=most)).fetchall()
        for (one,) in listed:
            given = {"name": one, "scan": scan} | ({"end": end} if "$end" in sql else {})
            found = connection.execute(sql, given).fetchnumpy()
            values = finder.column(found)
            if values is not None:
                loaded.frame.columns[f"{label}:{one}"] = Column(values=values, scale=scale)


class _Finder:
    """Finds the rows of spans and traces."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._orders: tuple[Any, Any] | None = None

    def column(self, found: dict[str, Any]) -> Any:
        """Return the mean value of each call, NaN for a call without one; None where no call has one."""
        np = numpy()
        spans, traces = np.asarray(found["span"]), np.asarray(found["trace"])
        values = np.ma.filled(np.ma.asarray(found["value"], "float64"), np.nan)
        if not len(values) or not len(self._loaded.frame):
            return None
        if self._orders is None:
            keys = self._loaded.span_keys, self._loaded.trace_keys
            self._orders = np.argsort(keys[0], kind="stable"), np.argsort(keys[1], kind="stable")
        rows = find_rows(self._loaded.span_keys, spans, self._orders[0])
        of_trace = find_rows(self._loaded.trace_keys, traces, self._orders[1])
        rows = np.where(rows >= 0, rows, of_trace)
        kept = (rows >= 0) & np.isfinite(values)
        if not kept.any():
            return None
        size = len(self._loaded.frame)
        sums = np.bincount(rows[kept], values[kept], minlength=size)
        counts = np.bincount(rows[kept], minlength=size)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype("float32")
