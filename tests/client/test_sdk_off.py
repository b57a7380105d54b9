"""With LLMOPS_ENABLED=false every public name works, records nothing and raises nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.testing import ScriptedProvider


@pytest.fixture(autouse=True)
def off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_ENABLED", "false")


def double(number: int) -> int:
    return 2 * number


async def adouble(number: int) -> int:
    return 2 * number


def blocks() -> None:
    with llmops.context(user_id="u", tags=["x"]), llmops.span("one") as span:
        span.set(a=1)
        span.score("s", 1)
        llmops.score("s", 1)
        llmops.current_span().add_event("e", {})
        carrier: dict[str, str] = {}
        llmops.inject(carrier)
        with llmops.extract(carrier):
            assert llmops.trace(double)(2) == 4


def scores() -> None:
    answer = llmops.chat("Hi")
    for target in (
        {"span_id": answer.span_id, "trace_id": answer.trace_id}, {"trace_id": answer.trace_id}, {},
        {"trace_id": "ab" * 16}, {"session_id": "s"}, {"document_id": "d"},
    ):  # fmt: skip
        llmops.score("helpful", True, **target)


def tools() -> None:
    assert llmops.ToolCall(id="1", name="double", arguments='{"number": 2}').run([double]) == 4


async def streams() -> None:
    assert [chunk.text async for chunk in llmops.astream("Hi")]
    async with llmops.astream("Hi") as stream:
        await anext(stream)
    assert [chunk.text for chunk in llmops.stream("Hi")]


async def models() -> None:
    with llmops.LLM() as llm:
        assert llm.chat("Hi").text == "Hi"
        assert (await llm.achat("Hi")).text == "Hi"
    assert llmops.llm(lambda text: text)("Hi") == "Hi"
    assert len((await llmops.aembed(["a"])).vectors) == len(llmops.embed(["a"]).vectors) == 1


def decorators() -> None:
    for decorator in (llmops.trace, llmops.retry, llmops.cache, llmops.guard(input=["cards"]), llmops.fallback(double)):
        assert decorator(double)(2) == 4
        assert asyncio.run(decorator(adouble)(2)) == 4 if decorator is not llmops.fallback else True


def traffic() -> None:
    for decorator in (llmops.breaker(), llmops.budget(limit_usd=1.0), llmops.hedge(), llmops.limit(concurrency=1)):
        assert decorator(double)(2) == 4
        assert asyncio.run(decorator(adouble)(2)) == 4


def evaluated() -> None:
    case = llmops.eval_case(cases=[{"input": 2, "expected": 4}], scorers=["equals"])(double)
    assert case(2) == 4
    assert [verdict.outcome for verdict in case.run().values()] == ["pass"]


def executors() -> None:
    with llmops.Executor(max_workers=1) as pool:
        assert pool.submit(double, 2).result() == 4


async def ends() -> None:
    assert llmops.flush().pending == 0
    assert (await llmops.aflush()).pending == 0
    assert llmops.shutdown().pending == 0


def queries() -> None:
    with llmops.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert llmops.query("SELECT count(*) FROM spans").scalar() == 0
    assert asyncio.run(llmops.aquery("SELECT count(*) FROM llm_calls")).scalar() == 0


def encoders() -> None:
    llmops.register_encoder(ScriptedProvider, lambda _: "scripted")
    llmops.add_redactor(lambda text: text)()
    assert llmops.flush_on_sigterm() in {True, False}
    llmops.configure(enabled=False)
    assert llmops.settings().enabled is False


CALLS: dict[str, Callable[[], Any]] = {
    "context span inject extract current_span trace Span": blocks,
    "score chat": scores,
    "ToolCall": tools,
    "astream stream Stream AsyncStream": streams,
    "LLM llm embed aembed achat": models,
    "retry cache guard fallback": decorators,
    "breaker budget hedge limit": traffic,
    "eval_case": evaluated,
    "Executor": executors,
    "flush aflush shutdown FlushReport": ends,
    "query aquery connect Result": queries,
    "register_encoder add_redactor flush_on_sigterm configure settings Settings": encoders,
}


def test_every_public_name_is_in_the_table():
    named = {name for names in CALLS for name in names.split()}
    errors = {name for name in llmops.__all__ if isinstance(getattr(llmops, name), type)
              and issubclass(getattr(llmops, name), LLMOpsError)}  # fmt: skip
    data = {"Attempt", "Chunk", "Embeddings", "Response", "Timeout", "Usage", "__version__"}
    assert set(llmops.__all__) - errors - data - {"warm_up"} == named  # tests/providers/test_warm_up.py


@pytest.mark.parametrize("names", CALLS)
def test_every_public_call_is_harmless(names: str, own_surroundings: Any):
    result = CALLS[names]()
    if result is not None:
        asyncio.run(result)
    files: Iterator[Any] = (path for path in own_surroundings.rglob("*") if path.is_file() and "wal" in path.parts)
    assert list(files) == []


def test_a_score_without_a_target_is_an_error_when_the_sdk_is_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LLMOPS_ENABLED")
    with pytest.raises(LLMOpsError, match="without a current span"):
        llmops.score("helpful", True)


WAYS = ["LLMOPS_ENABLED=false", "OTEL_SDK_DISABLED=true", "OTEL_TRACES_SAMPLER=always_off"]


@pytest.mark.parametrize("variable", WAYS)
def test_prompt_functions_work_in_a_span_that_is_not_recorded(variable: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LLMOPS_ENABLED")
    monkeypatch.setenv(*variable.split("="))

    @llmops.llm
    def greet(name: str) -> str:
        return name

    @llmops.llm(stream=True)
    def spell(name: str) -> str:
        return name

    @llmops.llm
    async def agreet(name: str) -> str:
        return name

    assert greet("Ada") == "".join(chunk.text for chunk in spell("Ada")) == asyncio.run(agreet("Ada")) == "Ada"
