"""The collector over raw HTTP: a 200 means stored, errors get their status, and memory stays bounded."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import socket
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from collect_client import LIMITS, answer_of, connect, count
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from otlp_receiver import wait_until
from otlp_requests import simple_request, simple_span

import llmops_sdk as llmops
from llmops_sdk.collect import Collector, Limits
from llmops_sdk.errors import ConfigError, LLMOpsError
from llmops_sdk.store import query


def request(*spans: Any) -> bytes:
    return json.dumps(simple_request(list(spans) or [simple_span()])).encode()


def protobuf(*ids: int) -> bytes:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for number in ids:
        spans.add(trace_id=b"\1" * 16, span_id=number.to_bytes(8, "big"), name="p", start_time_unix_nano=5)
    return message.SerializeToString()


PROTOBUF = {"Content_Type": "application/x-protobuf"}


def test_responses_use_the_encoding_of_the_request(post, store):
    answer = post()
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"{}", "application/json")
    answer = post(protobuf(7), **PROTOBUF)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-protobuf")
    assert not ExportTraceServiceResponse.FromString(answer.body).HasField("partial_success")
    assert sorted(query("SELECT name FROM spans", path=store).rows()) == [("p",), ("work",)]


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:50]) + gzip.compress(body[50:])),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("identity", bytes),
        ("GZIP", gzip.compress),
    ],
)
def test_compressed_bodies_are_accepted(post, store, coding, pack):
    assert post(pack(request()), Content_Encoding=coding).status == 200
    assert count(store) == 1


def test_partial_success_reports_rejected_spans(post, store):
    answer = post(request(simple_span(1), simple_span(2, traceId="0" * 32), simple_span(3)))
    assert (answer.status, answer.json["partialSuccess"]["rejectedSpans"]) == (200, "1")
    assert "spans[1]: traceId" in answer.json["partialSuccess"]["errorMessage"]
    answer = post(protobuf(8, 0), **PROTOBUF)
    assert ExportTraceServiceResponse.FromString(answer.body).partial_success.rejected_spans == 1
    assert count(store) == 3
    assert query("SELECT sum(count) FROM losses WHERE reason = 'not_decodable'", path=store).scalar() == 2


def test_evaluation_logs_become_scores_and_others_are_rejected(post, store):
    name = {"key": "gen_ai.evaluation.name", "value": {"stringValue": "good"}}
    score = {"eventName": "gen_ai.evaluation.result", "traceId": "1" * 32, "timeUnixNano": "5", "attributes": [name]}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [score, {}, {}]}]}]}).encode()
    assert post(body, "/v1/logs").json["partialSuccess"]["rejectedLogRecords"] == "2"
    assert count(store, "scores") == 1
    assert query("SELECT what, reason, count FROM losses", path=store).rows() == [("log", "not_kept", 2)]
    empty = post(b"", "/v1/logs", **PROTOBUF)
    assert not ExportLogsServiceResponse.FromString(empty.body).HasField("partial_success")


STATUSES = {
    "no json": (400, {"body": b"{"}),
    "no request": (400, {"body": b"[]"}),
    "not packed": (400, {"body": b"{}", "Content_Encoding": "gzip"}),
    "not deflated": (400, {"body": b"{}", "Content_Encoding": "deflate"}),
    "torn gzip": (400, {"body": gzip.compress(b"{}" * 99)[:-4], "Content_Encoding": "gzip"}),
    "more behind": (400, {"body": zlib.compress(b"{}") + b"x", "Content_Encoding": "deflate"}),
    "many members": (400, {"body": gzip.compress(b"") * 100, "Content_Encoding": "gzip"}),
    "another site": (403, {"Host": "attacker.example:4318"}),
    "another site with port": (403, {"Host": "localhost.attacker.example"}),
    "a web page": (403, {"Origin": "http://localhost:4318"}),
    "metrics": (404, {"path": "/v1/metrics"}),
    "elsewhere": (404, {"path": "/"}),
    "get": (405, {"method": "GET"}),
    "put": (405, {"method": "PUT"}),
    "options": (405, {"method": "OPTIONS"}),
    "post health": (405, {"path": "/healthz"}),
    "too large": (413, {"body": b" " * 1_000_001}),
    "bomb": (413, {"body": gzip.compress(b" " * 1_000_001), "Content_Encoding": "gzip"}),
    "plain text": (415, {"Content_Type": "text/plain"}),
    "form": (415, {"Content_Type": "application/x-www-form-urlencoded"}),
    "brotli": (415, {"Content_Encoding": "br"}),
    "twice": (415, {"Content_Encoding": "gzip, gzip"}),
}


@pytest.mark.parametrize("name", STATUSES)
def test_invalid_request_gets_its_status_and_stores_nothing(collector, post, store, name):
    status, how = STATUSES[name]
    answer = post(**how)
    assert answer.status == status
    if how.get("method") != "HEAD":
        assert answer.json["message"] != ""
        assert answer.json["code"] > 0
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert collector.counts.refused == {status: 1}
    assert count(store) == 0
    # The collector still works.
    assert (post().status, count(store)) == (200, 1)


def test_errors_use_the_encoding_of_the_request(post):
    answer = post(b"nonsense", **PROTOBUF)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/x-protobuf")
    status = Status.FromString(answer.body)
    assert (status.code, "ExportTraceServiceRequest" in status.message) == (3, True)
    assert "Allow" in post(method="GET").headers
    assert post(Content_Encoding="br").headers["Accept-Encoding"] == "gzip, deflate"


def raw(collector: Collector, sent: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes and return everything until the socket is closed."""
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(sent)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        parts: list[bytes] = []
        while part := connection.recv(65_536):
            parts.append(part)
        return b"".join(parts)


