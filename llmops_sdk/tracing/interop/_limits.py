"""OpenTelemetry's limits on exported spans, if the environment sets them. The local store keeps everything.

Source: OpenTelemetry specification, "Attribute Limits" and "Span Limits".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.util import BoundedList

__all__ = ["SpanLimits", "limits_from_environment"]

_log = logging.getLogger("llmops_sdk")
_T = TypeVar("_T")

# The variables that set each limit; the first one that is set counts.
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
class SpanLimits:
    """Limits on an exported span; None means unlimited.

    Attributes:
        attributes: Number of attributes of a span.
        value_length: Characters of an attribute that is a text.
        events: Number of events of a span.
        links: Number of links of a span.
        event_attributes: Number of attributes of an event.
        link_attributes: Number of attributes of a link.
    """

    attributes: int | None = None
    value_length: int | None = None
    events: int | None = None
    links: int | None = None
    event_attributes: int | None = None
    link_attributes: int | None = None

    def __bool__(self) -> bool:
        """Return whether any limit is set."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    def bounded(self, attributes: Mapping[str, Any], count: int | None) -> Mapping[str, Any]:
        """Return at most `count` attributes, each within the length. Those that backends need most stay longest."""
        # The SDK's mapping drops the oldest, so the most important go in last.
        ordered = dict(sorted(attributes.items(), key=lambda item: item[0].startswith(_FIRST)))
        return BoundedAttributes(count, ordered, immutable=True, max_value_len=self.value_length)

    def latest(self, items: Sequence[_T], count: int | None) -> Sequence[_T]:
        """Return at most `count` items, the latest; the result counts the rest as dropped."""
        if count is None:
            return items
        bounded: Any = BoundedList  # the SDK gives it no type
        return bounded.from_seq(count, items)


def limits_from_environment() -> SpanLimits:
    """Return the limits that the environment sets. A value that is not a whole number is ignored with a warning."""
    return SpanLimits(**{name: _first_number(variables) for name, variables in _VARIABLES.items()})


def _first_number(variables: Sequence[str]) -> int | None:
    for variable in variables:
        text = os.environ.get(variable, "").strip()
        if text.isdecimal():
            return int(text)
        if text:
            _log.warning("llmops: %s=%s is ignored: use a whole number", variable, text)
    return None
