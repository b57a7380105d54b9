"""Convert our span records to OpenTelemetry's spans, with attributes that every backend reads.

These are `gen_ai.*` for all backends, `openinference.span.kind` and `input.value`/`output.value` for Phoenix and other
readers of OpenInference, `session.id` and `user.id`, and the cost under both common names.

This module imports `opentelemetry.sdk`; only the exporting thread imports it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as OtelEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link as OtelLink
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from llmops_sdk._version import __version__
from llmops_sdk.tracing.interop._limits import limits_from_environment
from llmops_sdk.tracing.privacy._content import ContentRule
from llmops_sdk.tracing.records import _semconv as names
from llmops_sdk.tracing.records._guardrail_events import conventional_verdict
from llmops_sdk.tracing.records._records import SCOPE, SpanRecord, Stamp
from llmops_sdk.tracing.spans._remote import is_remote_parent, state_of

__all__ = ["SpanConverter", "own_scope", "plain_text", "sdk_resource"]

_OPENINFERENCE_KIND = "openinference.span.kind"
_INPUT, _INPUT_TYPE = "input.value", "input.mime_type"
_OUTPUT, _OUTPUT_TYPE = "output.value", "output.mime_type"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_STATUS = {"ok": StatusCode.OK, "error": StatusCode.ERROR}
_KIND = {kind.name.lower(): kind for kind in SpanKind}
_OPERATIONS = {
    "agent": "invoke_agent",
    "embedding": "embeddings",
    "retriever": "retrieval",
    "tool": "execute_tool",
}
# Newer and older names, and those of other vocabularies, for one value: backends read one of them.
_SAME = (
    (names.CACHE_CREATION_TOKENS, names.CACHE_WRITE_TOKENS),
    (names.CACHE_WRITE_TOKENS, names.CACHE_CREATION_TOKENS),
    (names.REASONING_TOKENS, names.OPENINFERENCE_REASONING_TOKENS),
    ("gen_ai.request.reasoning_effort", names.REASONING_LEVEL),
)
_INT64 = range(-(2**63), 2**63)


class SpanConverter:
    """Converts span records for one backend.

    Args:
        content: Whether prompts, answers, arguments, results and texts of exceptions are sent.
        allow_attributes: The names of attributes that are sent even without content; see `ContentRule`.
        passes: Returns the share of similar spans that are sent; a span sent for a share carries it.
    """

    def __init__(
        self,
        *,
        content: bool,
        passes: Callable[[SpanRecord], float | None] | None = None,
        allow_attributes: Sequence[str] = (),
    ) -> None:
        self._content = content
        self._rule = ContentRule(allow_attributes)
        self._passes = passes
        self._limits = limits_from_environment()
        # Keyed by identity: spans of one process share the mapping, and hashing it would cost more than all the rest.
        self._resources: dict[int, tuple[Mapping[str, Any], Resource]] = {}

    def __call__(self, record: SpanRecord) -> ReadableSpan:
        """Return the span as the official exporters take it."""
        parent = None
        if record.parent_id:
            remote = is_remote_parent(record.parent_id)
            parent = SpanContext(record.trace_id, record.parent_id, remote, _SAMPLED, state_of(record.trace_id))
        return ReadableSpan(
            name=plain_text(record.name),
            context=SpanContext(record.trace_id, record.span_id, False, _SAMPLED, state_of(record.trace_id)),
            parent=parent,
            resource=self._resource(record.resource),
            # A plain dict: the SDK's mapping would evict all but 128 attributes.
            attributes=self._cut(self._attributes(record), self._limits.attributes),
            events=self._limits.latest(self._events(record), self._limits.events),
            links=self._limits.latest(self._links(record), self._limits.links),
            kind=_KIND.get(record.otel_kind, SpanKind.INTERNAL),
            status=self._status(record),
            start_time=record.start_ns,
            end_time=record.start_ns + record.duration_ns,
            instrumentation_scope=_scope(plain_text(record.scope)),
        )

    def _cut(self, attributes: dict[str, Any], count: int | None) -> Mapping[str, Any]:
        return self._limits.bounded(attributes, count) if self._limits else attributes

    def _attributes(self, record: SpanRecord) -> dict[str, Any]:
        made: dict[str, Any] = {}
        attributes = record.attributes or {}
        for key, value in (attributes if self._content else self._rule.attributes(attributes, record.scope)).items():
            if value is not None:
                made[plain_text(key)] = _value(value)
        made[names.KIND] = record.kind
        made.setdefault(_OPENINFERENCE_KIND, record.kind.upper())
        if record.status not in _STATUS and record.status != "unset":
            made[names.STATUS] = record.status
        if record.scope == SCOPE:
            _add_operation(made, record)
        if record.error_type:
            made.setdefault(names.ERROR_TYPE, plain_text(record.error_type))
        for name, other in _SAME:
            if name in made:
                made.setdefault(other, made[name])
        if names.COST in made:
            made.setdefault("operation.cost", made[names.COST])
        if record.stamp is not None:
            _add_stamp(made, record.stamp)
        if self._content:
            _add_content(made, record)
        share = None if self._passes is None else self._passes(record)
        if share is not None and share < 1.0:
            made["llmops.export.sample"] = share
        return made

    def _status(self, record: SpanRecord) -> Status:
        code = _STATUS.get(record.status, StatusCode.UNSET)
        if code is not StatusCode.ERROR:
            return Status(code)
        # The message of an exception may quote content; its class does not.
        text = record.status_message if self._content else record.error_type
        return Status(code, plain_text(text) if text else None)

    def _events(self, record: SpanRecord) -> list[OtelEvent]:
        made: list[OtelEvent] = []
        for name, time_ns, attributes in record.events or ():
            kept = attributes if self._content else self._rule.event(name, attributes, record.scope)
            is_verdict = name == names.EVENT_GUARD_VERDICT and record.scope == SCOPE
            sent_name = names.EVENT_GUARDRAIL_RESULT if is_verdict else plain_text(name)
            sent = _mapping(conventional_verdict(kept) if is_verdict else kept)
            made.append(OtelEvent(sent_name, self._cut(sent, self._limits.event_attributes), time_ns))
        return made

    def _links(self, record: SpanRecord) -> list[OtelLink]:
        made: list[OtelLink] = []
        for trace_id, span_id, attributes in record.links or ():
            kept = attributes if self._content else self._rule.attributes(attributes, record.scope)
            cut = self._cut(_mapping(kept), self._limits.link_attributes)
            made.append(OtelLink(SpanContext(trace_id, span_id, is_remote=False), cut))
        return made

    def _resource(self, attributes: Mapping[str, Any]) -> Resource:
        known = self._resources.get(id(attributes))
        if known is not None and known[0] is attributes:
            return known[1]
        resource = sdk_resource(attributes)
        if len(self._resources) >= 64:
            self._resources.clear()
        self._resources[id(attributes)] = (attributes, resource)
        return resource


def sdk_resource(attributes: Mapping[str, Any]) -> Resource:
    """Return the attributes of a process as OpenTelemetry's resource, with the project name that Phoenix reads."""
    # Not Resource.create: its detectors need a thread pool, which cannot start while the interpreter ends.
    merged = dict(attributes)
    merged.setdefault("service.name", "unknown_service")
    merged.setdefault("openinference.project.name", merged["service.name"])
    return Resource(_mapping(merged))