def head(*lines: str) -> bytes:
    named = ["POST /v1/traces HTTP/1.1", "Host: localhost", "Content-Type: application/json", *lines]
    return "\r\n".join([*named, "", ""]).encode()


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


RAW = {
    "no length": (411, head()),
    "lengths": (400, head("Content-Length: 2", "Content-Length: 3") + b"{}"),
    "negative": (400, head("Content-Length: -2") + b"{}"),
    "plus": (400, head("Content-Length: +2") + b"{}"),
    "length and chunks": (400, head("Content-Length: 2", "Transfer-Encoding: chunked") + chunked(b"{}")),
    "another coding": (400, head("Transfer-Encoding: gzip, chunked") + chunked(b"{}")),
    "no hex": (400, head("Transfer-Encoding: chunked") + b"+2\r\n{}\r\n0\r\n\r\n"),
    "longer chunk": (400, head("Transfer-Encoding: chunked") + b"2\r\n{}}}\r\n0\r\n\r\n"),
    "long chunk line": (400, head("Transfer-Encoding: chunked") + b"2;" + b"x" * 500),
    "endless trailers": (400, head("Transfer-Encoding: chunked") + b"0\r\n" + b"a: b\r\n" * 100),
    "huge chunk": (413, head("Transfer-Encoding: chunked") + b"fffffffffffff\r\n"),
    "huge length": (413, head("Content-Length: 99999999999999")),
    "no host": (400, head("Content-Length: 2").replace(b"Host: localhost\r\n", b"") + b"{}"),
    "two hosts": (400, head("Host: localhost", "Content-Length: 2") + b"{}"),
    "long line": (414, b"POST /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n"),
    "no http": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01 x\r\n\r\n"),
    "another method": (400, b"BREW /v1/traces HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "many headers": (431, head(*[f"X-{number}: 1" for number in range(200)])),
}


@pytest.mark.parametrize("name", RAW)
def test_malformed_request_is_answered_and_closes_the_connection(collector, post, store, name):
    status, sent = RAW[name]
    answer = raw(collector, sent)
    assert re.match(rb"HTTP/1\.[01] %d " % status, answer), answer[:200]
    assert answer.count(b"HTTP/1.") == 1
    assert (post().status, count(store)) == (200, 1)


def test_chunked_bodies_are_accepted(collector, store):
    body = request()
    sent = head("Transfer-Encoding: chunked") + chunked(body[:10], body[10:]).replace(
        b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n"
    )
    again = head("Transfer-Encoding: Chunked", "Connection: close") + chunked(body)
    assert raw(collector, sent + again).count(b"HTTP/1.1 200") == 2
    assert count(store) == 2


def test_half_closed_and_aborted_connections(collector, store):
    body = request()
    whole = head(f"Content-Length: {len(body)}") + body
    assert b" 200 " in raw(collector, whole, half_close=True)
    assert b" 400 " in raw(collector, whole[:-5], half_close=True)
    assert raw(collector, b"", half_close=True) == b""
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2]))) as connection:
        connection.sendall(whole[:-5])
    assert (count(store), collector.counts.requests) == (1, 1)


