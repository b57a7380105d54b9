"""What `llmops collect` takes: two senders at once, small and large spans, in spans a second, CPU a span and p99.

The collector and each sender are processes of their own. A sender makes its requests beforehand and sends one after
another on one connection, protobuf as OpenTelemetry's exporters send it; the time runs from the first begin to the last
end. Every span is counted in the store in the end.

Run it with `make bench-collect`.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmops_sdk.store import query

SENDERS = 2
BATCH = 512
"""Spans of a request, as OpenTelemetry's exporters send them by default."""
BATCHES = 60
"""Of each sender."""
CONTENT = {"0.8 KB": 330, "4.4 KB": 3_930}
"""Bytes of text in a span of each size, as in bench_store.py."""
FIRST_NS = 1_790_000_000_000_000_000


def request(name: str, first: int, content: str) -> bytes:
    """Return a batch of calls to a model."""
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = name
    scope = group.scope_spans.add()
    scope.scope.name = "bench"
    for number in range(first, first + BATCH):
        span = scope.spans.add(
            trace_id=name.encode().rjust(16, b"\1")[-16:],
            span_id=number.to_bytes(8, "big"),
            name="chat",
            kind=3,
            start_time_unix_nano=FIRST_NS + number,
            end_time_unix_nano=FIRST_NS + number + 1_000_000,
        )
        texts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4.1-mini",
            "openinference.span.kind": "LLM",
            "input.value": content,
            "output.value": "Cards take three to five working days.",
        }
        for key, value in texts.items():
            span.attributes.add(key=key).value.string_value = value
        for key, count in (("gen_ai.usage.input_tokens", 100), ("gen_ai.usage.output_tokens", 20)):
            span.attributes.add(key=key).value.int_value = count
    return message.SerializeToString()


def send(url: str, name: str, size: int) -> None:
    """Prepare the requests, report it, wait for the start signal, and send."""
    bodies = [request(name, 1 + at * BATCH, "x" * size) for at in range(BATCHES)]
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    print("ready", flush=True)
    sys.stdin.readline()
    took: list[float] = []
    begin = time.monotonic()
    for body in bodies:
        start = time.perf_counter()
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
        took.append(time.perf_counter() - start)
    print(json.dumps({"begin": begin, "end": time.monotonic(), "took": took, "bytes": sum(map(len, bodies))}))


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def memory_of(pid: int) -> int:
    """Return the peak memory of a process in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def measure(size: int) -> dict[str, Any]:
    """Run all senders against one collector."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "llmops_sdk", "collect", "--port", "0", "--store", folder + "/store"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as collector:
            assert collector.stderr is not None
            url = re.search(r"http://\S+:\d+", collector.stderr.readline())
            assert url is not None
            names = [f"sender-{number}" for number in range(SENDERS)]
            program = [sys.executable, str(Path(__file__).resolve()), "send", url[0]]
            running = [
                subprocess.Popen([*program, name, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                for name in names
            ]
            for child in running:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
            before = cpu_of(collector.pid)
            for child in running:
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
            told = [json.loads(child.communicate()[0]) for child in running]
            cpu, memory = cpu_of(collector.pid) - before, memory_of(collector.pid)
            collector.send_signal(signal.SIGTERM)
            assert collector.wait() == 0
        spans = SENDERS * BATCHES * BATCH
        rows = query(
            "SELECT service, count(*), count(DISTINCT span_id) FROM spans GROUP BY ALL", path=folder + "/store"
        )
        assert sorted(rows.rows()) == [(name, BATCHES * BATCH, BATCHES * BATCH) for name in names], rows.rows()
    took = sorted(one for sender in told for one in sender["took"])
    seconds = max(one["end"] for one in told) - min(one["begin"] for one in told)
    return {
        "rate": spans / seconds,
        "megabytes": sum(one["bytes"] for one in told) / seconds / 1e6,
        "cpu": cpu / spans * 1e6,
        "p50": took[len(took) // 2] * 1e3,
        "p99": took[len(took) * 99 // 100] * 1e3,
        "memory": memory,
    }


def main() -> None:
    """Measure both sizes and print the table."""
    print(f"| {SENDERS} senders, {BATCH} spans a request | spans a second | MB a second | µs of CPU a span | "
          "request p50, ms | p99, ms | memory, MB |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for name, size in CONTENT.items():
        found = measure(size)
        print(
            f"| {name} | {found['rate']:,.0f} | {found['megabytes']:.0f} | {found['cpu']:.1f} | {found['p50']:.1f} | "
            f"{found['p99']:.1f} | {found['memory']} |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
