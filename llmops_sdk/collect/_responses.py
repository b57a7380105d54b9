"""Response bodies in the encoding of the request, as the OTLP specification requires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import orjson

from llmops_sdk.store.otlp._read import Encoding

__all__ = ["CONTENT_TYPES", "IntakeResult", "Signal", "error_body", "success_body"]

Signal: TypeAlias = Literal["traces", "logs"]

CONTENT_TYPES: dict[Encoding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}

# Codes of google.rpc.Code by HTTP status.
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 411: 3, 413: 8, 415: 3, 503: 14}


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """The result of an accepted request: how many of its records were rejected, and why."""

    rejected: int = 0
    message: str = ""


def success_body(signal: Signal, result: IntakeResult, encoding: Encoding) -> bytes:
    """Return the body of a 200: empty, or a partial success."""
    if encoding == "json":
        if not result.rejected:
            return b"{}"
        name = "rejectedSpans" if signal == "traces" else "rejectedLogRecords"
        # Protobuf's JSON mapping has 64-bit integers as strings.
        return orjson.dumps({"partialSuccess": {name: str(result.rejected), "errorMessage": result.message}})
    if not result.rejected:
        return b""
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTracePartialSuccess,
            ExportTraceServiceResponse,
        )

        partial = ExportTracePartialSuccess(rejected_spans=result.rejected, error_message=result.message)
        return ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
        ExportLogsPartialSuccess,
        ExportLogsServiceResponse,
    )

    partial_logs = ExportLogsPartialSuccess(rejected_log_records=result.rejected, error_message=result.message)
    return ExportLogsServiceResponse(partial_success=partial_logs).SerializeToString()


def error_body(status: int, message: str, encoding: Encoding) -> bytes:
    """Return the body of an error, a `google.rpc.Status`."""
    code = _CODES.get(status, 2)
    if encoding == "json":
        return orjson.dumps({"code": code, "message": message})
    from google.rpc.status_pb2 import Status

    return Status(code=code, message=message).SerializeToString()
