"""Send one batch to a backend or the console through OpenTelemetry's official exporters, without queue or thread.

This module imports `opentelemetry.sdk` and an exporter (0.25 to 0.75 s of CPU); only the exporting thread imports it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk.export._destinations import Destination, Signal
from llmops_sdk.export._exporters import make_exporter
from llmops_sdk.export._outcome import DeliveryStatus, Outcome
from llmops_sdk.export._reasons import Mask, short_reason
from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

if TYPE_CHECKING:
    import requests

__all__ = ["BatchExporter", "LastResponse", "exporter_log_filter"]

_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
# The specification allows a retry after these. After other 4xx and 5xx the client must not send the same again.
_RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
_FINAL_GRPC = frozenset({
    "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "FAILED_PRECONDITION", "UNIMPLEMENTED",
    "INTERNAL", "UNAUTHENTICATED", "UNKNOWN",
})  # fmt: skip
# The answers of backends without support for metrics or logs, such as Phoenix and MLflow.
_UNSUPPORTED = frozenset({404, 405, 415, 501, "UNIMPLEMENTED"})
_MAX_RETRY_AFTER = 300.0


class BatchExporter:
    """Sends batches to one backend, from one thread."""

    def __init__(self, destination: Destination) -> None:
        self._response = LastResponse(destination)
        self._convert = _converter(destination)
        self._exporter: Any = make_exporter(destination, self._response)

    def export(self, records: Sequence[SpanRecord | ScoreRecord]) -> Outcome:
        """Send a batch and return the outcome.

        Args:
            records: At most a few hundred: backends commonly accept requests up to 4 MB.
        """
        converted: list[Any] = []
        for record in records:
            made = guarded("the conversion of a record for export", None, self._convert, record)
            if made is not None:
                converted.append(made)
        unconverted = len(records) - len(converted)
        if not converted:
            return Outcome(status=DeliveryStatus.ACCEPTED, lost=unconverted)
        self._response.clear()
        with exporter_log_filter(self._response):
            # The library's error may quote a header: only its masked text is logged.
            succeeded = False
            with Caught() as caught:
                succeeded = self._exporter.export(converted).name == "SUCCESS"
            if caught.error is not None:
                self._response.see_failure(caught.error)
        return self._response.outcome(succeeded=succeeded, unconverted=unconverted)

    def close(self) -> None:
        """Release the connection and stop waiting. Any thread may call this."""
        self._exporter.shutdown()


class LastResponse:
    """The details of the backend's last response; the exporters only return "success" or "failure"."""

    def __init__(self, destination: Destination) -> None:
        self._signal: Signal = destination.signal
        self._mask = Mask(destination)
        self.clear()

    def clear(self) -> None:
        self.http_status: int | None = None
        self.grpc_code: str | None = None
        self.reason = ""
        self.rejected = 0
        self._final = False
        self.retry_after: float | None = None

    def see_error(self, error: Exception) -> None:
        """Record an error while writing to the console; a retry would not help."""
        self.reason, self._final = f"{type(error).__name__}: {error}", True

    def see_failure(self, error: BaseException) -> None:
        """Record an error that the exporter raised. One about the request itself, such as a bad header, is final."""
        if not self.reason:
            self.reason = f"{type(error).__name__}: {short_reason(self._mask(str(error)))}"
        self._final = isinstance(error, ValueError)

    def see_response(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Record an HTTP response; a hook of `requests`, called before the exporter sees it."""
        self.http_status = response.status_code
        asked = response.headers.get("retry-after", "")
        self.retry_after = min(float(asked), _MAX_RETRY_AFTER) if asked.isdecimal() else None
        self.reason = f"HTTP {response.status_code} {response.reason or ''}".strip()
        if response.status_code == 200 and "protobuf" in response.headers.get("content-type", ""):
            self.rejected = _rejected(self._signal, response.content)
        if self.http_status >= 500 and self.http_status not in _RETRYABLE_HTTP:
            # Exporters before 1.45 retry after any 5xx. They treat this exception as final.
            from requests import RequestException

            response.close()
            raise RequestException(self.reason, response=response)

    def see_log(self, record: logging.LogRecord) -> None:
        """Record a log line of the exporter: only the log describes a failed connection."""
        text = record.getMessage()
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, Enum) and isinstance(argument.value, tuple):
                self.grpc_code = argument.name  # a grpc.StatusCode
            elif isinstance(argument, Exception):
                text = str(argument)
                self._final = self._final or isinstance(argument, ValueError)  # the request itself is not valid
        # The first line tells the cause, the last one only that the exporter gave up.
        if not self.reason:
            self.reason = short_reason(self._mask(text))

    def outcome(self, *, succeeded: bool, unconverted: int) -> Outcome:
        """Return the outcome of an export that the exporter called a success or a failure."""
        http_status = self.http_status
        if succeeded and http_status is not None and 300 <= http_status < 400:
            # The exporter counts a redirect, for example to a login page, as a success.
            return Outcome(status=DeliveryStatus.REFUSED, reason=self.reason)
        if succeeded:
            return Outcome(status=DeliveryStatus.ACCEPTED, lost=self.rejected + unconverted)
        if self._signal != "traces" and not _UNSUPPORTED.isdisjoint({http_status, self.grpc_code}):
            return Outcome(status=DeliveryStatus.UNSUPPORTED, reason=self.reason)
        if http_status == 413:
            return Outcome(status=DeliveryStatus.TOO_LARGE, reason=self.reason)
        final = self.grpc_code in _FINAL_GRPC if http_status is None else http_status not in _RETRYABLE_HTTP
        status = DeliveryStatus.REFUSED if final or self._final else DeliveryStatus.RETRY
        return Outcome(status=status, reason=self.reason, retry_after=self.retry_after)


@contextmanager
def exporter_log_filter(response: LastResponse) -> Generator[None]:
    """Keep the exporter's log lines out of the application's log, and pass them to `response`.

    This applies to the current thread: the application may use the same exporters in other threads.
    """
    thread = threading.get_ident()

    def passes(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        response.see_log(record)
        return False

    for name in _LOGGERS:
        # First of all: a filter of the exporter's own drops a line that repeats the last one, and we would not see it.
        logging.getLogger(name).filters.insert(0, passes)
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

    return SpanConverter(
        content=destination.content, passes=destination.passes, allow_attributes=destination.allow_attributes
    )


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
