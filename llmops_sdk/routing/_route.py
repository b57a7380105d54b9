"""A router's decision about one prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from llmops_sdk._util._public import public

__all__ = ["Reason", "Route"]

Reason: TypeAlias = Literal[
    "cheapest_good_enough", "best", "unfamiliar", "unproven", "doubtful_scores", "incapable", "pinned", "explored",
    "cascade", "escalated", "rule", "default",
]  # fmt: skip


@public("llmops_sdk.routing")
@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The model for a prompt, and why.

    Attributes:
        model: The model.
        reason: "cheapest_good_enough": its expected quality is worth more than its cost; "best": no cheaper one is
            good enough for this prompt; "unfamiliar": no scored prompt is similar; "unproven": there are too few
            scores to prove that a cheaper model is good enough; "doubtful_scores": similar prompts were graded wrongly;
            "incapable": the others cannot take the prompt; "pinned": the kill switch; "explored": chance, to learn;
            "cascade": the first model of a cascade; "escalated": the answer before did not pass; "rule": a rule;
            "default": no rule chose.
        expected_quality: By model: the expected score from 0 to 1; models of which too little is known are missing.
        expected_cost: By model: USD for the call, or None where unknown.
        quality_error: By model: the standard error of the expected difference to the strongest model.
        propensity: The probability with which this model was chosen.
        familiarity: The cosine of the prompt to the most similar scored one; None where none was looked for.
        explored: Whether chance decided, to learn.
        version: The version of the policy: a digest of what it was fitted on.
    """

    model: str
    reason: Reason
    expected_quality: Mapping[str, float]
    expected_cost: Mapping[str, float | None]
    quality_error: Mapping[str, float]
    propensity: float = 1.0
    familiarity: float | None = None
    explored: bool = False
    version: str = ""
