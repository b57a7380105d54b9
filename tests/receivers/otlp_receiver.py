"""OTLP backends on loopback, made of `opentelemetry-proto`: one that works, one with scripted answers, one that hangs.

with OtlpReceiver() as backend:
    ...  # send to backend.url
    spans = backend.wait_for(2)
    assert spans[0].attributes["gen_ai.request.model"] == "offline/echo"
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_service
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_service_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_service_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_service_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

__all__ = [
    "BlackHole",
    "GrpcOtlpReceiver",
    "OtlpReceiver",
    "ReceivedLog",
    "ReceivedPoint",
    "ReceivedSpan",
    "Reply",
    "unused_port",
]

_DEADLINE = 30.0


@dataclass(frozen=True)
class ReceivedSpan:
    """A received span, with plain Python values."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    status: str
    message: str
    attributes: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]
    links: list[tuple[str, str, dict[str, Any]]]
    resource: dict[str, Any]
    scope: str
    scope_version: str


@dataclass(frozen=True)
class ReceivedLog:
    """A received log record."""

    event: str
    time_ns: int
    trace_id: str
    span_id: str
    severity: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str


@dataclass(frozen=True)
class ReceivedPoint:
    """A received point of a histogram."""

    metric: str
    unit: str
    attributes: dict[str, Any]
    count: int
    sum: float
    bounds: list[float]
    buckets: list[int]
    resource: dict[str, Any]
    scope: str


@dataclass(frozen=True)
class Reply:
    """A response that the receiver sends instead of accepting a request."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    takes: bool = False
    """Whether the receiver stores the spans even so."""


class _Received:
    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.logs: list[ReceivedLog] = []
        self.exports: list[list[ReceivedPoint]] = []
        """The points of each export of metrics."""
        self.counters: dict[str, list[tuple[dict[str, Any], int]]] = {}
        """The attributes and values of each counter, in the latest export."""
        self.refused = 0
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.clients: list[int] = []
        """The port that each request came from."""
        self._arrived = threading.Condition()

    def points(self, metric: str) -> list[ReceivedPoint]:
        """Return the points of one metric in the latest export."""
        return [point for point in (self.exports[-1] if self.exports else []) if point.metric == metric]

    def requests(self, signal: str) -> int:
        """Return the number of requests for a signal."""
        return sum(path.endswith(f"/{signal}") for path in self.paths)

    def take(self, path: str, headers: dict[str, str], body: bytes, message: Any) -> None:
        with self._arrived:
            self.paths.append(path)
            self.headers.append(headers)
            self.bodies.append(body)
            if message is None:
                self.refused += 1
            elif isinstance(message, metrics_service.ExportMetricsServiceRequest):
                self.exports.append(_points(message))
                self.counters = _counters(message)
            elif isinstance(message, logs_service.ExportLogsServiceRequest):
                self.logs.extend(_logs(message))
            else:
                self.spans.extend(_spans(message))
            self._arrived.notify_all()

    def wait_for(self, count: int) -> list[ReceivedSpan]:
        """Wait for `count` spans, and return all."""
        self.wait_until(lambda: len(self.spans) >= count, f"{count} spans")
        return list(self.spans)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds."""
        with self._arrived:
            if not self._arrived.wait_for(condition, _DEADLINE):
                raise AssertionError(f"{what} did not arrive: {len(self.spans)} spans, {len(self.bodies)} requests")

    def everything(self) -> bytes:
        """Return all received bytes, to search them for secrets."""
        head = "\n".join(f"{name}: {value}" for headers in self.headers for name, value in headers.items())
        return head.encode() + b"".join(self.bodies)


