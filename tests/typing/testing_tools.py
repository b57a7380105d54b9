"""What type checkers infer of the tools for tests; see api.py."""

from __future__ import annotations

from typing import assert_type

import llmops_sdk as llmops
from llmops_sdk.evals import CaseVerdict
from llmops_sdk.providers import Provider
from llmops_sdk.testing import (
    FailingProvider,
    ManualClock,
    ScriptedProvider,
    TracedSpan,
    Traces,
    block_real_calls,
    capture_traces,
    use_clock,
    use_provider,
)


def providers() -> None:
    """A provider put in place is given back as what it is; both kinds are providers."""
    with use_provider(ScriptedProvider(["text", ["a", llmops.ServerError], llmops.ServerError("x")])) as scripted:
        assert_type(scripted, ScriptedProvider)
    with use_provider(FailingProvider(llmops.RateLimitError, times=2), model="openai/*") as failing:
        as_provider: Provider = failing
        as_provider.close()
    with block_real_calls(allow=["ollama/*"]), use_clock(ManualClock()) as clock:
        assert_type(clock, ManualClock)


def traces(llmops_traces: Traces) -> None:
    """What was recorded is typed."""
    with capture_traces() as captured:
        assert_type(captured, Traces)
    assert_type(llmops_traces.spans, list[TracedSpan])
    assert_type(llmops_traces.one("x").parent, TracedSpan | None)
    assert_type(llmops_traces.sql("SELECT 1"), llmops.Result)


@llmops.eval_case(cases=["Where is my card?"], scorers=["not_empty"], threshold={"not_empty": 1}, repeats=3)
def case(question: str) -> str:
    """A case keeps its signature, and gives its verdicts."""
    return question


def cases() -> None:
    """A case is called as the function, and run as a suite."""
    assert_type(case("Where?"), str)
    assert_type(case.run(), dict[str, CaseVerdict])
    case(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - a number is no question
    llmops.eval_case(case=[])  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - a misspelled option
