"""Ids that are the same in every run."""

from __future__ import annotations

import llmops_sdk as llmops
from llmops_sdk.testing import Traces, sequential_ids


def record() -> None:
    with llmops.span("one"), llmops.span("two"):
        llmops.chat("Hi", model="offline/echo")
    with llmops.span("three"):
        pass


def test_two_runs_have_the_same_ids(llmops_traces: Traces):
    runs: list[list[tuple[str, str, str | None]]] = []
    for _ in range(2):
        llmops_traces.clear()
        with sequential_ids():
            record()
        runs.append([(span.trace_id, span.span_id, span.parent_span_id) for span in llmops_traces.spans])

    first, second = f"{1:032x}", f"{2:032x}"
    assert runs[0] == [
        (first, f"{1:016x}", None),
        (first, f"{2:016x}", f"{1:016x}"),
        (first, f"{3:016x}", f"{2:016x}"),
        (second, f"{4:016x}", None),
    ]
    assert runs[1] == runs[0]


def test_ids_are_random_again_after_the_block(llmops_traces: Traces):
    with sequential_ids(), sequential_ids():
        pass
    record()
    ids = {span.span_id for span in llmops_traces.spans}
    assert len(ids) == 4
    assert min(ids) > f"{1000:016x}"
    assert len({span.trace_id for span in llmops_traces.spans}) == 2
