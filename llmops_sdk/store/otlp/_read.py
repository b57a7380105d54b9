"""Decode OTLP requests for `import` and `collect`: protobuf and JSON, traces and logs."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from llmops_sdk.errors import OtlpDecodeError
from llmops_sdk.store.otlp._bounds import OversizedRequestError, check_json, check_protobuf
from llmops_sdk.store.otlp._details import DETAIL_EVENTS, DetailsBuilder
from llmops_sdk.store.otlp._records import span_record
from llmops_sdk.store.otlp._wire import Group, MalformedError, Reader, WireLog
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import SCOPE, RecordedSpan, ScoreRecord, SpanDetails
from llmops_sdk.tracing.records._span_kinds import CALLS

__all__ = ["Decoded", "Decoder", "Encoding"]

Encoding: TypeAlias = Literal["protobuf", "json"]

_MAX_RESOURCES = 16
_MAX_PROBLEMS = 5
_ELEMENTS_OF_A_SPAN = 10
_SHARED_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Decoded:
    """The contents of a request."""

    spans: list[RecordedSpan] = field(default_factory=list)
    scores: list[ScoreRecord] = field(default_factory=list)
    details: list[SpanDetails] = field(default_factory=list)
    """What log records say about spans, which may be in other requests."""
    rejected: int = 0
    """Unreadable spans or log records."""
    ignored: int = 0
    """Log records that are neither scores nor details."""
    problems: list[str] = field(default_factory=list)
    """The reasons of the first few rejections."""
    losses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Losses by what and reason."""

    def reject(self, where: str, error: MalformedError) -> None:
        """Count an item that cannot be read."""
        self.rejected += 1
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(f"{where}: {error}")

    def add_losses(self, what: str, before: int, reader: Reader) -> None:
        """Add the reader's losses, and the rejections beyond the first `before`."""
        if self.rejected > before:
            self.losses[what, "not_decodable"] = self.rejected - before
        self.losses += reader.losses
        reader.losses.clear()


class Decoder:
    """Decodes requests, in several threads at a time.

    The spans of one process share one resource mapping, also across requests. The encoder relies on it.
    """

    def __init__(self) -> None:
        self._resources: dict[str, Mapping[str, Any]] = {}

    def traces(self, body: bytes, encoding: Encoding, limit: int | None = None) -> Decoded:
        """Decode the spans of an `ExportTraceServiceRequest`. A span that cannot be read does not affect the others.

        Args:
            body: The request.
            encoding: Its encoding.
            limit: The number of elements that it may have, or None. With a limit, resources and scopes that many
                spans share may not take much more space once they are stored than the body.

        Raises:
            OtlpDecodeError: The body is not such a request.
            OversizedRequestError: It exceeds the limit.
        """
        _check(body, "traces", encoding, limit)
        reader, decoded = _reader(encoding), Decoded()
        groups = _bounded(_groups(reader.spans, body), len(body), limit)
        self._take_spans(reader, groups, decoded)
        return decoded

    def logs(self, body: bytes, encoding: Encoding, limit: int | None = None) -> Decoded:
        """Decode the scores and the details of spans in an `ExportLogsServiceRequest`.

        Scores are the events `gen_ai.evaluation.result`, details those of `DETAIL_EVENTS`.

        Args:
            body: The request.
            encoding: Its encoding.
            limit: The number of elements that it may have, or None.

        Raises:
            OtlpDecodeError: The body is not such a request.
            OversizedRequestError: It exceeds the limit.
        """
        _check(body, "logs", encoding, limit)
        reader, decoded = _reader(encoding), Decoded()
        _take_logs(reader, _bounded(_groups(reader.logs, body), len(body), limit), decoded)
        return decoded

    def loaded(self, request: object) -> Decoded:
        """Decode the spans and log records of a loaded JSON request.

        Args:
            request: The loaded JSON.

        Raises:
            OtlpDecodeError: The body is not such a request.
        """
        from llmops_sdk.store.otlp._read_json import JsonReader

        reader, decoded = JsonReader(), Decoded()
        self._take_spans(reader, _groups(reader.spans_in, request), decoded)
        _take_logs(reader, _groups(reader.logs_in, request), decoded)
        return decoded

    def _take_spans(self, reader: Reader, groups: Iterator[Group], decoded: Decoded) -> None:
        others: list[RecordedSpan] = []
        before = decoded.rejected
        for group in groups:
            resource = self._interned(group.resource)
            for number, item in enumerate(group.items):
                try:
                    span = reader.span(item)
                except MalformedError as error:
                    decoded.reject(f"{group.where}[{number}]", error)
                    continue
                has_kind = sc.KIND in span.attributes
                record = span_record(span, group.scope, resource)
                decoded.spans.append(record)
                if not has_kind and record.kind in CALLS:
                    others.append(record)
        _mark_inner_calls(others, decoded.spans)
        decoded.add_losses("span", before, reader)

    def _interned(self, resource: Mapping[str, Any]) -> Mapping[str, Any]:
        name = repr(resource)
        known = self._resources.get(name)
        if known is None:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            known = self._resources[name] = resource
        return known


