"""What a request is answered, in the encoding that it came in, as the OTLP specification asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import orjson

from llmops_sdk.store.otlp._read import Encoding

__all__ = ["CONTENT_TYPES", "Signal", "Taken", "accepted", "refused"]

Signal: TypeAlias = Literal["traces", "logs"]

CONTENT_TYPES: dict[Encoding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}

# google.rpc.Code, for those who read the body; what counts is the HTTP status.
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 411: 3, 413: 8, 415: 3, 503: 14}


@dataclass(frozen=True, slots=True)
class Taken:
    """What has become of a request that was taken: how much of it could not be, and why."""

    rejected: int = 0
    message: str = ""


def accepted(signal: Signal, taken: Taken, encoding: Encoding) -> bytes:
    """The body of a 200: empty, or a partial success."""
    if encoding == "json":
        if not taken.rejected:
            return b"{}"
        name = "rejectedSpans" if signal == "traces" else "rejectedLogRecords"
        # As text, like every integer of 64 bits.
        return orjson.dumps({"partialSuccess": {name: str(taken.rejected), "errorMessage": taken.message}})
    if not taken.rejected:
        return b""
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTracePartialSuccess,
            ExportTraceServiceResponse,
        )

        partial = ExportTracePartialSuccess(rejected_spans=taken.rejected, error_message=taken.message)
        return ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
        ExportLogsPartialSuccess,
        ExportLogsServiceResponse,
    )

    some = ExportLogsPartialSuccess(rejected_log_records=taken.rejected, error_message=taken.message)
    return ExportLogsServiceResponse(partial_success=some).SerializeToString()


def refused(status: int, message: str, encoding: Encoding) -> bytes:
    """The body of an error: a `google.rpc.Status`."""
    code = _CODES.get(status, 2)
    if encoding == "json":
        return orjson.dumps({"code": code, "message": message})
    from google.rpc.status_pb2 import Status

    return Status(code=code, message=message).SerializeToString()