class OtlpReceiver(_Received):
    """An OTLP/HTTP backend.

    Args:
        replies: Responses to the first requests; None accepts a request.
        port: The port; 0 for any free port.
        tls: Serves HTTPS with this context.
        refuse: Unsupported signals ("metrics", "logs"), as with Phoenix, and the status of the response.
    """

    def __init__(
        self,
        replies: Sequence[Reply | None] = (),
        *,
        port: int = 0,
        refuse: Mapping[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__()
        self._refused_paths = {f"/v1/{signal}": Reply(status) for signal, status in (refuse or {}).items()}
        self._replies = list(replies)
        self.always: Reply | None = None
        """The response to every request, unless None."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._answer(self, body)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        reply = self._replies.pop(0) if self._replies else self.always or self._refused_paths.get(request.path)
        kind = _KINDS.get(request.path)
        if reply is None and kind is None:
            reply = Reply(404)
        self.clients.append(request.client_address[1])
        message = (kind or trace_service.ExportTraceServiceRequest).FromString(body)
        taken = reply is None or reply.takes
        self.take(request.path, dict(request.headers.items()), body, message if taken else None)
        content = b"" if reply is None else reply.body
        request.send_response(200 if reply is None else reply.status)
        for name, value in (reply.headers if reply else {}).items():
            request.send_header(name, value)
        request.send_header("Content-Type", "application/x-protobuf")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class GrpcOtlpReceiver(_Received):
    """An OTLP/gRPC backend.

    Args:
        codes: Status codes of the responses to the first requests.
        traces_only: Whether metrics and logs are unsupported.
    """

    def __init__(self, codes: Sequence[grpc.StatusCode] = (), *, traces_only: bool = False) -> None:
        super().__init__()
        self._codes = list(codes)
        self._server = grpc.server(ThreadPoolExecutor(2))
        traces, metrics, logs = trace_service_grpc, metrics_service_grpc, logs_service_grpc
        taken = _servicer(self, traces.TraceServiceServicer, trace_service.ExportTraceServiceResponse)
        traces.add_TraceServiceServicer_to_server(taken, self._server)
        if not traces_only:
            taken = _servicer(self, metrics.MetricsServiceServicer, metrics_service.ExportMetricsServiceResponse)
            metrics.add_MetricsServiceServicer_to_server(taken, self._server)
            taken = _servicer(self, logs.LogsServiceServicer, logs_service.ExportLogsServiceResponse)
            logs.add_LogsServiceServicer_to_server(taken, self._server)
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def answer(self, request: Any, context: Any, response: Any) -> Any:
        """Accept a request, or refuse it as the test asked."""
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        code = self._codes.pop(0) if self._codes else None
        self.take("grpc", metadata, request.SerializeToString(), None if code else request)
        if code is not None:
            context.abort(code, "as the test asked")
        return response

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()


def _servicer(receiver: GrpcOtlpReceiver, base: type[Any], response: type[Any]) -> Any:
    class Servicer(base):
        def Export(self, request, context):
            return receiver.answer(request, context, response())

    return Servicer()


class BlackHole:
    """Takes connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._connections: list[socket.socket] = []

    def accept_request(self) -> bytes:
        """Return the start of the oldest request, without answering it."""
        self._socket.settimeout(_DEADLINE)
        connection, _ = self._socket.accept()
        self._connections.append(connection)
        return connection.recv(1_024)

    def __enter__(self) -> Self:
        # The kernel completes connections up to the backlog, without `accept`.
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._socket, *self._connections):
            each.close()


def unused_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_until(condition: Callable[[], bool], what: str, deadline: float = _DEADLINE) -> None:
    """Poll a condition that has no event to wait for."""
    end = time.monotonic() + deadline
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline:g} s")
        pause.wait(0.01)


_KINDS: dict[str, Any] = {
    "/v1/traces": trace_service.ExportTraceServiceRequest,
    "/v1/metrics": metrics_service.ExportMetricsServiceRequest,
    "/v1/logs": logs_service.ExportLogsServiceRequest,
}


def _logs(message: logs_service.ExportLogsServiceRequest) -> list[ReceivedLog]:
    return [
        ReceivedLog(
            event=record.event_name,
            time_ns=record.time_unix_nano,
            trace_id=record.trace_id.hex(),
            span_id=record.span_id.hex(),
            severity=record.severity_number,
            attributes=_attributes(record.attributes),
            resource=_attributes(resource_logs.resource.attributes),
            scope=scope_logs.scope.name,
        )
        for resource_logs in message.resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]


def _points(message: metrics_service.ExportMetricsServiceRequest) -> list[ReceivedPoint]:
    return [
        ReceivedPoint(
            metric=metric.name,
            unit=metric.unit,
            attributes=_attributes(point.attributes),
            count=point.count,
            sum=point.sum,
            bounds=list(point.explicit_bounds),
            buckets=list(point.bucket_counts),
            resource=_attributes(resource_metrics.resource.attributes),
            scope=scope_metrics.scope.name,
        )
        for resource_metrics in message.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        for point in metric.histogram.data_points
    ]


def _counters(message: metrics_service.ExportMetricsServiceRequest) -> dict[str, list[tuple[dict[str, Any], int]]]:
    return {
        metric.name: [(_attributes(point.attributes), point.as_int) for point in metric.sum.data_points]
        for resource_metrics in message.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        if metric.sum.is_monotonic
    }


def _spans(message: trace_service.ExportTraceServiceRequest) -> list[ReceivedSpan]:
    found: list[ReceivedSpan] = []
    for resource_spans in message.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            found += [_span(span, resource, scope_spans.scope) for span in scope_spans.spans]
    return found


def _span(span: ProtoSpan, resource: dict[str, Any], scope: Any) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=("unset", "ok", "error")[span.status.code],
        message=span.status.message,
        attributes=_attributes(span.attributes),
        events=[(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events],
        links=[(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links],
        resource=resource,
        scope=scope.name,
        scope_version=scope.version,
    )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, which) if which else None
