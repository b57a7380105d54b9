"""Verdicts of guards under the conventions' names, for export, and back, for spans that come in.

Source: the draft of `gen_ai.guardrail.result` in OpenTelemetry's semantic conventions for generative AI, 2026-09. Its
attributes for content are left out: a verdict holds no text of a user or a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmops_sdk.tracing.records._semconv import EVENT_GUARD_VERDICT, EVENT_GUARDRAIL_RESULT

__all__ = ["conventional_verdict", "verdicts_of"]

_PREFIX = "gen_ai.guardrail."
_NAMES = {
    "guard": "component.name",
    "action": "result.value",
    "reason": "result.reason",
    "rail": "source",
    "version": "policy.version",
    "score": "risk.score",
}
_OWN_PREFIX = "llmops.guard."
_OWN = ("duration_ms", "findings", "threshold", "truncated")


def conventional_verdict(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a verdict under the conventions' names; what these do not have keeps ours.

    Example:
        >>> conventional_verdict({"guard": "cards", "action": "redact"})["gen_ai.guardrail.component.name"]
        'cards'
    """
    made: dict[str, Any] = {f"{_PREFIX}result.type": "action"}
    made |= {_PREFIX + name: attributes[key] for key, name in _NAMES.items() if key in attributes}
    return made | {_OWN_PREFIX + key: attributes[key] for key in _OWN if key in attributes}


def verdicts_of(events: Sequence[tuple[str, int, Mapping[str, Any]]]) -> list[tuple[str, int, Mapping[str, Any]]]:
    """Return the events of a span with verdicts under our names.

    Args:
        events: Name, time in nanoseconds and attributes of each.
    """
    return [
        (EVENT_GUARD_VERDICT, time_ns, _own_verdict(attributes))
        if name == EVENT_GUARDRAIL_RESULT
        else (name, time_ns, attributes)
        for name, time_ns, attributes in events
    ]


def _own_verdict(attributes: Mapping[str, Any]) -> dict[str, Any]:
    left = dict(attributes)
    made = {key: left.pop(_PREFIX + name) for key, name in _NAMES.items() if _PREFIX + name in left}
    made |= {key: left.pop(_OWN_PREFIX + key) for key in _OWN if _OWN_PREFIX + key in left}
    left.pop(f"{_PREFIX}result.type", None)
    return made | left
