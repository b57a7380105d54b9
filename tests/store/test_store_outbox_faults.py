"""The outbox against backends that fail in their own ways: what they did not take is there, and reaches them later."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from otlp_receiver import BlackHole, GrpcOtlpReceiver, OtlpReceiver, unused_port

import llmops_sdk as llmops
from llmops_sdk.store import query, replay
from llmops_sdk.store.outbox._outbox import outbox_sizes

PROGRAM = """
import json, os, sys, time
import llmops_sdk as llmops
llmops.configure(store={"path": sys.argv[1]}, export={"metrics": {"exporters": []}, **json.loads(sys.argv[2])})
def work(first):
    for number in range(first, first + 25):
        with llmops.span(f"n{number}"):
            pass
work(0)
BODY
begun = time.monotonic()
llmops.shutdown()
print(json.dumps(time.monotonic() - begun))
"""


def run(store: Path, export: dict[str, Any], body: str = "llmops.flush(0.5)", **environ: str) -> float:
    """The seconds that the end took."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("BODY", body), str(store), json.dumps(export)],
        capture_output=True, text=True, timeout=90, check=False, env={**os.environ, **environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def names(first: int = 0, last: int = 25) -> Counter[str]:
    return Counter(f"n{number}" for number in range(first, last))


def received(backend: Any) -> Counter[str]:
    return Counter(span.name for span in backend.spans)


def replayed(store: Path, url: str, **export: Any) -> None:
    llmops.configure(store={"path": store}, export={"endpoint": url, **export})
    assert [(done.left, done.lost) for done in replay()] == [(0, 0)]


def test_a_connection_that_is_closed_before_the_answer(store):
    seen = threading.Event()

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.recv(65_536)
            seen.set()
            connection.shutdown(socket.SHUT_WR)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        run(store, {"endpoint": f"http://127.0.0.1:{server.getsockname()[1]}"})
        assert seen.wait(30)
    assert outbox_sizes(store)["default"] > 0
    with OtlpReceiver() as backend:
        replayed(store, backend.url)
        assert received(backend) == names()


def test_a_certificate_that_nobody_vouches_for(store, tmp_path):
    key, certificate = tmp_path / "server.key", tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
         str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with OtlpReceiver(tls=context) as backend:
        run(store, {"endpoint": backend.url})
        assert received(backend) == Counter()
        assert outbox_sizes(store)["default"] > 0
        # Once it is known, what waited goes there.
        run(store, {"endpoint": backend.url}, "work(25)", OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificate))
        llmops.configure(store={"path": store}, export={"endpoint": backend.url})
        program = "import llmops_sdk as l; from llmops_sdk.store import replay; print([d.left for d in replay()])"
        subprocess.run(
            [sys.executable, "-c", program], check=True, timeout=90,
            env={**os.environ, "LLMOPS_STORE__PATH": str(store), "LLMOPS_EXPORT__ENDPOINT": backend.url,
                 "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate)},
        )  # fmt: skip
        assert received(backend) == names(0, 25) + names(0, 50)


def test_over_grpc_a_backend_that_is_unavailable_at_first(store):
    export = {"endpoint": f"http://127.0.0.1:{unused_port()}", "protocol": "grpc"}
    run(store, export)
    with GrpcOtlpReceiver([grpc.StatusCode.UNAVAILABLE]) as backend:
        replayed(store, backend.url, protocol="grpc")
        assert received(backend) == names()


@pytest.mark.thorough
@pytest.mark.parametrize("body", ["llmops.flush(0.1)", "pass"])
def test_a_black_hole_delays_the_end_by_two_seconds_at_most(store, body):
    with BlackHole() as hole:
        took = run(store, {"endpoint": hole.url, "destinations": {"b": {"endpoint": hole.url}}}, body)
    assert took < 6  # 2 s are promised, the rest is for a busy machine; the exporters by themselves take 10 each
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 25
    assert all(outbox_sizes(store)[name] > 0 for name in ("default", "b"))


def test_forked_children_have_outboxes_of_their_own(store):
    body = """
llmops.flush()
pid = os.fork()
if pid == 0:
    work(100)
    llmops.flush(0.2)
    os._exit(0)
os.waitpid(pid, 0)
work(200)
"""
    run(store, {"endpoint": f"http://127.0.0.1:{unused_port()}"}, body)
    with OtlpReceiver() as backend:
        replayed(store, backend.url)
        assert received(backend) == names(0, 25) + names(100, 125) + names(200, 225)
    assert outbox_sizes(store)["default"] == 0


def test_a_slow_backend_is_not_sent_anything_twice(store):
    with OtlpReceiver() as backend:
        taken = backend.take

        def slowly(*arguments: Any) -> None:
            threading.Event().wait(0.3)  # it is the receiver that is slow, not the test that waits
            taken(*arguments)

        backend.take = slowly  # type: ignore[method-assign]
        run(store, {"endpoint": backend.url}, "pass")
        backend.take = taken  # type: ignore[method-assign]
        if outbox_sizes(store)["default"]:
            replayed(store, backend.url)
        assert received(backend) == names()
