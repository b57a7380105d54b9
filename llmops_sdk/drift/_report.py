"""What a check for drift finds: a report, with a row for each signal of each slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from llmops_sdk._util._public import public
from llmops_sdk.stats import Interval

__all__ = ["DriftReport", "Feature", "Kind", "Status"]

Kind: TypeAlias = Literal["data", "concept", "identity", "quality"]
Status: TypeAlias = Literal["drifted", "steady", "not_enough_data", "ours"]


@public("llmops_sdk.drift")
@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What a check found for one signal of one slice.

    Attributes:
        signal: What was compared, e.g. `length`, `novelty` or `score:helpful`.
        slice: The part of the traffic, e.g. `{"model": "openai/gpt-4.1"}`; empty for all of it.
        status: "drifted"; "steady"; "not_enough_data"; or "ours" for a difference that we made ourselves.
        effect: The size of the difference, current minus reference, in the signal's own unit; None where unknown.
        interval: The interval of the effect, or None.
        p_value: The chance of such a difference without a change; None for a test that gives an e-value.
        adjusted_p_value: The p-value after the correction for all signals and slices.
        e_value: The evidence of a test that may be looked at at any time, or None.
        reference_n: Values in the reference.
        current_n: Values in the current window.
        effective_n: Independent values that the current ones are worth.
        cause: What changed, where that is known: "prompt_version", "model", "configuration" or "provider".
        reason: The result in one sentence, without content.
        examples: Up to five trace ids, or texts where texts were given instead of traces.
        details: Further figures of the method.
    """

    signal: str
    status: Status
    reason: str
    slice: Mapping[str, str] = field(default_factory=dict[str, str])
    effect: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    e_value: float | None = None
    reference_n: int = 0
    current_n: int = 0
    effective_n: float | None = None
    cause: str | None = None
    examples: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


@public("llmops_sdk.drift")
@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """The result of a check for drift.

    Attributes:
        kind: "data", "concept", "identity" or "quality".
        name: The name of the check or of the canary; "" for data that was given.
        features: One row for each signal of each slice.
        changes: What we changed ourselves between the windows, one sentence each.
        check_id: The id of its rows in `drift_checks`, or "" where nothing was written.
    """

    kind: Kind
    features: tuple[Feature, ...]
    name: str = ""
    changes: tuple[str, ...] = ()
    check_id: str = ""

    @property
    def drifted(self) -> bool:
        """Return whether any signal drifted by itself: not by what we changed, and not for lack of data."""
        return any(one.status == "drifted" for one in self.features)

    @property
    def status(self) -> Status:
        """Return the status of the whole: drifted, else ours, else steady, else not enough data."""
        found = {one.status for one in self.features}
        by_weight: tuple[Status, ...] = ("drifted", "ours", "steady")
        for status in by_weight:
            if status in found:
                return status
        return "not_enough_data"

    @property
    def p_value(self) -> float | None:
        """Return the least adjusted p-value of the features, or None."""
        known = [
            value
            for one in self.features
            if (value := one.p_value if one.adjusted_p_value is None else one.adjusted_p_value) is not None
        ]
        return min(known, default=None)

    @property
    def e_value(self) -> float | None:
        """Return the largest e-value of the features, or None."""
        return max((one.e_value for one in self.features if one.e_value is not None), default=None)

    @property
    def examples(self) -> tuple[str, ...]:
        """Return up to five examples of what drifted most."""
        found = [one for one in self.features if one.status in ("drifted", "ours")]
        found.sort(key=lambda one: 1.0 if one.adjusted_p_value is None else one.adjusted_p_value)
        return tuple(dict.fromkeys(example for one in found for example in one.examples))[:5]

    @property
    def reason(self) -> str:
        """Return the reasons of what drifted, or that nothing did."""
        found = [one.reason for one in self.features if one.status == "drifted"]
        if found:
            return "; ".join(found)
        if self.status == "not_enough_data":
            return next((one.reason for one in self.features), "there is no data")
        return "nothing drifted"
