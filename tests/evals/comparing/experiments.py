"""Experiments for the tests of comparisons, from plain lists of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmops_sdk.evals import Experiment, ItemResult, ScoreResult

__all__ = ["experiment", "result"]


def result(
    item: str,
    values: Mapping[str, float | None],
    *,
    metadata: Mapping[str, Any] | None = None,
    expected: Any = None,
    repeat: int = 0,
    status: str = "ok",
) -> ItemResult:
    """Return a result; a value of None is a failed score."""
    return ItemResult(
        item_id=item,
        repeat=repeat,
        status=status,  # pyright: ignore[reportArgumentType]
        expected=expected,
        metadata=metadata or {},
        scores={
            name: ScoreResult(scorer=name, status="error" if value is None else "ok", value=value)
            for name, value in values.items()
        },
    )


def experiment(
    name: str,
    values: Sequence[float | None] | Mapping[str, Sequence[float | None]],
    *,
    metadata: Sequence[Mapping[str, Any]] | None = None,
    expected: Sequence[Any] | None = None,
    identity: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Experiment:
    """Return an experiment with an item for each value of each scorer; the scorer of a plain list is `exact`."""
    columns = values if isinstance(values, Mapping) else {"exact": values}
    count = len(next(iter(columns.values())))
    results = tuple(
        result(
            f"i{n}",
            {scorer: column[n] for scorer, column in columns.items()},
            metadata=None if metadata is None else metadata[n],
            expected=None if expected is None else expected[n],
        )
        for n in range(count)
    )
    scorers = {scorer: {"higher_is_better": True, **(identity or {})} for scorer in columns}
    return Experiment(id=f"{name}-0123456789", name=name, results=results, scorers=scorers, **fields)