def own_scope() -> InstrumentationScope:
    """Return the instrumentation scope of this SDK."""
    return _scope(SCOPE)


@lru_cache(maxsize=256)
def _scope(name: str) -> InstrumentationScope:
    return InstrumentationScope(name, __version__ if name == SCOPE else None)


def _add_operation(made: dict[str, Any], record: SpanRecord) -> None:
    operation = _OPERATIONS.get(record.kind)
    if operation is None:
        return
    made.setdefault(names.OPERATION, operation)
    if record.kind == "tool":
        made.setdefault(names.TOOL_NAME, plain_text(record.name))
        made.setdefault(names.TOOL_TYPE, "function")
    elif record.kind == "agent":
        made.setdefault(names.AGENT_NAME, plain_text(record.name))


def _add_stamp(made: dict[str, Any], stamp: Stamp) -> None:
    for key, value in (
        (names.SESSION_ID, stamp.session_id),
        (names.CONVERSATION_ID, stamp.session_id),
        (names.USER_ID, stamp.user_id),
        (names.PROMPT_NAME, stamp.prompt_name),
        (names.PROMPT_VERSION, stamp.prompt_version),
    ):
        if value is not None:
            made.setdefault(key, plain_text(value))
    if stamp.tags:
        tags = [plain_text(tag) for tag in stamp.tags]
        made[names.TAGS] = tags
        made.setdefault("tag.tags", tags)
    if stamp.metadata:
        metadata = {plain_text(key): value for key, value in stamp.metadata.items()}
        for key, value in metadata.items():
            made[names.METADATA_PREFIX + key] = _value(value)
        made.setdefault("metadata", plain_text(_json(metadata)))


