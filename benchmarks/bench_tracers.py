"""What a decorated call costs under each of the tracers in use today, as a ratio to a bare OpenTelemetry SDK span.

Each tracer has an environment of its own, made at first use under `.venv/tracers` from the pins in
`requirements-tracers/`, and runs in a process of its own there. This file is the program of all of them; what differs
is one function of set-up each. Within a process, bursts of decorated calls and bursts of bare spans take turns, and
everything is flushed between bursts, so that the ratios of different processes can be compared.

Nothing leaves the machine: the tracers export to a server on loopback that counts the spans and discards them, which
is their proxy for every other address as well and refuses those. The keys are made up. Ours stores on disk instead,
with redaction on, and its rows are counted. A tracer that cannot be installed or started, or of which no span arrives,
is listed with its error, and the exit status is 1.

Run it with `make bench-tracers`, or name tracers: `python benchmarks/bench_tracers.py langfuse logfire`.
"""

from __future__ import annotations

import gzip
import http.server
import importlib.metadata
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench_tracing import ANSWER, BURST, PAYLOAD, ROUNDS, bare_tracer, burst, compare
from environments import environment

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".venv" / "tracers"
CPU_BURSTS = 20
MADE = (2 * (ROUNDS + 1) + CPU_BURSTS) * BURST

Function = Callable[..., Any]


class SetUp(NamedTuple):
    """What a tracer gave: a decorator, a function that waits until all is exported, and one that counts the rows."""

    decorate: Callable[[Function], Function]
    flush: Callable[[], object]
    stored: Callable[[], int] | None = None


class Tracer(NamedTuple):
    """A tracer under measurement; `set_up` runs in its own process and takes the server's address."""

    set_up: Callable[[str], SetUp]
    does: str


# --- The set-ups: each in its tracer's own environment, by its own documentation --------------------------------------


def _ours(url: str) -> SetUp:
    del url
    import llmops_sdk as llmops

    llmops.configure(store={"path": str(Path.cwd() / "store")})

    def flush() -> None:
        report = llmops.flush(60)
        assert report.dropped == 0, report

    return SetUp(llmops.trace, flush, lambda: llmops.query("SELECT count(*) FROM spans").scalar())


def _phoenix(url: str) -> SetUp:
    from phoenix.otel import register

    provider = register(
        endpoint=f"{url}/v1/traces",
        protocol="http/protobuf",
        batch=True,
        verbose=False,
        set_global_tracer_provider=False,
    )
    return SetUp(provider.get_tracer("bench").chain, provider.force_flush)


def _logfire(url: str) -> SetUp:
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
    import logfire

    logfire.configure(send_to_logfire=False, console=False)
    return SetUp(logfire.instrument(record_return=True), logfire.force_flush)


def _langfuse(url: str) -> SetUp:
    from langfuse import Langfuse, observe

    client = Langfuse(public_key=secrets.token_hex(8), secret_key=secrets.token_hex(8), base_url=url)
    return SetUp(observe(), client.flush)


def _traceloop(url: str) -> SetUp:
    from opentelemetry.trace import get_tracer_provider
    from traceloop.sdk import Traceloop
    from traceloop.sdk.decorators import workflow

    Traceloop.init(
        app_name="bench", api_endpoint=url, api_key=secrets.token_hex(8), telemetry_enabled=False, instruments=set()
    )
    provider: Any = get_tracer_provider()
    return SetUp(workflow(), provider.force_flush)


def _opik(url: str) -> SetUp:
    os.environ.update(
        OPIK_URL_OVERRIDE=f"{url}/api",
        OPIK_SENTRY_ENABLE="false",
        OPIK_ANALYTICS_ENABLE="false",
        OPIK_WORKSPACE="default",
    )
    import opik

    return SetUp(opik.track, opik.flush_tracker)


def _mlflow(url: str) -> SetUp:
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/v1/traces")
    os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    import mlflow
    from mlflow.tracing.provider import provider

    mlflow.tracing.enable()
    return SetUp(mlflow.trace, lambda: provider.get().force_flush())


