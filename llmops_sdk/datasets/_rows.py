"""Make items of rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from llmops_sdk.datasets._item import Item, item_line
from llmops_sdk.datasets._values import MAX_ITEM_BYTES, ValueRefusedError, digest, to_plain
from llmops_sdk.errors import DatasetError

__all__ = ["EXPECTED", "MAX_BYTES", "MAX_ITEMS", "Columns", "NumberedRow", "items_of_rows", "nearest_hint"]

MAX_ITEMS = 1_000_000
MAX_BYTES = 1024**3
"""The largest sum of the items' canonical forms, and the most bytes that are read from a file."""
_MAX_ID = 200
EXPECTED = "expected"
"""The default column of expected outputs, which rows need not have."""
_TRACES = ("source_trace_id", "trace_id")

NumberedRow = tuple[int, Any]
"""The number of a row, or of its line in a file, and the row."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a row is what. All others are metadata."""

    input: str = "input"
    expected: str = EXPECTED
    id: str | None = None

    @property
    def id_column(self) -> str:
        """Return the column of ids."""
        return "id" if self.id is None else self.id


def items_of_rows(
    rows: Iterable[NumberedRow],
    columns: Columns,
    *,
    word: str = "row",
    path: str | None = None,
    before: Sequence[Item] = (),
) -> tuple[Item, ...]:
    """Return the items of rows.

    Args:
        rows: Rows with their numbers. A row is a mapping, or an `Item`.
        columns: Which column is what.
        word: What a number counts: "row" or "line".
        path: The file that they come from.
        before: Items that come before them.

    Raises:
        DatasetError: A row is not usable, or they are too many.
    """
    made: list[tuple[int, Item]] = []
    total = sum(len(item_line(item)) for item in before)
    for number, row in rows:
        try:
            item = _item(row, columns)
            size = _size(item)
        except ValueRefusedError as error:
            raise _refused(f"{word} {number}: {error}", number, path) from None
        total += size
        made.append((number, item))
        if len(before) + len(made) > MAX_ITEMS or total > MAX_BYTES:
            raise _refused(
                f"{word} {number}: a data set has at most {MAX_ITEMS:,} items and {MAX_BYTES:,} bytes of JSON: make "
                "several, or take a sample",
                number,
                path,
            )
    return _unique(made, before, word, path)


def _size(item: Item) -> int:
    size = len(item_line(item))
    if size > MAX_ITEM_BYTES:
        raise ValueRefusedError(f"the item has {size:,} bytes of JSON, and may have {MAX_ITEM_BYTES:,}")
    return size


def _unique(
    numbered: Sequence[tuple[int, Item]], before: Sequence[Item], word: str, path: str | None
) -> tuple[Item, ...]:
    """Return the items with an id each: a derived id that is taken gets a number, a given one is an error."""
    given = {item.id: 0 for item in before}
    for number, item in numbered:
        if item.id and given.setdefault(item.id, number) != number:
            first = f"{word} {given[item.id]}" if given[item.id] else "an item of the data set"
            raise _refused(
                f"{word} {number} has the id {ascii(item.id)[:80]}, and so has {first}: ids are unique", number, path
            )
    counts: dict[str, int] = {}
    items = list(before)
    taken = set(given)
    for _, item in numbered:
        if not item.id:
            item = replace(item, id=_free_id(item, taken, counts))  # noqa: PLW2901
            taken.add(item.id)
        items.append(item)
    return tuple(items)


def _free_id(item: Item, taken: set[str], counts: dict[str, int]) -> str:
    derived = digest([item.input, item.expected])[:16]
    while True:
        count = counts[derived] = counts.get(derived, 0) + 1
        name = derived if count == 1 else f"{derived}-{count}"
        if name not in taken:
            return name


def _item(row: Any, columns: Columns) -> Item:
    if isinstance(row, Item):
        row = {
            columns.input: row.input, columns.expected: row.expected, columns.id_column: row.id,
            "metadata": row.metadata, "source_trace_id": row.source_trace_id,
        }  # fmt: skip
    if not isinstance(row, Mapping):
        raise ValueRefusedError(f"a row is a mapping of columns, and not of type {type(row).__name__}")
    found = cast("dict[str, Any]", to_plain(row))
    value = _taken(found, columns.input, columns)
    if value is None:
        raise ValueRefusedError(f"{columns.input} is empty: every item needs an input")
    given = columns.expected != EXPECTED
    expected = _taken(found, columns.expected, columns) if given else found.pop(columns.expected, None)
    ids = _taken(found, columns.id, columns) if columns.id is not None else found.pop("id", None)
    trace = next((one for one in [found.pop(name, None) for name in _TRACES] if one is not None), None)
    metadata = found.pop("metadata", None)
    if isinstance(metadata, dict):
        twice = cast("dict[str, Any]", metadata).keys() & found.keys()
        if twice:
            raise ValueRefusedError(f"{min(twice)} is a column and a key of metadata: keep one of them")
        found = {**cast("dict[str, Any]", metadata), **found}
    elif metadata is not None:
        found["metadata"] = metadata
    return Item(_id(ids), value, expected, found, _trace(trace))


def _taken(row: dict[str, Any], column: str, columns: Columns) -> Any:
    if column in row:
        return row.pop(column)
    hint = nearest_hint(column, row)
    raise ValueRefusedError(
        f"it has no column {column!r}{hint}: name the columns, as in from_rows(rows, input='question', "
        "expected='answer')"
        if column == columns.input
        else f"it has no column {column!r}{hint}"
    )


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """Return what to add to an error about an unknown name, or nothing."""
    known = [str(one) for one in known]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f" (did you mean {ascii(near[0])[:60]}?)"
    listed = ", ".join(ascii(one)[1:-1][:40] for one in known[:8])
    return f" (there are: {listed})" if known else ""


def _id(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not 0 < len(str(value)) <= _MAX_ID:
        raise ValueRefusedError(f"the id {ascii(value)[:60]} is not a text of 1 to {_MAX_ID} characters or a number")
    return str(value)


def _trace(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and 0 < len(value) <= _MAX_ID):
        return value
    raise ValueRefusedError(f"the trace id {ascii(value)[:60]} is not a text of 1 to {_MAX_ID} characters")


def _refused(message: str, line: int, path: str | None) -> DatasetError:
    return DatasetError(f"{path}: {message}" if path else message, path=path, line=line)
