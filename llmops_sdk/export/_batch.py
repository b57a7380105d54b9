"""One batch to a backend or the console, through OpenTelemetry's official exporters. Knows no queues and threads.

Imports `opentelemetry.sdk` and an exporter (0.25 to 0.75 s of CPU); it is itself imported on the exporting thread only.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._guard import guarded
from llmops_sdk.export._destinations import Destination, Signal
from llmops_sdk.export._exporters import make_exporter
from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

if TYPE_CHECKING:
    import requests

__all__ = ["BatchExporter", "LastAnswer", "Outcome", "Verdict", "own_lines"]

_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
# What the specification lets a client repeat; anything else in the 4xx and 5xx must not be sent again as it is.
_RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
_FINAL_GRPC = frozenset({
    "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "FAILED_PRECONDITION", "UNIMPLEMENTED",
    "INTERNAL", "UNAUTHENTICATED", "UNKNOWN",
})  # fmt: skip
# What a backend without a place for metrics or logs answers, Phoenix and MLflow for two.
_UNSUPPORTED = frozenset({404, 405, 415, 501, "UNIMPLEMENTED"})
_MAX_RETRY_AFTER = 300.0


class Verdict(Enum):
    """What a backend made of a batch."""

    TAKEN = "taken"
    LATER = "later"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one try to export a batch.

    Attributes:
        verdict: What is to be done with the batch.
        reason: Why it was not taken, for a person to read.
        lost: Records of a batch that was taken which the backend rejected or which could not be converted.
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
        self._answer = LastAnswer(destination)
        self._convert = _converter(destination)
        self._exporter: Any = make_exporter(destination, self._answer)

    def export(self, records: Sequence[SpanRecord | ScoreRecord]) -> Outcome:
        """Send a batch, and say what became of it.

        Args:
            records: At most some hundred; a request must stay below what backends accept, commonly 4 MB.
        """
        converted: list[Any] = []
        for record in records:
            made = guarded("the conversion of a record for export", None, self._convert, record)
            if made is not None:
                converted.append(made)
        unconverted = len(records) - len(converted)
        if not converted:
            return Outcome(verdict=Verdict.TAKEN, lost=unconverted)
        self._answer.clear()
        with own_lines(self._answer):
            result = self._exporter.export(converted)
        return self._answer.outcome(taken=result.name == "SUCCESS", unconverted=unconverted)

    def close(self) -> None:
        """Release the connection and end waiting; may be called from another thread."""
        self._exporter.shutdown()


class LastAnswer:
    """What is known of the backend's last answer; the exporters themselves only say "success" or "failure"."""

    def __init__(self, destination: Destination) -> None:
        self._signal: Signal = destination.signal
        self.clear()

    def clear(self) -> None:
        self.http_status: int | None = None
        self.grpc_code: str | None = None
        self.reason = ""
        self.rejected = 0
        self._final = False
        self.retry_after: float | None = None

    def see_error(self, error: Exception) -> None:
        """What writing to the console raised: it will not be better at the next try."""
        self.reason, self._final = f"{type(error).__name__}: {error}", True

    def see_response(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """A hook of `requests`: called with each response before the exporter has it."""
        self.http_status = response.status_code
        asked = response.headers.get("retry-after", "")
        self.retry_after = min(float(asked), _MAX_RETRY_AFTER) if asked.isdecimal() else None
        self.reason = f"HTTP {response.status_code} {response.reason or ''}".strip()
        if response.status_code == 200 and "protobuf" in response.headers.get("content-type", ""):
            self.rejected = _rejected(self._signal, response.content)
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
        if self._signal != "traces" and not _UNSUPPORTED.isdisjoint({status, self.grpc_code}):
            return Outcome(verdict=Verdict.UNSUPPORTED, reason=self.reason)
        if status == 413:
            return Outcome(verdict=Verdict.TOO_LARGE, reason=self.reason)
        final = self.grpc_code in _FINAL_GRPC if status is None else status not in _RETRYABLE_HTTP
        verdict = Verdict.REFUSED if final or self._final else Verdict.LATER
        return Outcome(verdict=verdict, reason=self.reason, retry_after=self.retry_after)


@contextmanager
def own_lines(answer: LastAnswer) -> Generator[None]:
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


def _converter(destination: Destination) -> Callable[[Any], Any]:
    if destination.signal == "logs":
        from llmops_sdk.export._scores import ScoreConverter

        return ScoreConverter(content=destination.content, resource=destination.resource())
    from llmops_sdk.tracing.interop._convert import SpanConverter

    return SpanConverter(content=destination.content, passes=destination.passes)


def _rejected(signal: Signal, body: bytes) -> int:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        if signal == "traces":
            return ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
        if signal == "logs":
            return ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records
        return ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points
    except DecodeError:
        return 0