OURS = "llmops-sdk"
TRACERS = {
    OURS: Tracer(_ours, "`@llmops.trace`, stored on disk, redaction on"),
    "arize-phoenix-otel": Tracer(_phoenix, "`@tracer.chain`, `register(batch=True)`, OTLP over HTTP"),
    "logfire": Tracer(_logfire, "`@logfire.instrument(record_return=True)`, its batches to an OTLP endpoint"),
    "langfuse": Tracer(_langfuse, "`@observe()`, its batches to its server"),
    "traceloop-sdk": Tracer(_traceloop, "`@workflow()`, its batches to its server, no instrumentors"),
    "opik": Tracer(_opik, "`@opik.track`, its batches to its server"),
    "mlflow": Tracer(_mlflow, "`@mlflow.trace`, its batches to an OTLP endpoint"),
}


# --- The measurement, in the tracer's process -------------------------------------------------------------------------


def measure(name: str, url: str) -> dict[str, Any]:
    """Measure a small call, a call with a chat payload, bare spans, and the CPU per span."""
    made = TRACERS[name].set_up(url)
    tracer, provider = bare_tracer()

    @made.decorate
    def small(a: int) -> int:
        return a

    @made.decorate
    def chat(messages: list[dict[str, str]]) -> dict[str, str]:
        return messages[0] and ANSWER

    def bare_small(a: int) -> int:
        with tracer.start_as_current_span("small"):
            return a

    def bare_chat(messages: list[dict[str, str]]) -> dict[str, str]:
        with tracer.start_as_current_span("chat") as span:
            span.set_attribute("input.value", json.dumps(messages))
            span.set_attribute("output.value", json.dumps(ANSWER))
            return ANSWER

    def flush() -> None:
        made.flush()
        provider.force_flush()

    cases: dict[str, tuple[Function, Function]] = {
        "small": (lambda: small(1), lambda: bare_small(1)),
        "payload": (lambda: chat(PAYLOAD), lambda: bare_chat(PAYLOAD)),
    }
    for case in cases.values():
        for call in case:
            burst(call)
    flush()
    result: dict[str, Any] = {key: compare(ours, bare, flush) for key, (ours, bare) in cases.items()}
    begin = time.process_time()
    for _ in range(CPU_BURSTS):
        burst(cases["small"][0])
        made.flush()
    result["cpu"] = (time.process_time() - begin) / CPU_BURSTS / BURST * 1e6
    result["version"] = importlib.metadata.version(name)
    result["stored"] = made.stored() if made.stored else 0
    return result


# --- The server, in this process --------------------------------------------------------------------------------------


class Sink(http.server.ThreadingHTTPServer):
    """Takes every request, keeps what was sent until it is counted, and refuses to be a way out of the machine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.bodies: list[tuple[str, str, bytes]] = []
        self.refused: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> int:
        """Return the spans that arrived since the last call."""
        bodies, self.bodies = self.bodies, []
        return sum(_spans(path, encoding, body) for path, encoding, body in bodies)


class _Take(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sink

    def _answer(self) -> None:
        if not self.path.startswith("/"):
            self.server.refused.add(self.path)
            self.send_error(403)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.bodies.append((self.path, self.headers.get("Content-Encoding", ""), body))
        is_otlp = "protobuf" in self.headers.get("Content-Type", "")
        answer = b"" if is_otlp else b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf" if is_otlp else "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_CONNECT = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""


def _spans(path: str, encoding: str, body: bytes) -> int:
    if encoding == "gzip":
        body = gzip.decompress(body)
    elif encoding == "deflate":
        body = zlib.decompress(body)
    if path.endswith("/spans/batch"):  # Opik's own protocol
        return len(json.loads(body)["spans"])
    if not path.endswith("/traces"):
        return 0
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


@contextmanager
def serving() -> Iterator[Sink]:
    """Start a sink on a free loopback port."""
    with Sink() as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        yield sink
        sink.shutdown()


# --- The environments -------------------------------------------------------------------------------------------------


def interpreter(name: str) -> Path:
    """Return the Python of the tracer's environment; ours is the running one."""
    if name == OURS:
        return Path(sys.executable)
    return environment(HERE / "requirements-tracers" / f"{name}.txt", ENVIRONMENTS / name)


