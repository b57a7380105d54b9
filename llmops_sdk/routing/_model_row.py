"""One model on one kind of prompts, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from llmops_sdk._util._public import public
from llmops_sdk.stats import Interval

__all__ = ["ModelRow"]


@public("llmops_sdk.routing")
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One model on one kind of prompts.

    Attributes:
        kind: The kind; "" for all prompts whose scores are believed.
        model: The model.
        n: Its scores.
        quality: Their mean, weighted with the propensities where those are known; None where there are none.
        interval: The 95 % interval of the mean.
        cost: The mean cost in USD, or None where unknown.
    """

    kind: str
    model: str
    n: int
    quality: float | None
    interval: Interval | None
    cost: float | None
