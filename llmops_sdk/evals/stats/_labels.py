"""Read what a judge and people said about the same items, and what the judge said about others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from llmops_sdk.stats._inputs import finite_values

__all__ = ["LabelledValues", "labelled_values"]

_JUDGE_FAILED = (
    "count a failed verdict as the middle of the scale, or leave the item out, and report how many there were"
)
_LABEL_MISSING = "leave the item out, or give its verdict in `unlabelled` instead"


class LabelledValues(NamedTuple):
    """Checked values."""

    human: list[float]
    judge: list[float]
    """The judge's values of the same items."""
    unlabelled: list[float]
    """The judge's values of other items."""


def labelled_values(
    human: Iterable[float | None], judge: Iterable[float], unlabelled: Iterable[float] | None
) -> LabelledValues:
    """Return the values of labelled and unlabelled items.

    Without `unlabelled`, the items whose label is None are the unlabelled ones.
    """
    labels, verdicts = _as_list(human, "human"), finite_values(judge, "judge", missing=_JUDGE_FAILED)
    if len(labels) != len(verdicts):
        raise ValueError(
            f"there are {len(labels)} labels and {len(verdicts)} verdicts: give the label and the verdict of the same "
            "items, and the other verdicts in `unlabelled`"
        )
    if unlabelled is None:
        others = [verdict for label, verdict in zip(labels, verdicts, strict=True) if label is None]
        pairs = [(label, verdict) for label, verdict in zip(labels, verdicts, strict=True) if label is not None]
        labels, verdicts = [label for label, _ in pairs], [verdict for _, verdict in pairs]
    else:
        rest = _as_list(unlabelled, "unlabelled")
        others = finite_values(rest, "unlabelled", missing=_JUDGE_FAILED) if rest else []
    return LabelledValues(finite_values(labels, "human", missing=_LABEL_MISSING), verdicts, others)


def _as_list(values: Iterable[float | None], name: str) -> list[float | None]:
    if isinstance(values, str | bytes):
        raise TypeError(f"{name} is a text: give a sequence of numbers")
    return list(values)
