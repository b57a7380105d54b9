"""The redaction stage: between the queue and the sinks, on the pipeline's thread, for every span and score.

Most spans hold no secret, and one look at all of their texts together proves it. A stage that fails closes: the span
is kept, its content is not.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.privacy._redactors import kind_name, registered
from llmops_sdk.tracing.privacy._secrets import CUT
from llmops_sdk.tracing.privacy._text import Custom, TextRedactor, suspect
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.records._records import Event, RecordedSpan, ScoreRecord, SpanRecord, Stamp

__all__ = ["RedactionStage"]

_NO_RESOURCE: Mapping[str, Any] = {}
_FAILED = "[REDACTED:redaction_failed]"
_MAX_DEPTH = 32
_MAX_RESOURCES = 16
_LOOKED_AT = 48  # records at once: their texts, joined, are most often no fresh memory of the system's for every batch
_FEW = 16  # records: of so few, each is looked at alone when one of them may hold a secret
# The capture keeps so many characters of an exception's message, without a mark where it cut.
_MESSAGE_LENGTH = 2_000
_MESSAGE = "exception.message"
_STACK_TRACE = "exception.stacktrace"

# What stays of a span's attributes when its redaction failed, besides numbers and flags.
_NAMES_KEPT = frozenset({
    _semconv.CACHE,
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
    """Called with spans and scores, gives them back without secrets.

    Args:
        patterns: Regular expressions by name, besides the well-known formats.
        lose: Told what was redacted, as `record_loss` is: ("secret", kind, how many, bytes).
    """

    def __init__(self, patterns: Mapping[str, str], lose: Callable[[str, str, int, int], None]) -> None:
        self._patterns: list[Custom] = [(kind_name(name), re.compile(text)) for name, text in patterns.items()]
        self._lose = lose
        # By identity: a process has one or two, shared by all of its spans. The first of each pair keeps the id alive.
        self._resources: dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}

    def __call__(self, records: list[SpanRecord | ScoreRecord]) -> list[SpanRecord | ScoreRecord]:
        """The records without secrets: the same objects where there are none."""
        size = _LOOKED_AT
        if len(records) <= size:
            if not self._patterns and not registered() and guarded("redaction", False, self._clean, records):
                return records
            if len(records) <= _FEW:
                return [self._redacted(record) for record in records]
            size = _FEW
        groups = (records[at : at + size] for at in range(0, len(records), size))
        return [record for group in groups for record in self(group)]

    def _redacted(self, record: SpanRecord | ScoreRecord) -> SpanRecord | ScoreRecord:
        added = registered()
        if not self._patterns and not added and guarded("redaction", False, self._clean, [record]):
            return record
        redactor = TextRedactor((*self._patterns, *added))
        done: SpanRecord | ScoreRecord | None
        if isinstance(record, ScoreRecord):
            done = guarded("redaction", None, _score, record, redactor)
        else:
            # Every Recordable makes a RecordedSpan.
            done = guarded("redaction", None, self._span, cast("RecordedSpan", record), redactor)
        if done is None:
            # A function of the application's may have failed; what the SDK knows is still replaced in the rest.
            redactor = TextRedactor()
            if isinstance(record, ScoreRecord):
                done = _closed_score(record, redactor)
                size = len(record.comment or "") + len(record.label or "")
            else:
                done = self._closed_span(cast("RecordedSpan", record), redactor)
                size = len(record.input or b"") + len(record.output or b"") + len(record.status_message or "")
            self._lose("content", "redaction_failed", 1, size)
        for kind, count in redactor.counts.items():
            self._lose("secret", kind, count, redactor.sizes[kind])
        return done

    def _clean(self, records: list[SpanRecord | ScoreRecord]) -> bool:
        """Whether there is nothing to replace; most often there is not, and one look at all texts together shows it."""
        texts: list[str] = []
        payloads: list[bytes] = []
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
            _collect_span(record, texts, payloads)
        texts.append(b"\n".join(payloads).decode("utf-8", "replace"))
        return not suspect("\n".join(texts))

    def _span(self, span: RecordedSpan, redactor: TextRedactor) -> RecordedSpan:
        message = span.status_message
        events, links = span.events, span.links
        # A new one, so that a failure halfway leaves nothing half done.
        return dataclasses.replace(
            span,
            name=redactor.text(span.name),
            status_message=None if message is None else redactor.text(_marked(message)),
            error_type=_optional(span.error_type, redactor),
            input=None if span.input is None else redactor.json(span.input),
            output=None if span.output is None else redactor.json(span.output),
            attributes=None if span.attributes is None else _mapping(span.attributes, redactor, 0),
            events=events and [_event(event, redactor) for event in events],
            links=links and [(trace, other, _mapping(kept, redactor, 0)) for trace, other, kept in links],
            stamp=None if span.stamp is None else _stamp(span.stamp, redactor),
            resource=self._resource(span.resource, redactor),
        )

    def _resource(self, resource: Mapping[str, Any], redactor: TextRedactor) -> Mapping[str, Any]:
        """What describes the process: the well-known formats only, looked for and counted once."""
        known = self._resources.get(id(resource))
        if known is None:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            known_only = TextRedactor()
            redacted = _mapping(resource, known_only, 0)
            redactor.add(known_only)
            known = (resource, redacted if known_only.counts else resource)
            self._resources[id(resource)] = known
        return known[1]

    def _closed_span(self, span: RecordedSpan, redactor: TextRedactor) -> RecordedSpan:
        """The span without anything that may be content."""
        stamp = span.stamp
        return dataclasses.replace(
            span,
            name=guarded("redaction", _FAILED, redactor.text, span.name),
            status_message=None,
            error_type=guarded("redaction", None, _optional, span.error_type, redactor),
            input=None,
            output=None,
            attributes=guarded("redaction", None, _harmless, span.attributes or {}),
            events=guarded("redaction", None, _harmless_events, span.events or ()),
            links=[(trace, other, {}) for trace, other, _ in span.links or ()],
            stamp=None if stamp is None else guarded("redaction", None, _stamp, stamp, redactor),
            resource=guarded("redaction", _NO_RESOURCE, self._resource, span.resource, redactor),
        )


# --- is there anything? -----------------------------------------------------------------------------------------


def _collect_span(span: SpanRecord, texts: list[str], payloads: list[bytes]) -> None:
    """Every text of the span, with the keys before their values."""
    texts.append(span.name)
    if span.input is not None:
        payloads.append(span.input)
    if span.output is not None:
        payloads.append(span.output)
    if span.status_message is not None:
        texts.append(_marked(span.status_message))
    if span.error_type is not None:
        texts.append(span.error_type)
    if span.attributes:
        _collect(span.attributes, texts)
    for name, _, attributes in span.events or ():
        texts.append(name)
        _collect(attributes, texts)
        if name == _semconv.EVENT_EXCEPTION:
            texts.append(_marked(str(attributes.get(_MESSAGE))))
    for _, _, attributes in span.links or ():
        _collect(attributes, texts)
    stamp = span.stamp
    if stamp is not None:
        texts += (stamp.session_id or "", stamp.user_id or "", *stamp.tags)
        texts += (stamp.prompt_name or "", stamp.prompt_version or "")
        if stamp.metadata:
            _collect(stamp.metadata, texts)


def _collect(attributes: Mapping[str, Any], texts: list[str]) -> None:
    texts += attributes
    for value in attributes.values():
        kind = cast("type[object]", type(value))
        if kind is str:
            texts.append(value)
        elif kind is not int and kind is not bool and kind is not float:
            _collect_other(value, texts, 0)


def _collect_other(value: Any, texts: list[str], depth: int) -> None:
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
            _collect_other(item, texts, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in cast("Iterable[Any]", value):
            _collect_other(item, texts, depth + 1)


# --- what there is, replaced --------------------------------------------------------------------------------------


def _mapping(attributes: Mapping[str, Any], redactor: TextRedactor, depth: int) -> dict[str, Any]:
    # Of a name only the well-known formats are replaced: a column must not vanish because a pattern is wide.
    return {redactor.name(str(key)): _value(item, str(key), redactor, depth) for key, item in attributes.items()}


def _value(value: Any, key: str, redactor: TextRedactor, depth: int) -> Any:
    if isinstance(value, str):
        return redactor.text(value, key)
    if isinstance(value, bytes):
        return redactor.json(value, key)
    if isinstance(value, (list, tuple, set, frozenset, Mapping)):
        if depth >= _MAX_DEPTH:
            return CUT
        if isinstance(value, Mapping):
            return _mapping(cast("Mapping[str, Any]", value), redactor, depth + 1)
        items = [_value(item, key, redactor, depth + 1) for item in cast("Iterable[Any]", value)]
        return items if isinstance(value, list) else tuple(items)
    return value


def _event(event: Event, redactor: TextRedactor) -> Event:
    name, time_ns, attributes = event
    if name == _semconv.EVENT_EXCEPTION:
        message, stack = attributes.get(_MESSAGE), attributes.get(_STACK_TRACE)
        attributes = {**attributes}
        if isinstance(message, str):
            attributes[_MESSAGE] = _marked(message)
        if isinstance(stack, str) and stack.startswith(CUT):
            attributes[_STACK_TRACE] = _from_a_line(stack)
    return redactor.text(name), time_ns, _mapping(attributes, redactor, 0)


def _marked(message: str) -> str:
    """An exception's message with the mark of a cut, so that the beginning of a secret is known there."""
    return message + CUT if len(message) == _MESSAGE_LENGTH else message


