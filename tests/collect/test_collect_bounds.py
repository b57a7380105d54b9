"""A small request does not cost much: elements are counted before they are decoded, and idle senders make room."""

from __future__ import annotations

import gzip
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from collect_client import answer_of, connect
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmops_sdk.collect import Collector, Limits
from llmops_sdk.store.otlp._bounds import OversizedRequestError, check_json, check_protobuf

pytestmark = pytest.mark.redteam

SPAN = {"traceId": "1" * 32, "spanId": "2" * 16, "name": "a", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}


def scoped(spans: str, scope: str = "{}", resource: str = "{}") -> bytes:
    inner = f'{{"scope":{scope},"spans":[{spans}]}}'
    return f'{{"resourceSpans":[{{"resource":{resource},"scopeSpans":[{inner}]}}]}}'.encode()


def of_span(name: str, item: str, size: int) -> bytes:
    more = json.dumps(SPAN)[:-1]
    return scoped(f'{more},"{name}":[{",".join([item] * max(size // len(item), 1))}]}}')


def attribute(value: str) -> str:
    return f'{{"key":"k","value":{value}}}'


def request(fill: Callable[[ExportTraceServiceRequest], object]) -> bytes:
    made = ExportTraceServiceRequest()
    fill(made)
    return made.SerializeToString()


def span_of(made: ExportTraceServiceRequest):
    return made.resource_spans.add().scope_spans.add().spans.add(trace_id=b"1" * 16, span_id=b"2" * 8, name="a")


def many(count: int, add: Callable[[], object]) -> None:
    for _ in range(count):
        add()


N = 400_000
JSON = {
    "spans": scoped(",".join([json.dumps(SPAN)] * (N // 20))),
    "empty spans": scoped(",".join(["{}"] * N)),
    "events": of_span("events", "{}", 3 * N),
    "links": of_span("links", "{}", 3 * N),
    "attributes": of_span("attributes", attribute('{"boolValue":true}'), 20 * N),
    "values": of_span("attributes", attribute('{"arrayValue":{"values":[' + ",".join(["{}"] * N) + "]}}"), 9 * N),
    "groups": b'{"resourceSpans":[' + b"{}," * N + b"{}]}",
    "lists in an unknown field": b'{"x":[' + b"[]," * N + b"0]}",
    "numbers in an unknown field": b'{"x":[' + b"1.5," * (3 * N) + b"0]}",
    "a large scope": scoped(",".join([json.dumps(SPAN)] * 2_000), scope='{"name":"' + "abc " * 30_000 + '"}'),
    "a large resource": scoped(
        ",".join([json.dumps(SPAN)] * 2_000),
        resource='{"attributes":[' + attribute('{"stringValue":"' + "abc " * 30_000 + '"}') + "]}",
    ),
    "messages": scoped(json.dumps({**SPAN, "attributes": [
        {"key": "gen_ai.input.messages", "value": {"stringValue": "[" + "{}," * N + "{}]"}}
    ]})),
    "long keys": scoped(json.dumps({**SPAN, "name": '"sk-aaaa' * (N // 8)})),
}  # fmt: skip
PROTOBUF = {
    "spans": request(
        lambda r: (s := r.resource_spans.add().scope_spans.add().spans, [
            s.add(trace_id=b"1" * 16, span_id=b"2" * 8) for _ in range(N // 20)
        ])
    ),
    "events": request(lambda r: many(N, span_of(r).events.add)),
    "links": request(lambda r: many(N, span_of(r).links.add)),
    "attributes": request(lambda r: many(N, span_of(r).attributes.add)),
    "values": request(lambda r: many(N, span_of(r).attributes.add(key="k").value.array_value.values.add)),
    "groups": request(lambda r: many(N, r.resource_spans.add)),
    "fields": b"\x08\x01" * (4 * N),
}  # fmt: skip
BODIES = {
    **{f"{name} in JSON": ("json", body) for name, body in JSON.items()},
    **{f"{name} in protobuf": ("protobuf", body) for name, body in PROTOBUF.items()},
}

MEASURE = """
import gzip, resource, sys, tempfile, time
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from llmops_sdk.collect import Collector
from llmops_sdk.collect._refusal import RefusedError
import llmops_sdk.store.otlp._read_json, llmops_sdk.store.otlp._read_protobuf
encoding, coding = sys.argv[1:]
body = sys.stdin.buffer.read()
collector = Collector(path=tempfile.mkdtemp(), port=0)
collector.take("traces", b'{"resourceSpans":[]}', "", "json")
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = time.process_time()
try:
    collector.take("traces", body, coding, encoding)
    status = 200
except RefusedError as error:
    status = error.status
used = time.process_time() - before
start = time.process_time()
for _ in range(200):
    sorted(str(number) for number in range(500))
unit = time.process_time() - start
print(status, used / unit, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
"""
# The unit, 100,000 small calls, makes the bound independent of the machine's speed.
MAX_UNITS = 150
MAX_KB = 120_000


COMPRESSED = ("events in JSON", "events in protobuf", "a large resource in JSON", "spans in protobuf")
CASES = [*((name, "") for name in BODIES), *((name, "gzip") for name in COMPRESSED)]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "coding"), CASES)
def test_hostile_request_costs_bounded_cpu_and_memory(name: str, coding: str) -> None:
    encoding, body = BODIES[name]
    sent = gzip.compress(body) if coding else body
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, encoding, coding], input=sent, capture_output=True, check=False, timeout=100
    )
    status, units, kilobytes = ran.stdout.split() or [ran.stderr] * 3
    assert int(status) in {200, 413}
    assert float(units) < MAX_UNITS
    assert int(kilobytes) < MAX_KB


def test_ordinary_batches_are_within_the_bounds() -> None:
    text = json.dumps({"tool": [{"a": [1, 2]}] * 50}) * 20  # braces in texts are not elements
    attributes = [{"key": f"k{number}", "value": {"stringValue": text}} for number in range(40)]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{**SPAN, "attributes": attributes}]}]}]}).encode()
    assert body.count(b"{") > 40_000
    check_json(body, 200)
    made = ExportTraceServiceRequest()
    span_of(made).attributes.add(key="k").value.string_value = '\n"*Jjz' * 10_000
    check_protobuf(made.SerializeToString(), "traces", 10)


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 500_000, b'"' + b"\\" * 999_999, b'{"a":"' + b'\\\\"' * 300_000])
def test_open_strings_are_counted_in_linear_time(body: bytes) -> None:
    before = time.process_time()
    check_json(b"{" * 11 + body, 1_000_000)
    with pytest.raises(OversizedRequestError):
        check_json(b"{" * 11 + body, 10)
    assert time.process_time() - before < 2.0