def _add_content(made: dict[str, Any], record: SpanRecord) -> None:
    # Phoenix shows the messages of a model's span, so `input.value` would only repeat them. The answer is needed
    # twice: without `output.value` Phoenix shows {"id", "model"} instead.
    if record.input is not None and names.INPUT_MESSAGES not in made and _INPUT not in made:
        made[_INPUT], made[_INPUT_TYPE] = _shown(record.input)
    # Ours, or another library's that follows the conventions and was stored: its attributes became input and output.
    conforms = record.scope == SCOPE or names.OPERATION in made
    if record.kind == "tool" and conforms:
        if record.input is not None:
            made.setdefault(names.TOOL_ARGUMENTS, record.input.decode("utf-8", "replace"))
        if record.output is not None:
            made.setdefault(names.TOOL_RESULT, record.output.decode("utf-8", "replace"))
    if record.kind == "retriever" and conforms:
        _add_retrieval(made, record)
    if _OUTPUT in made:
        return
    if record.output is not None:
        made[_OUTPUT], made[_OUTPUT_TYPE] = _shown(record.output)
    elif isinstance(made.get(names.OUTPUT_MESSAGES), str):
        made[_OUTPUT], made[_OUTPUT_TYPE] = _answer(made[names.OUTPUT_MESSAGES])


def _add_retrieval(made: dict[str, Any], record: SpanRecord) -> None:
    """Add the query, if there is one text among the arguments, and the documents: Phoenix shows only these."""
    asked: Any = None if record.input is None else json.loads(record.input)
    found: Any = None if record.output is None else json.loads(record.output)
    values = list(cast("dict[str, Any]", asked).values()) if isinstance(asked, dict) else [asked]
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) == 1:
        made.setdefault(names.RETRIEVAL_QUERY, plain_text(texts[0]))
    if isinstance(found, list):
        items = cast("list[Any]", found)
        documents: list[Any] = [item if isinstance(item, dict) else {"content": item} for item in items]
        made.setdefault(names.RETRIEVAL_DOCUMENTS, plain_text(_json(documents)))


def _shown(payload: bytes) -> tuple[str, str]:
    """Return a payload and its MIME type; a JSON string becomes plain text."""
    if payload[:1] == b'"':
        return plain_text(json.loads(payload)), "text/plain"
    return payload.decode("utf-8", "replace"), "application/json"


def _answer(messages: str) -> tuple[str, str]:
    """Return the text of the answer, or all messages if they hold anything else than text."""
    try:
        parts = [part for message in json.loads(messages) for part in message["parts"]]
        text = "".join(part["content"] for part in parts if part["type"] == "text")
        whole = all(part["type"] == "text" for part in parts)
    except (ValueError, TypeError, KeyError):
        return messages, "application/json"  # not in the form of the conventions
    return (plain_text(text), "text/plain") if parts and whole else (messages, "application/json")


def _mapping(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {plain_text(key): _value(value) for key, value in attributes.items() if value is not None}


def _value(value: Any) -> Any:
    """Return a value that protobuf can hold; other values become text."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if value in _INT64 else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return plain_text(_json(cast("Mapping[str, Any]", value)))
    if isinstance(value, Sequence):
        return _list(cast("Sequence[Any]", value))
    return plain_text(str(value))


def _list(values: Sequence[Any]) -> Any:
    items: list[Any] = [_value(item) for item in values if item is not None]
    types: set[type[Any]] = {type(item) for item in items}
    if list in types:
        return plain_text(_json(values))
    if len(types) > 1:
        # OpenTelemetry's lists hold one type; backends drop or misread mixed lists.
        convert: Callable[[Any], Any] = float if types <= {int, float} else _plain
        return [convert(item) for item in items]
    return items


def _plain(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def plain_text(text: str) -> str:
    """Return the text in valid Unicode: a lone surrogate becomes the replacement character."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
