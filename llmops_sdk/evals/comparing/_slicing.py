"""Split the results of two experiments by the values of metadata keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._types import ItemResult

__all__ = ["slice_results"]

_MOST_ROWS = 10_000
_LONGEST_TITLE = 200  # characters

Part: TypeAlias = "tuple[str, list[ItemResult], list[ItemResult]]"


def slice_results(a: list[ItemResult], b: list[ItemResult], keys: Iterable[str], *, scorers: int) -> list[Part]:
    """Return the whole and each part of the data: its title, and its results in both experiments.

    Args:
        a: The results of the first experiment, whose metadata count.
        b: Those of the second one on the same items.
        keys: Metadata keys; each of their values is a part.
        scorers: How many scorers are compared in each part.

    Raises:
        ConfigError: No item has a key, or there are too many parts.
    """
    if isinstance(keys, str):
        raise ConfigError(f"slices is {keys!r}: give a list of metadata keys", key="slices", value=keys)
    found: list[Part] = [("", a, b)]
    for key in keys:
        titles: dict[str, dict[str, None]] = {}  # of each item
        for result in a:
            if key in result.metadata:
                title = f"{key}={result.metadata[key]}"
                titles.setdefault(result.item_id, {})[title[:_LONGEST_TITLE]] = None
        if not titles:
            raise ConfigError(f"slices: no item has the key {key!r} in its metadata", key="slices", value=key)
        parts: dict[str, tuple[list[ItemResult], list[ItemResult]]] = {}
        for place, results in enumerate((a, b)):
            for result in results:
                for title in titles.get(result.item_id, ()):
                    parts.setdefault(title, ([], []))[place].append(result)
        found += [(title, *both) for title, both in sorted(parts.items())]
    if len(found) * scorers > _MOST_ROWS:
        raise ConfigError(
            f"slices give {len(found) * scorers:,} rows, and at most {_MOST_ROWS:,} can be compared: name keys of few "
            "values",
            key="slices",
        )
    return found