def distributions(python: Path, name: str) -> int:
    """Count the distributions that this one requires in the environment of a Python, including itself."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    (folder,) = (python.parent.parent / "lib").glob("python*/site-packages")
    found = {canonicalize_name(each.name): each for each in importlib.metadata.distributions(path=[str(folder)])}
    seen: set[tuple[str, frozenset[str]]] = set()
    ahead = [(canonicalize_name(name), frozenset[str]())]
    while ahead:
        key = ahead.pop()
        if key in seen or key[0] not in found:
            continue
        seen.add(key)
        needed = [Requirement(line) for line in found[key[0]].requires or ()]
        ahead += [
            (canonicalize_name(each.name), frozenset(each.extras))
            for each in needed
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *key[1]))
        ]
    return len({name for name, _ in seen})


def _run(command: list[str], timeout: float, **more: Any) -> None:
    subprocess.run(
        command, check=True, timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, text=True, **more
    )


# --- The table --------------------------------------------------------------------------------------------------------


def figures(name: str, sink: Sink) -> dict[str, Any]:
    """Measure one tracer in a process and a folder of its own."""
    python = interpreter(name)
    strange = ("OTEL_", "LLMOPS_", "PYTHON", "LANGFUSE_", "LOGFIRE_", "TRACELOOP_", "PHOENIX_", "OPIK_", "MLFLOW_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
    for key in ("http_proxy", "https_proxy", "all_proxy"):
        environ[key] = environ[key.upper()] = sink.url
    environ["no_proxy"] = environ["NO_PROXY"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [str(python), str(Path(__file__).resolve()), "--measure", name, sink.url, str(answer)]
        _run(command, timeout=600, cwd=folder, env={**environ, "HOME": folder})
        result: dict[str, Any] = json.loads(answer.read_text())
    result["arrived"] = result["stored"] or sink.spans()
    assert result["arrived"] == MADE if name == OURS else result["arrived"] > 0, result
    result["distributions"] = distributions(python, name)
    return result


def main(names: list[str]) -> int:
    """Measure the named tracers and print the table."""
    rows: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    with serving() as sink:
        for name in names:
            try:
                rows[name] = figures(name, sink)
            except subprocess.CalledProcessError as error:
                failed[name] = (error.stderr or error.stdout).strip()[-600:]
            except (subprocess.TimeoutExpired, AssertionError) as error:
                failed[name] = str(error)[:600]
    print(
        "| tracer | version | small call, µs | ratio | 1.5 KB chat payload, µs | ratio | CPU a span, µs | installed |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        times = [f"{row[case]['ours']:.1f} | {row[case]['ratio']:.2f}" for case in ("small", "payload")]
        print(f"| {name} | {row['version']} | {' | '.join(times)} | {row['cpu']:.0f} | {row['distributions']} |")
    print()
    for name, row in rows.items():
        print(f"- {name}: {TRACERS[name].does}; {row['arrived']:,} of {MADE:,} spans arrived.")
    for case in ("small", "payload") if OURS in rows and len(rows) > 1 else ():
        ratio, name = min((row[case]["ratio"], name) for name, row in rows.items() if name != OURS)
        print(f"- {case}: ours is {ratio / rows[OURS][case]['ratio']:.1f}× below the fastest other, {name}.")
    if sink.refused:
        print(f"- Asked for and refused: {', '.join(sorted(sink.refused))}.")
    for name, error in failed.items():
        print(f"\n{name} failed:\n{error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        Path(sys.argv[4]).write_text(json.dumps(measure(sys.argv[2], sys.argv[3])))
    else:
        unknown = set(sys.argv[1:]) - set(TRACERS)
        sys.exit(f"unknown: {', '.join(sorted(unknown))}" if unknown else main(sys.argv[1:] or list(TRACERS)))
