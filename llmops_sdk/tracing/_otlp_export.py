"""One batch to an OTLP backend, through OpenTelemetry's official exporters. Knows nothing of queues and threads.

Imports `opentelemetry.sdk` and an exporter (0.25 to 0.75 s of CPU); it is itself imported on the exporting thread only.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing._otlp_convert import SpanConverter
from llmops_sdk.tracing._otlp_endpoint import Destination
from llmops_sdk.tracing._records import SpanRecord

if TYPE_CHECKING:
    import requests

__all__ = ["BatchExporter", "Outcome", "Verdict"]

_LOGGERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.exporter.otlp.proto.grpc.exporter")
_CREDENTIAL_PROVIDERS = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
)
# What the specification lets a client repeat; anything else in the 4xx and 5xx must not be sent again as it is.
_RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
_FINAL_GRPC = frozenset({
    "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "FAILED_PRECONDITION", "UNIMPLEMENTED",
    "INTERNAL", "UNAUTHENTICATED", "UNKNOWN",
})  # fmt: skip
_MAX_RETRY_AFTER = 300.0


class Verdict(Enum):
    """What a backend made of a batch."""

    TAKEN = "taken"
    LATER = "later"
    TOO_LARGE = "too_large"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one try to export a batch.

    Attributes:
        verdict: What is to be done with the batch.
        reason: Why it was not taken, for a person to read.
        lost: Spans of a batch that was taken which the backend rejected or which could not be converted.
        retry_after: Seconds that the backend asked to wait, or None.
    """

    verdict: Verdict
    reason: str = ""
    lost: int = 0
    retry_after: float | None = None


class BatchExporter:
    """Sends batches to one backend, from one thread.

    Args:
        destination: Where to, and what may leave.
    """

    def __init__(self, destination: Destination) -> None:
        self._convert = SpanConverter(content=destination.content)
        self._answer = _LastAnswer()
        self._exporter = _make_exporter(destination, self._answer)

    def export(self, records: Sequence[SpanRecord]) -> Outcome:
        """Send a batch, and say what became of it.

        Args:
            records: At most some hundred spans; a request must stay below what backends accept, commonly 4 MB.
        """
        spans: list[ReadableSpan] = []
        for record in records:
            span = guarded("the conversion of a span for export", None, self._convert, record)
            if span is not None:
                spans.append(span)
        unconverted = len(records) - len(spans)
        if not spans:
            return Outcome(verdict=Verdict.TAKEN, lost=unconverted)
        self._answer.clear()
        with _own_lines(self._answer):
            result = self._exporter.export(spans)
        return self._answer.outcome(taken=result is SpanExportResult.SUCCESS, unconverted=unconverted)

    def close(self) -> None:
        """Release the connection and end waiting; may be called from another thread."""
        self._exporter.shutdown()


class _LastAnswer:
    """What is known of the backend's last answer; the exporters themselves only say "success" or "failure"."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.http_status: int | None = None
        self.grpc_code: str | None = None
        self.reason = ""
        self.rejected = 0
        self.retry_after: float | None = None

    def see_response(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """A hook of `requests`: called with each response before the exporter has it."""
        self.http_status = response.status_code
        asked = response.headers.get("retry-after", "")
        self.retry_after = min(float(asked), _MAX_RETRY_AFTER) if asked.isdecimal() else None
        self.reason = f"HTTP {response.status_code} {response.reason or ''}".strip()
        if response.status_code == 200 and "protobuf" in response.headers.get("content-type", ""):
            self.rejected = _rejected(response.content)
        if self.http_status >= 500 and self.http_status not in _RETRYABLE_HTTP:
            # Exporters before 1.45 send again after any of the 5xx. This they take for a failure that is final.
            from requests import RequestException

            response.close()
            raise RequestException(self.reason, response=response)

    def see_log(self, record: logging.LogRecord) -> None:
        """A line that the exporter logged on our thread: it has the only account of a failed connection."""
        text = record.getMessage()
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, Enum) and isinstance(argument.value, tuple):
                self.grpc_code = argument.name  # a grpc.StatusCode
            elif isinstance(argument, Exception):
                text = f"{type(argument).__name__}: {argument}"
        # The first line says what happened, the last one only that there were no more tries. A URL's query may hold
        # a key.
        if not self.reason:
            self.reason = re.sub(r"\?[^\s)]+", "", text)[:300]

    def outcome(self, *, taken: bool, unconverted: int) -> Outcome:
        status = self.http_status
        if taken and status is not None and 300 <= status < 400:
            # The exporter takes a redirection, as to a login page, for a success.
            return Outcome(verdict=Verdict.REFUSED, reason=self.reason)
        if taken:
            return Outcome(verdict=Verdict.TAKEN, lost=self.rejected + unconverted)
        if status == 413:
            return Outcome(verdict=Verdict.TOO_LARGE, reason=self.reason)
        final = self.grpc_code in _FINAL_GRPC if status is None else status not in _RETRYABLE_HTTP
        verdict = Verdict.REFUSED if final else Verdict.LATER
        return Outcome(verdict=verdict, reason=self.reason, retry_after=self.retry_after)


@contextmanager
def _own_lines(answer: _LastAnswer) -> Generator[None]:
    """Keep what the exporter logs in this thread out of the application's log, and let `answer` see it.

    The application may use the same exporters itself, in other threads: its lines pass.
    """
    thread = threading.get_ident()

    def passes(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        answer.see_log(record)
        return False

    for name in _LOGGERS:
        logging.getLogger(name).addFilter(passes)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(passes)


def _make_exporter(destination: Destination, answer: _LastAnswer) -> SpanExporter:
    if destination.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

        headers = {key.lower(): value for key, value in destination.headers.items()}
        return GrpcSpanExporter(endpoint=destination.endpoint, headers=headers, timeout=destination.timeout)
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    session = None
    if not any(os.environ.get(name) for name in _CREDENTIAL_PROVIDERS):
        session = requests.Session()
        session.hooks["response"].append(answer.see_response)
    return OTLPSpanExporter(
        endpoint=destination.endpoint,
        headers=dict(destination.headers),
        timeout=destination.timeout,
        session=session,
    )


def _rejected(body: bytes) -> int:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        return ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
    except DecodeError:
        return 0