@pytest.mark.parametrize("tag", [b"\x5a", b"\xda\x00", b"\xda\x80\x00", b"\xda\x80\x80\x80\x00"])
def test_longer_spellings_of_a_tag_count_as_well(tag: bytes) -> None:
    def wrap(number: int, content: bytes) -> bytes:
        size = len(content)
        length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
        return bytes([number << 3 | 2]) + length + content

    body = wrap(1, wrap(2, wrap(2, (tag + b"\x00") * 5_000)))
    with pytest.raises(OversizedRequestError):
        check_protobuf(body, "traces", 1_000)
    check_protobuf(body, "traces", 6_000)


def idle(collector: Collector, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2])))
    connection.sendall(sent)
    return connection


@pytest.mark.parametrize("sent", [b"", b"POST /v1/traces HT"], ids=["idle", "stalled"])
def test_waiting_connections_make_room(tmp_path: Path, sent: bytes) -> None:
    limits = Limits(connections=4, idle_seconds=600.0, request_seconds=600.0)
    with Collector(path=tmp_path / "store", port=0, limits=limits) as collector, ExitStack() as stack:
        others = [stack.enter_context(idle(collector, sent)) for _ in range(4)]
        deadline = time.monotonic() + 60
        while not is_answered(collector):
            assert time.monotonic() < deadline, "no connection made room"
        closed, _, _ = select.select(others, [], [], 30)
        assert len(closed) >= 1
        assert [one.recv(1) for one in closed] == [b""] * len(closed)


def is_answered(collector: Collector) -> bool:
    connection = connect(collector)
    try:
        connection.request("GET", "/healthz")
        return answer_of(connection).status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize(
    "host",
    ["[::1].evil.com", "[::1].evil.com:80", "127.0.0.1:80.evil.com", "localhost:evil", "[::1", "[localhost]",
     "[[::1]]", "127.0.0.1.evil.com", "localhost.evil.com", "[::1]evil", "localhost:", "evil.com:[::1]"],
)  # fmt: skip
def test_host_that_only_begins_like_this_machine_is_refused(tmp_path: Path, host: str) -> None:
    with Collector(path=tmp_path / "store", port=0) as collector:
        assert status_for(collector, host) == 403
        for good in ("localhost", "LOCALHOST:4318", "127.0.0.1:1", "[::1]", "[::1]:4318", "127.1.2.3"):
            assert status_for(collector, good) == 200


def status_for(collector: Collector, host: str) -> int:
    connection = connect(collector)
    connection.putrequest("GET", "/healthz", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    status = answer_of(connection).status
    connection.close()
    return status
