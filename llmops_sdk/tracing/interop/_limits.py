"""The standard's limits on exported spans, where the environment sets them; without them nothing is cut.

The local store keeps everything. Source: OpenTelemetry specification, "Attribute Limits" and "Span Limits".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.util import BoundedList

__all__ = ["Limits", "limits_from_environment"]

_log = logging.getLogger("llmops_sdk")
_T = TypeVar("_T")

# Each with the variables that set it: the first that is set counts.
_VARIABLES = {
    "attributes": ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    "value_length": ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    "events": ("OTEL_SPAN_EVENT_COUNT_LIMIT",),
    "links": ("OTEL_SPAN_LINK_COUNT_LIMIT",),
    "event_attributes": ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    "link_attributes": ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
}
_FIRST = ("gen_ai.", "openinference.", "error.", "session.", "user.", "llmops.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a span is exported; None is all.

    Attributes:
        attributes: Attributes of a span.
        value_length: Characters of a text among them.
        events: Events of a span.
        links: Links of a span.
        event_attributes: Attributes of an event.
        link_attributes: Attributes of a link.
    """

    attributes: int | None = None
    value_length: int | None = None
    events: int | None = None
    links: int | None = None
    event_attributes: int | None = None
    link_attributes: int | None = None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    def bounded(self, attributes: Mapping[str, Any], count: int | None) -> Mapping[str, Any]:
        """At most `count` attributes, each within the length; what a backend reads first stays longest."""
        # The SDK's own mapping drops the oldest, so what matters most goes in last.
        ordered = dict(sorted(attributes.items(), key=lambda item: item[0].startswith(_FIRST)))
        return BoundedAttributes(count, ordered, immutable=True, max_value_len=self.value_length)

    def listed(self, items: Sequence[_T], count: int | None) -> Sequence[_T]:
        """At most `count` of them, the latest; the rest is counted on the span."""
        if count is None:
            return items
        bounded: Any = BoundedList  # of no type in the SDK
        return bounded.from_seq(count, items)


def limits_from_environment() -> Limits:
    """The limits that the environment sets; a value that is no whole number is ignored with a warning."""
    return Limits(**{name: _first(variables) for name, variables in _VARIABLES.items()})


def _first(variables: Sequence[str]) -> int | None:
    for variable in variables:
        text = os.environ.get(variable, "").strip()
        if text.isdecimal():
            return int(text)
        if text:
            _log.warning("llmops: %s=%s is ignored: use a whole number", variable, text)
    return None
