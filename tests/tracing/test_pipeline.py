"""The queue is bounded, counts what it drops, and never blocks the application."""

from __future__ import annotations

import threading
from pkgutil import resolve_name

import pytest

import llmops_sdk as llmops
from llmops_sdk._util._guard import raise_in_tests
from llmops_sdk.config import Settings, TracingSettings
from llmops_sdk.tracing import record_loss
from llmops_sdk.tracing.records._records import PipelineBounds, ScoreRecord
from llmops_sdk.tracing.runtime import _start as _runtime
from llmops_sdk.tracing.runtime._pipeline import Pipeline
from llmops_sdk.tracing.runtime._sink_lock import SinkLock
from tests.tracing.conftest import MemorySink


class GatedSink(MemorySink):
    """Takes no batch until its gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def write(self, batch):
        self.entered.set()
        self.gate.wait(30)
        return super().write(batch)


@pytest.fixture
def gated():
    sink = GatedSink()
    settings = Settings(tracing=TracingSettings(queue_spans=10, queue_bytes=100_000, flush_interval=0.001))
    _runtime.start_with(settings, [sink])
    yield sink
    sink.gate.set()
    _runtime.reset()


def spans(count: int, content: str = "") -> None:
    for _ in range(count):
        with llmops.span("work", input=content):
            pass


def test_full_queue_drops_the_newest_and_counts_it(gated):
    spans(1)
    assert gated.entered.wait(30)
    spans(25)
    gated.gate.set()
    report = llmops.flush()
    assert (report.stored, report.dropped, report.pending) == (11, 15, 0)
    (loss,) = gated.losses
    assert (loss.what, loss.reason, loss.count) == ("span", "queue_full", 15)
    assert loss.bytes > 0


def test_queue_is_bounded_by_bytes(gated):
    spans(1)
    assert gated.entered.wait(30)
    spans(3, content="x" * 15_000)
    spans(5, content="x" * 60_000)
    gated.gate.set()
    assert llmops.flush().dropped == 5


def test_spans_refused_by_a_failing_sink_are_counted():
    sink = MemorySink()
    _runtime.start_with(Settings(), [sink])
    raise_in_tests(False)  # as in an application
    sink.failing = True
    spans(3)
    report = llmops.flush()
    assert (report.stored, report.dropped) == (0, 3)
    assert "memory" in report.errors[0]
    sink.failing = False
    spans(2)
    assert llmops.flush().stored == 2
    assert [(loss.reason, loss.count) for loss in sink.losses] == [("not_taken", 3)]


def test_concurrent_flushes_all_return(sink):
    def work() -> None:
        spans(50)
        assert llmops.flush(30).pending >= 0

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = llmops.flush()
    assert (report.stored, report.dropped, report.pending) == (400, 0, 0)
    assert len({span.span_id for span in sink.spans}) == 400


class RemoteSink(MemorySink):
    """Counts flushes."""

    is_local = False
    flushes = 0

    def flush(self, timeout: float) -> bool:
        self.flushes += 1
        return super().flush(timeout)


def test_local_flush_does_not_flush_remote_sinks(sink):
    remote = RemoteSink()
    pipeline = _runtime.start_with(Settings(), [sink, remote]).pipeline
    spans(1)
    report = pipeline.flush(30, local_only=True)
    assert (report.stored, len(sink.records), len(remote.records), remote.flushes) == (1, 1, 1, 0)
    assert pipeline.flush(30).stored == 1
    assert remote.flushes == 1


@pytest.mark.parametrize("name", _runtime.SINKS)
def test_sink_name_resolves_to_a_function(name: str):
    assert callable(resolve_name(name))


async def test_aflush_writes_ended_spans(sink):
    spans(2)
    assert (await llmops.aflush()).stored == 2


def test_flush_before_first_trace_reports_zero():
    assert llmops.flush() == llmops.FlushReport()


def test_span_after_shutdown_is_written_at_once(sink):
    spans(1)
    assert llmops.shutdown().stored == 1
    assert sink.closed
    spans(2)
    assert len([record for record in sink.records if not isinstance(record, ScoreRecord)]) == 3


def test_thread_sleeps_while_queue_is_empty(sink):
    pipeline = Pipeline(lambda: [sink], PipelineBounds(interval=0.001))
    assert pipeline.report() == llmops.FlushReport()
    assert pipeline.flush(1).pending == 0
    assert not any(thread.name == "llmops-pipeline" for thread in threading.enumerate())


def test_disabled_sdk_records_nothing():
    sink = MemorySink()
    _runtime.start_with(Settings(enabled=False), [sink])

    @llmops.trace
    def f(x: int) -> int:
        with llmops.span("inner") as span:
            assert not span.recording
            span.set(a=1)
            span.usage(input_tokens=1)
            span.output = 1
        llmops.score("good", True, trace_id="ab" * 16)
        return x

    assert f(1) == 1
    assert (sink.spans, sink.scores) == ([], [])


def test_repeated_flush_counts_a_loss_once():
    _runtime.start()  # the real store returns the number of spans, which is 0 for a batch of losses
    record_loss("span", "trial")
    for _ in range(5):
        llmops.flush()
    assert llmops.query("SELECT sum(count)::INT FROM losses WHERE reason = 'trial'").scalar() == 1


def test_only_the_thread_inside_a_step_of_the_sinks_is_told_that_it_is():
    lock = SinkLock()
    assert lock.run(lambda: (lock.is_inside(), lock.run(lambda: "again"), lock.enter(0.0))) == (True, None, False)
    entered, leave = threading.Event(), threading.Event()
    other = threading.Thread(target=lock.run, args=(lambda: (entered.set(), leave.wait()),))
    other.start()
    entered.wait()
    try:
        # This thread was the last one inside, and must not take the step of another for its own.
        assert not lock.is_inside()
        assert not lock.enter(0.0)
    finally:
        leave.set()
        other.join()
    assert lock.enter(0.0)
    assert lock.is_inside()
    lock.leave()
    assert not lock.is_inside()
