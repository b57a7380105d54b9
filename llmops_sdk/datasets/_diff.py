"""What changed between two data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.datasets._item import Item
from llmops_sdk.datasets._values import encode

__all__ = ["Diff", "diff"]

_WIDTH = 60
_MAX_ROWS = 200
_COLUMNS = ("input", "expected", "metadata", "source_trace_id")


@public("llmops_sdk.datasets")
@dataclass(frozen=True, kw_only=True)
class Diff:
    """What changes from one data set to another, by the items' ids. Printing it shows a table.

    Attributes:
        added: The items that only the later one has.
        removed: The items that only the earlier one has.
        changed: The items that both have, each as it was and as it is.
        unchanged: The number of items that are equal.
    """

    added: tuple[Item, ...]
    removed: tuple[Item, ...]
    changed: tuple[tuple[Item, Item], ...]
    unchanged: int

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each changed column: `change`, `id`, `column`, `before`, `after`."""
        return list(self._rows())

    def _rows(self) -> Iterator[dict[str, Any]]:
        for item in self.added:
            yield {"change": "added", "id": item.id, "column": "input", "before": None, "after": item.input}
        for item in self.removed:
            yield {"change": "removed", "id": item.id, "column": "input", "before": item.input, "after": None}
        for before, after in self.changed:
            for column in _COLUMNS:
                old, new = getattr(before, column), getattr(after, column)
                if encode(old) != encode(new):
                    yield {"change": "changed", "id": before.id, "column": column, "before": old, "after": new}

    def __bool__(self) -> bool:
        """Return whether anything differs."""
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        """Return a table of the changes, with control characters made visible."""
        found = self.rows()
        summary = (
            f"{len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed, "
            f"{self.unchanged} unchanged"
        )
        if not found:
            return summary
        names = ("change", "id", "column", "before", "after")
        cells = [[_shown(name, row[name]) for name in names] for row in found[:_MAX_ROWS]]
        widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
        table = [names, ["-" * width for width in widths], *cells]
        lines = ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in table]
        if len(found) > _MAX_ROWS:
            lines.append(f"({len(found) - _MAX_ROWS} more rows: see rows())")
        return "\n".join([*lines, summary])


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    text = str(value) if name in {"change", "id", "column"} else encode(value).decode()
    text = text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
    return text if text.isprintable() else "".join(_visible(char) for char in text)


def _visible(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def diff(before: Sequence[Item], after: Sequence[Item]) -> Diff:
    """Return what changes from some items to others.

    Args:
        before: The earlier items.
        after: The later items.
    """
    old, new = {item.id: item for item in before}, {item.id: item for item in after}
    both = [(item, new[item.id]) for item in before if item.id in new]
    changed = tuple(
        (one, other)
        for one, other in both
        if one.digest != other.digest or one.source_trace_id != other.source_trace_id
    )
    return Diff(
        added=tuple(item for item in after if item.id not in old),
        removed=tuple(item for item in before if item.id not in new),
        changed=changed,
        unchanged=len(both) - len(changed),
    )
