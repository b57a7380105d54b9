"""Find traces to look at: calls of the current window that show a difference most."""
# ruff: noqa: S608 - statements are put together from our own SQL and numbers

from __future__ import annotations

from typing import Any

from llmops_sdk.drift.signals._frame import Compared, numpy
from llmops_sdk.drift.signals._load import Loaded
from llmops_sdk.drift.signals._sample import Sample

__all__ = ["examples"]

_COUNT = 5
_ROUND = 20


def examples(
    connection: Any, loaded: Loaded, sample: Sample, signal: str, rows: Any, compared: Compared, *, of_sample: bool
) -> tuple[str, ...]:
    """Return up to five trace ids, of different users where possible.

    Args:
        connection: To the store.
        loaded: All calls.
        sample: The calls whose texts were read.
        signal: The signal's name.
        rows: The calls that were compared.
        compared: The comparison.
        of_sample: Whether `rows` are places in the sample.
    """
    np = numpy()
    frame = sample.frame if of_sample else loaded.frame
    column = frame.columns[signal]
    rows = rows[frame.is_current[rows]]
    values = column.values[rows]
    rows, values = rows[np.isfinite(values)], values[np.isfinite(values)]
    sign = 1.0 if compared.found.effect >= 0 else -1.0
    if column.scale == "category":
        names = [*column.names, "others"]
        matches = values == names.index(compared.category or "others")
        values = (matches if sign > 0 else ~matches).astype("float32")
        sign = 1.0
    if len(rows) > _ROUND:
        chosen = np.argpartition(-sign * values, _ROUND)[:_ROUND]
        rows, values = rows[chosen], values[chosen]
    order = rows[np.argsort(-sign * values, kind="stable")].tolist()
    users = frame.clusters
    picked: list[int] = []
    for row in order:
        if len(picked) < _COUNT and all(users[row] != users[other] for other in picked):
            picked.append(row)
    picked += [row for row in order if row not in picked][: _COUNT - len(picked)]
    if of_sample:
        return tuple(dict.fromkeys(sample.trace_ids[row] for row in picked))
    return _traces(connection, loaded, [int(loaded.trace_keys[row]) for row in picked])


def _traces(connection: Any, loaded: Loaded, keys: list[int]) -> tuple[str, ...]:
    if not keys:
        return ()
    listed = ", ".join(f"{key}::UBIGINT" for key in keys)
    sql = f"SELECT DISTINCT trace_id, hash(trace_id) FROM {loaded.source} AND hash(trace_id) IN ({listed})"
    found = {int(number): str(trace) for trace, number in connection.execute(sql, loaded.parameters).fetchall()}
    return tuple(dict.fromkeys(found[key] for key in keys if key in found))
