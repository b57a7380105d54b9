"""Redact all spans and scores on the pipeline's thread, between the queue and the sinks.

Most spans hold no secret, and one scan of all their texts together proves it. If redaction fails, the stage keeps the
span but drops its content.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.privacy._redactors import redaction_label, registered_redactors
from llmops_sdk.tracing.privacy._secrets import CUT
from llmops_sdk.tracing.privacy._sieves import may_hold_secret
from llmops_sdk.tracing.privacy._text_redactor import CustomRedactor, TextRedactor
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.records._records import Event, RecordedSpan, ScoreRecord, SpanRecord, Stamp

__all__ = ["RedactionStage"]

_NO_RESOURCE: Mapping[str, Any] = {}
_FAILED_LABEL = "[REDACTED:redaction_failed]"
_MAX_DEPTH = 32
_MAX_RESOURCES = 16
_SCAN_SIZE = 48  # records per scan: their joined texts then mostly fit into memory that the process already has
_SPLIT_SIZE = 16  # records: if one of so few may hold a secret, scan each alone
# The capture cuts an exception's message to this length, without a mark.
_MESSAGE_LENGTH = 2_000
_MESSAGE = "exception.message"
_STACK_TRACE = "exception.stacktrace"
_NUMBERS = (int, bool, float)

# The attributes that stay after a failed redaction, in addition to numbers and flags.
_SAFE_KEYS = frozenset({
    _semconv.CACHE,
    _semconv.DEPLOYMENT,
    _semconv.FINISH_REASONS,
    _semconv.KIND,
    _semconv.OPERATION,
    _semconv.OUTPUT_TYPE,
    _semconv.PROVIDER,
    _semconv.REQUEST_MODEL,
    _semconv.RESPONSE_MODEL,
    _semconv.STATUS,
})  # fmt: skip


class RedactionStage:
    """A pipeline stage that takes spans and scores, and returns them without secrets.

    Args:
        patterns: Regular expressions by name, in addition to the well-known formats.
        on_loss: Called like `record_loss` for each redaction: ("secret", label, count, bytes).
        key: The key of the hashes in replacements, or None for replacements without a hash.
    """

    def __init__(
        self,
        patterns: Mapping[str, str],
        on_loss: Callable[[str, str, int, int], None],
        key: bytes | None = None,
    ) -> None:
        self._key = key
        self._patterns: list[CustomRedactor] = [
            (redaction_label(name), re.compile(text)) for name, text in patterns.items()
        ]
        self._on_loss = on_loss
        # By id: a process has one or two, which all spans share. The first of each pair keeps the id valid.
        self._resources: dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}

    def __call__(self, records: list[SpanRecord | ScoreRecord]) -> list[SpanRecord | ScoreRecord]:
        """Return the records without secrets; the same objects if they have none."""
        size = _SCAN_SIZE
        if len(records) <= size:
            if (
                not self._patterns
                and not registered_redactors()
                and guarded("redaction", False, self._is_clean, records)
            ):
                return records
            if len(records) <= _SPLIT_SIZE:
                return [self._redact(record) for record in records]
            size = _SPLIT_SIZE
        groups = (records[at : at + size] for at in range(0, len(records), size))
        return [record for group in groups for record in self(group)]

    def _redact(self, record: SpanRecord | ScoreRecord) -> SpanRecord | ScoreRecord:
        own_redactors = registered_redactors()
        if not self._patterns and not own_redactors and guarded("redaction", False, self._is_clean, [record]):
            return record
        redactor = TextRedactor((*self._patterns, *own_redactors), self._key)
        result: SpanRecord | ScoreRecord | None
        if isinstance(record, ScoreRecord):
            result = guarded("redaction", None, _redact_score, record, redactor)
        else:
            # All Recordables make RecordedSpans.
            result = guarded("redaction", None, self._redact_span, cast("RecordedSpan", record), redactor)
        if result is None:
            # A redactor of the application may have failed; still replace the well-known formats in the rest.
            redactor = TextRedactor(key=self._key)
            if isinstance(record, ScoreRecord):
                result = _emptied_score(record, redactor)
                size = len(record.comment or "") + len(record.label or "")
            else:
                result = self._emptied_span(cast("RecordedSpan", record), redactor)
                size = len(record.input or b"") + len(record.output or b"") + len(record.status_message or "")
            self._on_loss("content", "redaction_failed", 1, size)
        for label, count in redactor.counts.items():
            self._on_loss("secret", label, count, redactor.sizes[label])
        return result

    def _is_clean(self, records: list[SpanRecord | ScoreRecord]) -> bool:
        """Tell whether the records hold no secret, by one scan of all their texts."""
        texts: list[str] = []
        resource: object = None
        for record in records:
            if isinstance(record, ScoreRecord):
                texts += filter(None, (record.name, record.label, record.comment, record.source))
                texts += filter(None, (record.session_id, record.document_id))
                continue
            if record.resource is not resource:
                resource = record.resource
                known = self._resources.get(id(resource))
                if known is None or known[1] is not resource:
                    return False
            _collect_span(record, texts)
        return not may_hold_secret("\n".join(texts))

    def _redact_span(self, span: RecordedSpan, redactor: TextRedactor) -> RecordedSpan:
        message = span.status_message
        events, links = span.events, span.links
        # Make a new span, so that a failure leaves no span half redacted.
        return dataclasses.replace(
            span,
            name=redactor.text(span.name),
            status_message=None if message is None else redactor.text(_with_cut_mark(message)),
            error_type=_redact_optional(span.error_type, redactor),
            input=None if span.input is None else redactor.json(span.input),
            output=None if span.output is None else redactor.json(span.output),
            attributes=None if span.attributes is None else _redact_attributes(span.attributes, redactor, 0),
            events=events and [_redact_event(event, redactor) for event in events],
            links=links and [(trace, other, _redact_attributes(kept, redactor, 0)) for trace, other, kept in links],
            stamp=None if span.stamp is None else _redact_stamp(span.stamp, redactor),
            resource=self._redact_resource(span.resource, redactor),
        )

    def _redact_resource(self, resource: Mapping[str, Any], redactor: TextRedactor) -> Mapping[str, Any]:
        """Redact the resource: only well-known formats, scanned and counted once."""
        known = self._resources.get(id(resource))
        if known is None:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            known_only = TextRedactor(key=self._key)
            redacted = _redact_attributes(resource, known_only, 0)
            redactor.add(known_only)
            known = (resource, redacted if known_only.counts else resource)
            self._resources[id(resource)] = known
        return known[1]

    def _emptied_span(self, span: RecordedSpan, redactor: TextRedactor) -> RecordedSpan:
        """Return the span without anything that may be content."""
        stamp = span.stamp
        return dataclasses.replace(
            span,
            name=guarded("redaction", _FAILED_LABEL, redactor.text, span.name),
            status_message=None,
            error_type=guarded("redaction", None, _redact_optional, span.error_type, redactor),
            input=None,
            output=None,
            attributes=guarded("redaction", None, _safe_attributes, span.attributes or {}),
            events=guarded("redaction", None, _safe_events, span.events or ()),
            links=[(trace, other, {}) for trace, other, _ in span.links or ()],
            stamp=None if stamp is None else guarded("redaction", None, _redact_stamp, stamp, redactor),
            resource=guarded("redaction", _NO_RESOURCE, self._redact_resource, span.resource, redactor),
        )


# --- collect all texts -------------------------------------------------------------------------------------------


def _collect_span(span: SpanRecord, texts: list[str]) -> None:
    """Collect the texts of a span, with keys before their values."""
    texts.append(span.name)
    if span.input is not None:
        texts.append(span.input.decode("utf-8", "replace"))
    if span.output is not None:
        texts.append(span.output.decode("utf-8", "replace"))
    if span.status_message is not None:
        texts.append(_with_cut_mark(span.status_message))
    if span.error_type is not None:
        texts.append(span.error_type)
    if span.attributes:
        _collect_attributes(span.attributes, texts)
    for name, _, attributes in span.events or ():
        texts.append(name)
        _collect_attributes(attributes, texts)
        if name == _semconv.EVENT_EXCEPTION:
            texts.append(_with_cut_mark(str(attributes.get(_MESSAGE))))
    for _, _, attributes in span.links or ():
        _collect_attributes(attributes, texts)
    stamp = span.stamp
    if stamp is not None:
        texts += (stamp.session_id or "", stamp.user_id or "", *stamp.tags)
        texts += (stamp.prompt_name or "", stamp.prompt_version or "")
        if stamp.metadata:
            _collect_attributes(stamp.metadata, texts)


def _collect_attributes(attributes: Mapping[str, Any], texts: list[str]) -> None:
    texts += attributes
    for value in cast("Mapping[str, object]", attributes).values():
        if type(value) is str:
            texts.append(value)
        elif type(value) not in _NUMBERS:
            _collect_nested(value, texts, 0)


def _collect_nested(value: Any, texts: list[str], depth: int) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, bytes):
        texts.append(value.decode("utf-8", "replace"))
    elif depth >= _MAX_DEPTH:
        return
    elif isinstance(value, Mapping):
        entries = cast("Mapping[object, Any]", value)
        for key, item in entries.items():
            texts.append(str(key))
            _collect_nested(item, texts, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in cast("Iterable[Any]", value):
            _collect_nested(item, texts, depth + 1)


# --- redact --------------------------------------------------------------------------------------------------------


def _redact_attributes(attributes: Mapping[str, Any], redactor: TextRedactor, depth: int) -> dict[str, Any]:
    # Redact only well-known formats in keys: a column must not vanish because of a broad pattern.
    return {redactor.name(str(key)): _redact_value(item, str(key), redactor, depth) for key, item in attributes.items()}


def _redact_value(value: Any, key: str, redactor: TextRedactor, depth: int) -> Any:
    if isinstance(value, str):
        return redactor.text(value, key)
    if isinstance(value, bytes):
        return type(value)(redactor.json(value, key))
    if isinstance(value, (list, tuple, set, frozenset, Mapping)):
        if depth >= _MAX_DEPTH:
            return CUT
        if isinstance(value, Mapping):
            return _redact_attributes(cast("Mapping[str, Any]", value), redactor, depth + 1)
        items = [_redact_value(item, key, redactor, depth + 1) for item in cast("Iterable[Any]", value)]
        return items if isinstance(value, list) else tuple(items)
    return value


def _redact_event(event: Event, redactor: TextRedactor) -> Event:
    name, time_ns, attributes = event
    if name == _semconv.EVENT_EXCEPTION:
        message, stack = attributes.get(_MESSAGE), attributes.get(_STACK_TRACE)
        attributes = {**attributes}
        if isinstance(message, str):
            attributes[_MESSAGE] = _with_cut_mark(message)
        if isinstance(stack, str) and stack.startswith(CUT):
            attributes[_STACK_TRACE] = _without_cut_line(stack)
    return redactor.text(name), time_ns, _redact_attributes(attributes, redactor, 0)


def _with_cut_mark(message: str) -> str:
    """Add the cut mark to a message that was cut, so that the patterns match the beginning of a secret there."""
    return message + CUT if len(message) == _MESSAGE_LENGTH else message


def _without_cut_line(stack: str) -> str:
    """Drop the incomplete first line of a stack trace: no pattern matches the end of a secret alone."""
    _, line, rest = stack.partition("\n")
    return f"{CUT}{rest}" if line else CUT


def _redact_stamp(stamp: Stamp, redactor: TextRedactor) -> Stamp:
    return Stamp(
        session_id=_redact_optional(stamp.session_id, redactor),
        user_id=_redact_optional(stamp.user_id, redactor),
        tags=tuple(redactor.text(tag) for tag in stamp.tags),
        metadata=None if stamp.metadata is None else _redact_attributes(stamp.metadata, redactor, 0),
        prompt_name=_redact_optional(stamp.prompt_name, redactor),
        prompt_version=_redact_optional(stamp.prompt_version, redactor),
    )


def _redact_score(score: ScoreRecord, redactor: TextRedactor) -> ScoreRecord:
    return dataclasses.replace(
        score,
        name=redactor.text(score.name),
        label=_redact_optional(score.label, redactor),
        comment=_redact_optional(score.comment, redactor),
        source=redactor.text(score.source),
        session_id=_redact_optional(score.session_id, redactor),
        document_id=_redact_optional(score.document_id, redactor),
    )


def _redact_optional(text: str | None, redactor: TextRedactor) -> str | None:
    return None if text is None else redactor.text(text)


# --- drop content after a failure ------------------------------------------------------------------------------------


def _safe_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in attributes.items()
        if (isinstance(value, (bool, int, float)) and not may_hold_secret(key)) or key in _SAFE_KEYS
    }


def _safe_events(events: Iterable[Event]) -> list[Event]:
    return [
        (_FAILED_LABEL if may_hold_secret(name) else name, time_ns, _safe_attributes(kept))
        for name, time_ns, kept in events
    ]


def _emptied_score(score: ScoreRecord, redactor: TextRedactor) -> ScoreRecord:
    name = guarded("redaction", _FAILED_LABEL, redactor.text, score.name)
    return dataclasses.replace(score, name=name, label=None, comment=None)
