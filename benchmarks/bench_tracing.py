"""What a decorated call costs, as ratios to a bare OpenTelemetry SDK span with a BatchSpanProcessor.

Both are measured in turn in one process, in bursts smaller than the queues, with everything flushed between bursts;
the figure is the median of the bursts' ratios. Ours write to a real store on disk; the bare SDK's exporter drops.
Every span is counted at the end: none may be missing.

Run it with `make bench-tracing`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

BURST = 300
ROUNDS = 41
PAYLOAD = [
    {"role": "system", "content": "You answer customers of a bank. " * 12},
    {"role": "user", "content": "Where is the card that I ordered two weeks ago? " * 24},
]
ANSWER = {"role": "assistant", "content": "Cards take three to five working days. " * 6}


def bare_tracer() -> tuple[Any, Any]:
    """Return an SDK tracer that discards its spans, and its provider."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Drop(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            del spans
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Drop()))
    return provider.get_tracer("bare"), provider


def burst(call: Callable[[], object]) -> float:
    """Microseconds of one call, in a burst."""
    begin = time.perf_counter_ns()
    for _ in range(BURST):
        call()
    return (time.perf_counter_ns() - begin) / BURST / 1_000


def compare(ours: Callable[[], object], bare: Callable[[], object], flush: Callable[[], object]) -> dict[str, float]:
    """Medians of both, and the median of the ratios of neighbouring bursts."""
    pairs: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        mine = burst(ours)
        flush()
        theirs = burst(bare)
        flush()
        pairs.append((mine, theirs))
    return {
        "ours": statistics.median(pair[0] for pair in pairs),
        "bare": statistics.median(pair[1] for pair in pairs),
        "ratio": statistics.median(mine / theirs for mine, theirs in pairs),
    }


def in_call() -> dict[str, dict[str, float]]:
    """Measure the time inside a call for each kind of callable."""
    import llmops_sdk as llmops

    tracer, provider = bare_tracer()

    def flush() -> None:
        report = llmops.flush(30)
        assert report.dropped == 0, report
        provider.force_flush()

    @llmops.trace
    def small(a: int, b: int = 2) -> int:
        return a + b

    def bare_small(a: int, b: int = 2) -> int:
        with tracer.start_as_current_span("small"):
            return a + b

    @llmops.trace
    def chat(messages: list[dict[str, str]]) -> dict[str, str]:
        return messages[0] and ANSWER

    def bare_chat(messages: list[dict[str, str]]) -> dict[str, str]:
        with tracer.start_as_current_span("chat") as span:
            span.set_attribute("input.value", json.dumps(messages))
            span.set_attribute("output.value", json.dumps(ANSWER))
            return ANSWER

    class Thing:
        @llmops.trace
        def method(self, a: int) -> int:
            return a

    @llmops.trace
    def stream(a: int) -> Generator[int]:
        yield a

    @llmops.trace
    async def coroutine(a: int) -> int:
        return a

    def drive(a: int) -> None:
        # A coroutine that never waits, driven by hand: the loop's own cost is not what is measured.
        try:
            coroutine(a).send(None)
        except StopIteration:
            return

    def block() -> None:
        with llmops.span("block"):
            pass

    thing = Thing()
    bare: Callable[[], object] = lambda: bare_small(1)  # noqa: E731
    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "small call": (lambda: small(1), bare),
        "1.5 KB chat payload": (lambda: chat(PAYLOAD), lambda: bare_chat(PAYLOAD)),
        "method": (lambda: thing.method(1), bare),
        "coroutine": (lambda: drive(1), bare),
        "generator of one item": (lambda: list(stream(1)), bare),
        "context manager": (block, bare),
    }
    for ours, theirs in cases.values():
        burst(ours)
        burst(theirs)
    flush()
    table = {name: compare(ours, theirs, flush) for name, (ours, theirs) in cases.items()}
    wanted = len(cases) * BURST * (ROUNDS + 1)
    stored = llmops.query("SELECT count(*) FROM spans").scalar()
    assert stored == wanted, f"{stored} spans in the store, {wanted} made"
    return table


def quiet_call() -> float:
    """Microseconds that the decorator adds to a call when nothing is recorded."""
    import llmops_sdk as llmops

    def plain(a: int) -> int:
        return a

    traced = llmops.trace(plain)
    traced(1)
    pairs = [(burst(lambda: traced(1)), burst(lambda: plain(1))) for _ in range(ROUNDS)]
    return statistics.median(mine - theirs for mine, theirs in pairs)


def cpu_per_span(kind: str) -> float:
    """Microseconds of CPU of the process a span, from the first call to the last byte."""
    count = 30_000
    if kind == "bare":
        tracer, provider = bare_tracer()

        def call() -> None:
            with tracer.start_as_current_span("small"):
                pass

        finish: Callable[[], object] = provider.force_flush
    else:
        import llmops_sdk as llmops

        @llmops.trace
        def small(a: int) -> int:
            return a

        def call() -> None:
            small(1)

        finish = lambda: llmops.flush(60)  # noqa: E731
    call()
    finish()
    begin = time.process_time()
    for at in range(count):
        call()
        if at % 1_000 == 0:
            finish()
    finish()
    return (time.process_time() - begin) / count * 1e6


def import_cpu(module: str) -> float:
    """Milliseconds of CPU to import a module in a fresh interpreter."""
    code = f"import time; t = time.process_time(); import {module}; print((time.process_time() - t) * 1e3)"
    return statistics.median(float(_child(["-c", code])) for _ in range(9))


def _child(arguments: list[str], **variables: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LLMOPS_STORE__PATH": str(Path(folder) / "store"), **variables}
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def main() -> None:
    """Measure everything, each part in a process of its own, and print the table."""
    here = str(Path(__file__).resolve())
    table: dict[str, dict[str, float]] = json.loads(_child([here, "in_call"]))
    print("| in-call time | ours, µs | bare SDK span, µs | ratio |\n|---|---|---|---|")
    for name, row in table.items():
        print(f"| {name} | {row['ours']:.1f} | {row['bare']:.1f} | {row['ratio']:.2f} |")
    ours, bare = (statistics.median(float(_child([here, "cpu", kind])) for _ in range(3)) for kind in ("ours", "bare"))
    print("\n| CPU of the process a span | µs | ratio |\n|---|---|---|")
    print(f"| ours, stored on disk | {ours:.1f} | {ours / bare:.2f} |\n| bare, null exporter | {bare:.1f} | 1 |")
    print("\n| added to a call that is not recorded | µs |\n|---|---|")
    for name, value in (("OTEL_TRACES_SAMPLER", "always_off"), ("LLMOPS_ENABLED", "false")):
        print(f"| `{name}={value}` | {float(_child([here, 'quiet'], **{name: value})):.2f} |")
    sdk, api = import_cpu("llmops_sdk"), import_cpu("opentelemetry.trace")
    print("\n| CPU of the import | ms | ratio |\n|---|---|---|")
    print(f"| `llmops_sdk` | {sdk:.1f} | {sdk / api:.2f} |\n| `opentelemetry.trace` | {api:.1f} | 1 |")


if __name__ == "__main__":
    part = sys.argv[1:]
    if not part:
        main()
    elif part[0] == "in_call":
        print(json.dumps(in_call()))
    elif part[0] == "cpu":
        print(cpu_per_span(part[1]))
    else:
        print(quiet_call())
