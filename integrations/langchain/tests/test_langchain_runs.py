"""Instrument LangChain's real chains, tools and models, and call a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import llmops_sdk_langchain
import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from loopback import Reply
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk.testing import Traces


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    llmops_sdk_langchain.instrument()
    yield
    llmops_sdk_langchain.uninstrument()


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(Reply(cached_tokens=4)) as running:
        yield running


def _tree(traces: Traces) -> dict[str, str | None]:
    return {span.name: span.parent.name if span.parent else None for span in traces.spans}


@llmops.trace(kind="retriever")
def find(question: str) -> str:
    return f"an article on {question}"


async def _afind(inputs: dict[str, str]) -> dict[str, str]:
    await asyncio.sleep(0)
    return {"article": find(inputs["question"]), **inputs}


def _chain(server: OpenAIServer) -> Runnable:
    model = ChatOpenAI(model="gpt-4.1-mini", api_key="key", base_url=server.base_url, max_retries=0)
    prompt = ChatPromptTemplate.from_messages([("system", "You know {article}."), ("user", "{question}")])
    step = RunnableLambda(lambda inputs: {"article": find(inputs["question"]), **inputs}, afunc=_afind, name="step")
    return step | prompt | model


_TREE = {
    "answer": None,
    "RunnableSequence": "answer",
    "step": "RunnableSequence",
    "find": "step",
    "ChatPromptTemplate": "RunnableSequence",
    "ChatOpenAI": "RunnableSequence",
}


def test_chain_is_one_tree_with_our_spans_above_and_below(server: OpenAIServer, llmops_traces: Traces) -> None:
    with llmops.context(session_id="s", user_id="u"), llmops.span("answer"):
        assert _chain(server).invoke({"question": "cards"}).content == "Good day to you."
    assert _tree(llmops_traces) == _TREE
    (row,) = llmops_traces.sql("FROM llm_calls").dicts()
    assert (row["provider"], row["request_model"], row["model"]) == ("openai", "gpt-4.1-mini", "gpt-4.1-mini-served")
    assert (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"]) == (11, 7, 4)
    assert (row["finish_reason"], row["session_id"], row["user_id"]) == ("stop", "s", "u")
    assert {span.session_id for span in llmops_traces.spans} == {"s"}
    contents = llmops_traces.sql("SELECT role, content FROM messages ORDER BY direction, position").rows()
    assert contents == [
        ("system", "You know an article on cards."),
        ("user", "cards"),
        ("assistant", "Good day to you."),
    ]


def test_async_chain_is_the_same_tree(server: OpenAIServer, llmops_traces: Traces) -> None:
    async def answer() -> None:
        with llmops.span("answer"):
            await _chain(server).ainvoke({"question": "cards"})

    asyncio.run(answer())
    assert _tree(llmops_traces) == _TREE


def test_tool_span_contains_the_spans_of_its_calls(llmops_traces: Traces) -> None:
    @tool
    def look_up(question: str) -> str:
        """Look something up."""
        return find(question)

    with llmops.span("answer"):
        assert look_up.invoke({"question": "cards"}) == "an article on cards"
        assert llmops.current_span().name == "answer"
    assert _tree(llmops_traces) == {"answer": None, "look_up": "answer", "find": "look_up"}
    assert {span.name: span.kind for span in llmops_traces.spans}["look_up"] == "tool"


def test_instrument_twice_records_once_and_uninstrument_stops(server: OpenAIServer, llmops_traces: Traces) -> None:
    llmops_sdk_langchain.instrument()
    _chain(server).invoke({"question": "cards"})
    llmops_sdk_langchain.uninstrument()
    llmops_sdk_langchain.uninstrument()
    _chain(server).invoke({"question": "cards"})
    assert llmops_traces.sql("SELECT count(*) FROM llm_calls").scalar() == 1
    assert llmops_traces.sql("SELECT count(*) FROM spans WHERE name = 'find'").scalar() == 2
