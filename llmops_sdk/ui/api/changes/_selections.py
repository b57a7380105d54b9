"""Make a data set of selected traces or calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from llmops_sdk._util._usage import UsageError
from llmops_sdk.datasets import Dataset
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import NotFoundError, literal, sql_command

__all__ = ["save_selection"]

_MAX_IDS = 5_000
_QUERIES = {
    # An item of an evaluation: what the application got and said.
    "eval": "SELECT trace_id, input, output AS expected FROM traces WHERE trace_id IN ({ids}) ORDER BY start_time",
    # A row for fine-tuning: the conversation and the model's answer, for each call.
    "sft": "SELECT trace_id, span_id, input_messages AS input, output_messages AS expected FROM llm_calls "
    "WHERE trace_id IN ({ids}) AND kind = 'llm' AND status IN ('ok', 'unset') ORDER BY start_ns",
}


def save_selection(folder: Path, body: Mapping[str, Any]) -> Answer:
    """Save the selected traces as a new version of a data set, with the SQL that gives its rows as its lineage.

    Args:
        folder: The store's folder.
        body: `name`, `trace_ids`, `form` ("eval" or "sft"), and `add` to keep the items of the version before.

    Raises:
        DatasetError: The name is impossible, or no row is usable.
        NotFoundError: The store has none of the traces.
        UsageError: Something in the body is not valid.
    """
    name, given, form = body.get("name"), body.get("trace_ids"), body.get("form", "eval")
    if not isinstance(name, str):
        raise UsageError("name must be the name of the data set")
    if not isinstance(form, str) or form not in _QUERIES:
        raise UsageError(f"form must be one of {', '.join(_QUERIES)}")
    ids = cast("list[Any]", given) if isinstance(given, list) else []
    if not 1 <= len(ids) <= _MAX_IDS or not all(
        isinstance(one, str) and re.fullmatch("[0-9a-f]{32}", one) for one in ids
    ):
        raise UsageError(f"trace_ids must be a list of 1 to {_MAX_IDS:,} ids of traces, of 32 hex digits each")
    sql = _QUERIES[form].format(ids=", ".join(map(literal, dict.fromkeys(ids))))
    made = Dataset.from_query(sql, path=folder, timeout=30.0)
    if not made.items:
        raise NotFoundError("the store has none of these traces, or none of their calls ended well")
    if body.get("add") is True:
        made = _added(made, name, folder)
    saved = made.save(name, path=folder)
    data = {"name": saved.name, "version": saved.version, "items": len(saved)}
    return Answer(data, sql, f"{sql_command(sql).replace('llmops sql', f'llmops dataset create {name} --sql', 1)}")


def _added(made: Dataset, name: str, folder: Path) -> Dataset:
    from llmops_sdk.datasets import DatasetError

    try:
        before = Dataset.load(name, path=folder)
    except DatasetError:
        return made  # the first version
    known = {item.id for item in before.items}
    return before.add([item for item in made.items if item.id not in known])