def test_expect_100_gets_a_continue(collector, store):
    body = request()
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(head(f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert count(store) == 1


@pytest.mark.parametrize(
    "sent", [b"POST /v1/tr", head("Content-Length: 50") + b"{", head("Transfer-Encoding: chunked")]
)
def test_stalled_sender_is_disconnected(collector, sent):
    answer = raw(collector, sent)
    assert answer == b"" or b" 408 " in answer


def test_slow_sender_is_disconnected_at_its_deadline(collector):
    pause = threading.Event()
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(b"POST /v1/traces HTTP/1.1\r\n")

        def trickle() -> None:
            for _ in range(3_000):
                connection.sendall(b"X-A: b\r\n")
                pause.wait(0.02)

        with pytest.raises(OSError):
            trickle()


def test_connections_above_the_limit_get_503_while_the_others_are_busy(collector, post, store):
    open_ones = [connect(collector) for _ in range(LIMITS.connections)]
    for one in open_ones:
        one.request("GET", "/healthz")
        assert answer_of(one).status == 200
    for one in open_ones:
        one.sock.sendall(b"POST /v1/traces HTTP/1.1\r\n")  # a request that has just begun
    wait_until(
        lambda: not any(reader and reader.is_idle for reader in collector._server.readers.values()), "all have begun"
    )
    answer = raw(collector, b"", half_close=True)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1\r\n" in answer
    for one in open_ones:
        one.close()
    wait_until(lambda: post().status == 200, "a connection is free again")
    assert collector.counts.refused[503] >= 1


def test_keep_alive_connection_serves_many_requests(collector, store):
    connection = connect(collector)
    for number in range(1, 51):
        connection.request("POST", "/v1/traces", request(simple_span(number)), {"Content-Type": "application/json"})
        assert answer_of(connection).status == 200
    connection.close()
    assert (count(store), collector.counts.requests, collector.counts.spans) == (50, 50, 50)


def test_body_of_a_get_is_not_parsed_as_a_request(collector, store):
    body = request()
    hidden = head(f"Content-Length: {len(body)}") + body
    begin = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(hidden)}\r\n\r\n"
    assert raw(collector, begin.encode() + hidden).count(b"HTTP/1.1") == 1
    assert count(store) == 0


def test_health_check_returns_counts(collector, post):
    post()
    answer = post(b"", "/healthz", "GET")
    assert (answer.status, answer.json["status"], answer.json["spans"]) == (200, "ok", 1)


def test_decompression_bomb_does_not_grow_memory(collector, post):
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([packer.compress(bytes(1 << 20)) for _ in range(512)] + [packer.flush()])
    assert len(bomb) < 1_000_000
    post()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        assert post(bomb, Content_Encoding="gzip").status == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB; unpacked it is 512 MB


def test_exhausted_memory_budget_gets_503(store):
    with Collector(path=store, port=0, limits=Limits(waiting_bytes=100)) as collector:
        connection = connect(collector)
        connection.request("POST", "/v1/traces", request(), {"Content-Type": "application/json"})
        answer = answer_of(connection)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        connection.close()
    assert count(store) == 0


@pytest.mark.parametrize("what", ["_writing", "_turns"])
def test_overloaded_writer_makes_senders_retry(store, what):
    with Collector(path=store, port=0, limits=Limits(turns=1, turn_seconds=0.05)) as collector:
        with getattr(collector, what):
            connection = connect(collector)
            connection.request("POST", "/v1/traces", request(), {"Content-Type": "application/json"})
            answer = answer_of(connection)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert count(store) == 0
        connection.request("POST", "/v1/traces", request(), {"Content-Type": "application/json"})
        assert answer_of(connection).status == 200
        connection.close()
    assert count(store) == 1


def test_full_disk_is_never_answered_200(collector, post, store):
    assert post().status == 200
    for folder in ("wal", "scores", "losses"):
        for file in (store / folder).glob("*"):
            file.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # the collector is a part of this process
    try:
        answer = post()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "cannot be written" in answer.json["message"]
    assert (post().status, count(store), collector.counts.spans) == (200, 1, 2)


def test_requests_need_the_bearer_token(store):
    token = os.urandom(8).hex()
    with Collector(path=store, port=0, token=token) as collector:
        for given, status in ((None, 401), ("Bearer wrong", 401), (f"Basic {token}", 401), (f"bearer {token}", 200)):
            connection = connect(collector)
            headers = {"Content-Type": "application/json", **({"Authorization": given} if given else {})}
            connection.request("POST", "/v1/traces", request(), headers)
            answer = answer_of(connection)
            connection.close()
            assert answer.status == status
            assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    assert count(store) == 1


def test_host_header_and_listen_address_are_checked(store, tmp_path):
    with pytest.raises(ConfigError, match="--allow-remote"):
        Collector(path=store, host="0.0.0.0")
    with Collector(path=store, port=0, allow_hosts=["collector.test"]) as collector:
        for host, status in (("collector.test", 200), ("127.0.0.1:1", 200), ("[::1]:4318", 200), ("other.test", 403)):
            connection = connect(collector)
            connection.request("GET", "/healthz", headers={"Host": host})
            assert answer_of(connection).status == status
            connection.close()
        other = Collector(path=tmp_path / "b", port=int(collector.url.rpartition(":")[2]))
        with pytest.raises(LLMOpsError, match=r"cannot listen at .*--port"):
            other.start()
        other.stop()
        with pytest.raises(LLMOpsError, match="already"):
            collector.start()
    with Collector(path=store, host="localhost", port=0) as collector:
        assert collector.url.startswith("http://localhost:")
        connection = connect(collector)
        connection.request("GET", "/healthz")
        assert answer_of(connection).status == 200
        connection.close()
    with Collector(path=store, host="0.0.0.0", port=0, allow_remote=True) as collector:
        connection = connect(collector)
        connection.request("GET", "/healthz", headers={"Host": "any.name"})
        assert answer_of(connection).status == 200
        connection.close()


def test_two_collectors_and_this_process_share_a_store(store):
    llmops.configure(store={"path": store})
    with Collector(port=0) as one, Collector(path=store, port=0) as two, llmops.span("own"):
        for collector in (one, two):
            connection = connect(collector)
            connection.request("POST", "/v1/traces", request(), {"Content-Type": "application/json"})
            assert answer_of(connection).status == 200
            connection.close()
    llmops.flush()
    assert one.path == store
    assert count(store) == 3


def test_received_secrets_are_redacted(post, store):
    secret = "sk-proj-" + "aB3dE5gH7jK9" * 4
    assert post(request(simple_span(1, attributes={"note": f"key {secret}"}))).status == 200
    stored = b"".join(path.read_bytes() for path in store.rglob("*.ndjson"))
    assert secret.encode() not in stored
    assert b"[REDACTED:" in stored


def begun(server: Any, connection: socket.socket) -> bool:
    """Return whether the server has begun to read a request of a connection."""
    for request, reader in tuple(server.readers.items()):
        if request.getpeername() == connection.getsockname():
            return reader is not None and not reader.is_idle
    return False


def test_stop_finishes_running_requests_and_seals_files(store: Path):
    collector = Collector(path=store, port=0)
    collector.start()
    address = ("127.0.0.1", int(collector.url.rpartition(":")[2]))
    server = collector._server
    assert server is not None
    body = request()
    sent = head(f"Content-Length: {len(body)}") + body
    with closing(connect(collector)) as idle, socket.create_connection(address, timeout=30) as connection:
        idle.request("GET", "/healthz")
        assert answer_of(idle).status == 200
        connection.sendall(sent[:-1])
        wait_until(lambda: begun(server, connection), "it is begun")
        with ThreadPoolExecutor(1) as thread:
            stopping = thread.submit(collector.stop)
            wait_until(lambda: server.stopping, "it stops")
            connection.sendall(sent[-1:])
            answer = connection.recv(65_536)
            stopping.result(30)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" in answer
    assert count(store) == 1
    assert all(b'{"seal":' in path.read_bytes() for path in store.glob("wal/*.ndjson"))
    with pytest.raises(OSError):
        socket.create_connection(address)


def test_request_cut_off_by_stop_gets_503(store: Path):
    with Collector(path=store, port=0) as collector:
        server = collector._server
        assert server is not None
        body = request()
        sent = head(f"Content-Length: {len(body)}") + body
        with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2])), timeout=30) as connection:
            connection.sendall(sent[:-1])
            wait_until(lambda: begun(server, connection), "it is begun")
            server.stop(0.0)
            answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in answer
    assert count(store) == 0


def test_tick_seals_old_files(store, monkeypatch):
    llmops.configure(store={"segment_seconds": 0.001})
    with Collector(path=store, port=0) as collector:
        connection = connect(collector)
        connection.request("POST", "/v1/traces", request(), {"Content-Type": "application/json"})
        assert answer_of(connection).status == 200
        connection.close()
        wait_until(
            lambda: collector.tick() is None and b'{"seal":' in next(store.glob("wal/*.ndjson")).read_bytes(), "a seal"
        )