def _from_a_line(stack: str) -> str:
    """A stack trace that was cut at its front, from the next line on: a secret's end alone looks like nothing."""
    _, line, rest = stack.partition("\n")
    return f"{CUT}{rest}" if line else CUT


def _stamp(stamp: Stamp, redactor: TextRedactor) -> Stamp:
    return Stamp(
        session_id=_optional(stamp.session_id, redactor),
        user_id=_optional(stamp.user_id, redactor),
        tags=tuple(redactor.text(tag) for tag in stamp.tags),
        metadata=None if stamp.metadata is None else _mapping(stamp.metadata, redactor, 0),
        prompt_name=_optional(stamp.prompt_name, redactor),
        prompt_version=_optional(stamp.prompt_version, redactor),
    )


def _score(score: ScoreRecord, redactor: TextRedactor) -> ScoreRecord:
    return dataclasses.replace(
        score,
        name=redactor.text(score.name),
        label=_optional(score.label, redactor),
        comment=_optional(score.comment, redactor),
        source=redactor.text(score.source),
        session_id=_optional(score.session_id, redactor),
        document_id=_optional(score.document_id, redactor),
    )


def _optional(text: str | None, redactor: TextRedactor) -> str | None:
    return None if text is None else redactor.text(text)


# --- closed -------------------------------------------------------------------------------------------------------


def _harmless(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in attributes.items()
        if (isinstance(value, (bool, int, float)) and not suspect(key)) or key in _NAMES_KEPT
    }


def _harmless_events(events: Iterable[Event]) -> list[Event]:
    return [(_FAILED if suspect(name) else name, time_ns, _harmless(kept)) for name, time_ns, kept in events]


def _closed_score(score: ScoreRecord, redactor: TextRedactor) -> ScoreRecord:
    name = guarded("redaction", _FAILED, redactor.text, score.name)
    return dataclasses.replace(score, name=name, label=None, comment=None)
