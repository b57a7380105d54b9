"""Turn log records with the content of calls into details of spans.

The conventions from 1.37 on have one event with everything as attributes. Up to 1.36 they had one event a message, with
the message as the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from llmops_sdk.store.otlp._records import with_json_messages
from llmops_sdk.store.otlp._wire import MalformedError, WireLog
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import Event, SpanDetails

__all__ = ["DETAIL_EVENTS", "DetailsBuilder"]

DETAIL_EVENTS = frozenset({sc.EVENT_DETAILS, *sc.MESSAGE_EVENTS})
_BODY = "gen_ai.event.content"
_NO_RESOURCE: Mapping[str, Any] = {}  # one object, which the redaction looks at once


class DetailsBuilder:
    """Collects the log records of one request by span, in the order of the request."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int, bool], SpanDetails] = {}

    def add(self, log: WireLog, event: str, scope: str) -> None:
        """Add a record. It takes over `log.attributes`.

        Args:
            log: The record.
            event: Its event, one of `DETAIL_EVENTS`.
            scope: The name of the library that made it.

        Raises:
            MalformedError: It belongs to no span.
        """
        if not log.trace_id or not log.span_id:
            raise MalformedError(f"{event} needs the ids of a trace and a span")
        log.attributes.pop("event.name", None)
        whole = event == sc.EVENT_DETAILS
        attributes, events = _whole(log) if whole else _message(log, event)
        known = self._found.get((log.trace_id, log.span_id, whole))
        if known is not None:
            known.attributes = {**(known.attributes or {}), **attributes}
            cast("list[Event]", known.events).extend(events)
            return
        self._found[log.trace_id, log.span_id, whole] = SpanDetails(
            name=event,
            kind="llm",  # so that messages are translated; it is not stored
            trace_id=log.trace_id,
            span_id=log.span_id,
            start_ns=log.time_ns,
            duration_ns=0,
            status="unset",
            attributes=attributes,
            events=events,
            scope=scope,
            resource=_NO_RESOURCE,
        )

    def details(self) -> list[SpanDetails]:
        """Return what was collected, one for each span and form."""
        return list(self._found.values())


def _whole(log: WireLog) -> tuple[dict[str, Any], list[Event]]:
    body: Any = log.body
    if isinstance(body, dict):
        attributes = {**cast("dict[str, Any]", body), **log.attributes}
    else:
        attributes = log.attributes if body is None else {_BODY: body, **log.attributes}
    with_json_messages(attributes)
    return attributes, []


def _message(log: WireLog, event: str) -> tuple[dict[str, Any], list[Event]]:
    body: Any = log.body
    if body is None:
        return {}, [(event, log.time_ns, log.attributes)]
    fields: dict[str, Any] = cast("dict[str, Any]", body) if isinstance(body, dict) else {"content": body}
    return log.attributes, [(event, log.time_ns, fields)]