def _take_logs(reader: Reader, groups: Iterator[Group], decoded: Decoded) -> None:
    builder = DetailsBuilder()
    for group in groups:
        for number, item in enumerate(group.items):
            event: str | None = None
            try:
                log = reader.log(item)
                event = log.event or _text(log.attributes.get("event.name"))
                if event == sc.EVENT_EVALUATION:
                    decoded.scores.append(_score(log, group.scope))
                elif event in DETAIL_EVENTS:
                    builder.add(log, event, group.scope)
                else:
                    decoded.ignored += 1
            except MalformedError as error:
                decoded.reject(f"{group.where}[{number}]", error)
                decoded.losses["detail" if event in DETAIL_EVENTS else "score", "not_decodable"] += 1
    decoded.details += builder.details()
    decoded.add_losses("log", decoded.rejected, reader)  # those of the reader: rejections are counted above


def _mark_inner_calls(others: list[RecordedSpan], spans: list[RecordedSpan]) -> None:
    """Turn a call below another library's span of the same call into a chain, so that it counts once."""
    if others:
        calls = {
            (span.trace_id, span.span_id)
            for span in spans
            if span.kind in CALLS and (span.scope != SCOPE or sc.OPERATION in (span.attributes or ()))
        }
        for span in others:
            if (span.trace_id, span.parent_id) in calls:
                span.kind = "chain"


def _check(body: bytes, signal: str, encoding: Encoding, limit: int | None) -> None:
    if limit is not None and encoding == "json":
        check_json(body, limit)
    elif limit is not None:
        check_protobuf(body, signal, limit)


def _bounded(groups: Iterator[Group], size: int, limit: int | None) -> Iterator[Group]:
    """Yield the groups; raise OversizedRequestError if their items would take too much time or space.

    A span costs as much as ten other elements, and each line of the store repeats its resource and scope.
    """
    items, room = (math.inf, math.inf) if limit is None else (limit // _ELEMENTS_OF_A_SPAN, _SHARED_BYTES + size)
    for group in groups:
        items -= len(group.items) + 1
        room -= 0 if limit is None else len(group.items) * (len(repr(group.resource)) + len(group.scope))
        if items < 0 or room < 0:
            what = "too many spans or log records" if items < 0 else "a resource or scope too large for so many spans"
            raise OversizedRequestError(f"{group.where}: {what} for a request of this size: send smaller batches")
        yield group


def _reader(encoding: Encoding) -> Reader:
    if encoding == "json":
        from llmops_sdk.store.otlp._read_json import JsonReader

        return JsonReader()
    from llmops_sdk.store.otlp._read_protobuf import ProtoReader

    return ProtoReader()


def _groups(read: Callable[[Any], Iterator[Group]], request: object) -> Iterator[Group]:
    try:
        yield from read(request)
    except MalformedError as error:
        raise OtlpDecodeError(f"not a valid OTLP request: {error}") from error


def _score(log: WireLog, scope: str) -> ScoreRecord:
    session_id = None if log.trace_id or log.span_id else _text(log.attributes.get(sc.SESSION_ID))
    if not log.trace_id and not log.span_id and not session_id:
        raise MalformedError("an evaluation needs the id of a trace, a span or a session")
    name, value = log.attributes.get(sc.EVALUATION_NAME), log.attributes.get(sc.EVALUATION_VALUE)
    if not isinstance(name, str) or not name:
        raise MalformedError(f"an evaluation needs {sc.EVALUATION_NAME}")
    return ScoreRecord(
        trace_id=f"{log.trace_id:032x}" if log.trace_id else None,
        span_id=f"{log.span_id:016x}" if log.span_id else None,
        session_id=session_id,
        document_id=_text(log.attributes.get(sc.SCORE_DOCUMENT)),
        name=name,
        value=_number(value),
        label=_text(log.attributes.get(sc.EVALUATION_LABEL)),
        comment=_text(log.attributes.get(sc.EVALUATION_EXPLANATION)),
        source=_text(log.attributes.get(sc.SCORE_SOURCE)) or scope or "otlp",
        time_ns=log.time_ns or time.time_ns(),
    )


def _number(value: Any) -> float | None:
    if not isinstance(value, (bool, int, float)) or abs(value) > sys.float_info.max:
        return None
    return None if math.isnan(value) else float(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
