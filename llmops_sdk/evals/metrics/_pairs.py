"""The arguments that all metrics of texts share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Pairs", "Reference", "checked_pairs", "checked_texts", "mean_or_each"]

Reference = str | Sequence[str]
"""A right text, or several that are all right."""


class Pairs(NamedTuple):
    """Checked predictions, and for each one or more references."""

    predictions: list[str]
    references: list[list[str]]
    is_single: bool
    """Whether the caller gave strings instead of lists."""


def checked_texts(texts: str | Iterable[str], name: str) -> list[str]:
    """Return texts as a list; a string is one text.

    Raises:
        TypeError: One of them is no string.
        ValueError: There are none.
    """
    found = [texts] if isinstance(texts, str) else list(texts)
    if not found:
        raise ValueError(f"{name} is empty: give at least one text")
    for index, text in enumerate(found):
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"{name}[{index}] is {type(text).__name__}, not a string: leave out missing texts and report how many "
                "there were"
            )
    return found


def checked_pairs(predictions: str | Iterable[str], references: str | Iterable[Reference]) -> Pairs:
    """Return the pairs of a metric.

    Raises:
        TypeError: A prediction or a reference is no string.
        ValueError: There are none, or the lists have different lengths.
    """
    is_single = isinstance(predictions, str)
    given = checked_texts(predictions, "predictions")
    if isinstance(references, str):
        wanted = [[references]]
    elif is_single:  # a list beside one prediction: all are right
        wanted = [checked_texts([_text(one, "references") for one in references], "references")]
    else:
        wanted = [checked_texts(one, f"references[{index}]") for index, one in enumerate(_listed(references))]
    if len(given) != len(wanted):
        raise ValueError(
            f"there are {len(given)} predictions and {len(wanted)} references: give one reference, or one list of "
            "references, for each prediction"
        )
    return Pairs(given, wanted, is_single)


def _listed(references: Iterable[Reference]) -> list[Reference]:
    found = list(references)
    for index, one in enumerate(found):
        if not isinstance(one, str | Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"references[{index}] is {type(one).__name__}, not a string and not a list of strings")
    return found


def _text(reference: Reference, name: str) -> str:
    if not isinstance(reference, str):
        raise TypeError(f"{name}: beside one prediction, give a string or a flat list of strings")
    return reference


def mean_or_each(values: list[float], *, each: bool) -> float | list[float]:
    """Return the values, or their mean."""
    return values if each else math.fsum(values) / len(values)
