"""A program that sends batches of spans to a collector and says after each how many were answered 200.

load_sender.py URL NAME BATCHES SPANS_A_BATCH; BATCHES 0 is without end. A batch that is answered 503 is sent again.
"""

from __future__ import annotations

import http.client
import sys
import time
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def batch(name: str, first: int, size: int) -> bytes:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = name
    spans = group.scope_spans.add().spans
    for number in range(first, first + size):
        span = spans.add(trace_id=name.encode().rjust(16, b"\1")[-16:], span_id=number.to_bytes(8, "big"), name="work",
                         start_time_unix_nano=1_795_000_000_000_000_000 + number,
                         end_time_unix_nano=1_795_000_000_001_000_000 + number)  # fmt: skip
        for key, value in (("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "m"), ("note", "x" * 300)):
            span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


def main() -> None:
    url, name, batches, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    sent = 0
    while not batches or sent < batches:
        body = batch(name, 1 + sent * size, size)
        begin = time.perf_counter()
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        response = connection.getresponse()
        response.read()
        if response.status == 503:
            continue
        assert response.status == 200, response.status
        sent += 1
        print(sent * size, time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
