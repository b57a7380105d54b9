"""Read the spans on disk line by line after a flush: faster than a query, and exact."""

from __future__ import annotations

import contextlib
import contextvars
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn

import llmops_sdk as llmops


def _no_constant(text: str) -> NoReturn:
    raise AssertionError(f"not strict JSON: {text}")


def stored(folder: Path) -> list[dict[str, Any]]:
    """Return every span in a store's folder in order of start; the lines must be strict JSON."""
    lines = [
        json.loads(line, parse_constant=_no_constant)
        for path in sorted((folder / "wal").glob("*.ndjson"))
        for line in path.read_bytes().decode("utf-8", "strict").split("\n")
        if line
    ]
    return sorted((line for line in lines if "span_id" in line), key=lambda line: line["start_ns"])


def recorded() -> list[dict[str, Any]]:
    """Return every span of this test so far."""
    report = llmops.flush(timeout=30)
    assert (report.pending, report.dropped) == (0, 0)
    return stored(Path(llmops.settings().store.path))


def only(name: str) -> dict[str, Any]:
    """Return the only span of that name."""
    found = [row for row in recorded() if row["name"] == name]
    assert len(found) == 1, f"{len(found)} spans {name!r} among {[row['name'] for row in recorded()]}"
    return found[0]


def statuses() -> dict[str, str]:
    """Return the status of each span by its name; names are unique."""
    rows = recorded()
    assert len({row["name"] for row in rows}) == len(rows), [row["name"] for row in rows]
    return {row["name"]: row["status"] for row in rows}


def parents() -> dict[str, str | None]:
    """Return the parent's name of each span by its name; names are unique."""
    rows = recorded()
    names = {row["span_id"]: row["name"] for row in rows}
    assert len(set(names.values())) == len(rows), [row["name"] for row in rows]
    return {row["name"]: names.get(row.get("parent_span_id", "")) for row in rows}


@contextlib.contextmanager
def context_unchanged(but: Collection[str] = ()) -> Iterator[None]:
    """Check that the block leaves every context variable unchanged, even if it raises; `but` names exceptions."""
    before = {variable: id(value) for variable, value in contextvars.copy_context().items()}
    try:
        yield
    finally:
        after = {variable: id(value) for variable, value in contextvars.copy_context().items()}
        changed = {variable.name for variable in {*before, *after} if before.get(variable) != after.get(variable)}
        changed -= set(but)
        assert not changed, f"of the context these variables are others: {sorted(changed)}"
        assert not llmops.current_span().is_recording()
