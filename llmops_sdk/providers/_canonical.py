"""Bring parameters into the form in which equal requests are equal texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["canonical_numbers"]

_EXACT = 2**53


def canonical_numbers(value: Any) -> Any:
    """Return JSON-like data with whole floats as integers: for a model, the temperatures 0 and 0.0 are one.

    Raises:
        RecursionError: The data is too deep.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {key: canonical_numbers(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [canonical_numbers(item) for item in cast("Sequence[Any]", value)]
    return value
