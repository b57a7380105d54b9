"""The sink at the end of a process, in a forked child, and without threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from otlp_receiver import BlackHole, GrpcOtlpReceiver, OtlpReceiver, unused_port

PRELUDE = """
import json, os, sys, threading, time
sys.path.insert(0, sys.argv[2])
from otlp_samples import sample_span
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.export._destinations import Destination

def opened(**more):
    return OtlpSink(Destination(endpoint=sys.argv[1], headers={}, content=True, **more))
"""
CLOSE = """
sink = opened()
sink.write([sample_span(name=str(number)) for number in range(3)])
BEFORE
begun = time.monotonic()
sink.close(TIMEOUT)
print(json.dumps({"took": time.monotonic() - begun, "exported": sink.exported, "dropped": sink.dropped}))
"""


# Importing the exporter takes seconds on a busy machine; most tests do it before they measure.
IMPORTED = "import llmops_sdk.export._batch"


def closing(before: str = "", *, timeout: float = 30.0) -> str:
    return CLOSE.replace("BEFORE", before).replace("TIMEOUT", str(timeout))


def run(program: str, url: str, *, timeout: float = 60.0) -> tuple[dict[str, object], str, float]:
    """Run a program; return its last line of JSON, its standard error, and the seconds it took."""
    receivers = next(path for path in sys.path if path.endswith("receivers"))
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + program, url, receivers],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr, time.monotonic() - begun


def test_short_program_exports_its_spans() -> None:
    with OtlpReceiver() as backend:
        said, errors, _ = run(closing(), backend.url + "/v1/traces")
        assert (said["exported"], said["dropped"]) == (3, 0)
        assert [span.name for span in backend.spans] == ["0", "1", "2"]
        assert errors == ""


@pytest.mark.thorough
@pytest.mark.parametrize("where", ["black hole", "dead"])
def test_unreachable_backend_delays_exit_at_most_two_seconds(where: str) -> None:
    with BlackHole() as hole:
        base = hole.url if where == "black hole" else f"http://127.0.0.1:{unused_port()}"
        said, errors, _ = run(closing(IMPORTED, timeout=5.0), base + "/v1/traces")
    assert (said["exported"], said["dropped"]) == (0, 3)
    assert isinstance(said["took"], float)
    assert said["took"] < 6  # 2 s are documented, the rest is for a busy machine; the exporter alone would take 10 s
    lines = errors.splitlines()
    assert lines[-1].startswith("llmops: 3 spans could not be exported to http://127.0.0.1:")
    assert len(lines) <= 2


def test_flush_and_close_send_if_no_thread_can_start() -> None:
    # Like a program that ends under Python 3.12 or later: no thread can have a stack of this size.
    no_thread = "threading.stack_size(1 << 50)\n"
    with OtlpReceiver() as backend:
        said, errors, _ = run(no_thread + closing(), backend.url + "/v1/traces")
        assert (said["exported"], said["dropped"]) == (3, 0)
        assert len(backend.spans) == 3
        assert errors == ""
    with BlackHole() as hole:
        said, _, _ = run(no_thread + closing(IMPORTED, timeout=5.0), hole.url + "/v1/traces")
        assert (said["exported"], said["dropped"]) == (0, 3)
        assert isinstance(said["took"], float)
        assert said["took"] < 6


FORK = """
protocol = PROTOCOL
sink = opened(protocol=protocol)
sink.write([sample_span(name="parent before")])
assert sink.flush(30.0)
HELD
child = os.fork()
if child == 0:
    sink.after_fork()
    assert (sink.exported, sink.pending, sink.dropped) == (0, 0, 0)
    sink.write([sample_span(name="child")])
    ok = sink.flush(30.0)
    sink.close(5.0)
    os._exit(0 if ok and sink.exported == 1 else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sink.write([sample_span(name="parent after")])
assert sink.flush(30.0)
sink.close(5.0)
print(json.dumps({"child": code, "exported": sink.exported}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_child_sends_over_its_own_connection() -> None:
    with OtlpReceiver() as backend:
        program = FORK.replace("PROTOCOL", "'http/protobuf'").replace("HELD", "")
        said, _, _ = run(program, backend.url + "/v1/traces")
        assert said == {"child": 0, "exported": 2}
        assert sorted(span.name for span in backend.spans) == ["child", "parent after", "parent before"]
        # Three requests over two connections: the child used its own port.
        ports = dict(zip([span.name for span in backend.spans], backend.clients, strict=True))
        assert ports["parent before"] == ports["parent after"] != ports["child"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_child_does_not_send_the_parents_queue() -> None:
    # Nothing is sent while a test holds the sending lock, so the queue is full at the fork.
    held = "sink._sending.acquire(); sink.write([sample_span(name='waited') for _ in range(5)])"
    program = FORK.replace("PROTOCOL", "'http/protobuf'").replace("HELD", held)
    program = program.replace("code = os", "sink._sending.release()\ncode = os")
    with OtlpReceiver() as backend:
        said, _, _ = run(program, backend.url + "/v1/traces")
        assert said == {"child": 0, "exported": 7}
        names = [span.name for span in backend.spans]
        assert (names.count("waited"), names.count("child"), len(names)) == (5, 1, 8)


def test_heavy_imports_happen_on_the_exporting_thread() -> None:
    program = """
from llmops_sdk.export import _sink
heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "requests", "grpc", "google.protobuf")
print(json.dumps({"heavy": [name for name in sys.modules if name.startswith(heavy)]}))
"""
    said, _, _ = run(program.replace("PRELUDE", ""), "http://127.0.0.1:1/v1/traces")
    assert said == {"heavy": []}


def test_close_releases_grpc() -> None:
    with GrpcOtlpReceiver() as backend:
        program = closing().replace("opened()", "opened(protocol='grpc')")
        said, errors, took = run(program, backend.url)
        assert (said["exported"], said["dropped"]) == (3, 0)
        assert errors == ""
        assert took < 30
