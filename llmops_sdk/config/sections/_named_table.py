"""Settings that are a list of tables with a name each, such as `[[budgets]]`."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, TypeVar

from pydantic import Field

from llmops_sdk.config.sections._base import SettingsSection

__all__ = ["NamedTable", "distinct_names"]


class NamedTable(SettingsSection):
    """One table of such a list. Keys of the list are called by the name: `budgets.daily.limit_usd`."""

    name: Annotated[str, Field(min_length=1, max_length=64)]


_Table = TypeVar("_Table", bound=NamedTable)


def distinct_names(tables: tuple[_Table, ...]) -> tuple[_Table, ...]:
    """Return the tables.

    Raises:
        ValueError: Two have the same name.
    """
    counts = Counter(table.name for table in tables)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise ValueError(f"a list of tables with a name of its own each; {twice!r} is there more than once: rename one")
    return tables
