"""Turn the results of items into JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from llmops_sdk.evals._types import ItemResult, ScoreResult

__all__ = ["result_from_dict", "result_to_dict"]

_SCORE_FIELDS = tuple(one.name for one in fields(ScoreResult))
_ITEM_FIELDS = tuple(one.name for one in fields(ItemResult))


def result_to_dict(result: ItemResult) -> dict[str, Any]:
    """Return a result as a JSON object without its empty fields."""
    row = _without_empty(result, _ITEM_FIELDS)
    row["scores"] = [_without_empty(score, _SCORE_FIELDS) for score in result.scores.values()]
    return row


def _without_empty(value: object, names: tuple[str, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in names:
        found = getattr(value, name)
        empty = found is False or (isinstance(found, tuple | Mapping) and not found)
        # `passed` may be False, which is not the same as unknown; so may an output, or an empty one.
        if found is None or (empty and name not in {"passed", "input", "output", "expected"}):
            continue
        row[name] = dict(cast("Mapping[str, Any]", found)) if isinstance(found, Mapping) else found
    if "models" in row:
        row["models"] = list(row["models"])
    return row


def result_from_dict(row: Mapping[str, Any]) -> ItemResult:
    """Return the result that `result_to_dict` wrote.

    Args:
        row: Unknown keys, which a later version may have written, are ignored.

    Raises:
        KeyError: It has no item id or no status.
    """
    known = {name: row[name] for name in _ITEM_FIELDS if name in row}
    known["models"] = tuple(row.get("models", ()))
    scores = [ScoreResult(**{name: one[name] for name in _SCORE_FIELDS if name in one}) for one in row["scores"]]
    known["scores"] = {score.scorer: score for score in scores}
    known["item_id"], known["status"] = row["item_id"], row["status"]
    return ItemResult(**known)
