"""What type checkers infer of calls to models and of prompt functions; checked by basedpyright and mypy, not run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

from pydantic import BaseModel

import llmops_sdk as llmops


class Invoice(BaseModel):
    total: float


@dataclass
class Place:
    name: str


class Parcel(TypedDict):
    weight: float


# --- calls -----------------------------------------------------------------------------------------------------------

assert_type(llmops.chat("Hi"), llmops.Response)
assert_type(llmops.stream("Hi", temperature=0.2), llmops.Stream)
assert_type(llmops.astream([{"role": "user", "content": "Hi"}]), llmops.AsyncStream)
assert_type(llmops.embed(["Hi"], model="offline/echo"), llmops.Embeddings)
assert_type(llmops.LLM("offline/echo", retry=3, cache={"ttl": 60}).chat("Hi", guards=[]), llmops.Response)
for chunk in llmops.stream("Hi"):
    assert_type(chunk, llmops.Chunk)
with llmops.LLM() as model, model.stream("Hi") as chunks:
    assert_type(model, llmops.LLM)
    assert_type(chunks.response, llmops.Response)

llmops.chat("Hi", temprature=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
llmops.chat("Hi", temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
llmops.chat(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def calls() -> None:
    assert_type(await llmops.achat("Hi", timeout=llmops.Timeout(total=3)), llmops.Response)
    assert_type(await llmops.aembed(["Hi"]), llmops.Embeddings)
    assert_type(await llmops.astream("Hi"), llmops.AsyncStream)
    async for piece in llmops.astream("Hi"):
        assert_type(piece, llmops.Chunk)
    async with llmops.LLM() as own:
        assert_type(await own.achat("Hi"), llmops.Response)


# --- prompt functions ------------------------------------------------------------------------------------------------


@llmops.llm
def bare(question: str, *, words: int = 10) -> str:
    return f"{question} in {words} words"


@llmops.llm
async def bare_async(question: str) -> str:
    return question


@llmops.llm(temperature=0)
def called(question: str) -> str:
    return question


@llmops.llm("smart", system="Be brief.")
async def called_async(question: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}]


@llmops.llm(returns=Invoice)
def typed(text: str) -> str:
    return text


@llmops.llm(model="smart", returns=Invoice, retry=2)
async def typed_async(text: str) -> str:
    return text


@llmops.llm(returns=Place)
def placed(text: str) -> str:
    return text


@llmops.llm(returns=Parcel)
def weighed(text: str) -> str:
    return text


@llmops.llm(returns=llmops.Response)
def whole(text: str) -> str:
    return text


@llmops.llm(returns=llmops.Response)
async def whole_async(text: str) -> str:
    return text


@llmops.llm(stream=True)
def streamed(text: str) -> str:
    return text


@llmops.llm(stream=True, guards=["cards"])
async def streamed_async(text: str) -> str:
    return text


@llmops.llm
@llmops.trace
def traced_inside(text: str) -> str:
    return text


@llmops.trace
@llmops.llm
def traced_outside(text: str) -> str:
    return text


assert_type(bare("Why?", words=3), str)
assert_type(called("Why?"), str)
assert_type(typed("…"), Invoice)
assert_type(placed("…"), Place)
assert_type(weighed("…"), Parcel)
assert_type(whole("…"), llmops.Response)
assert_type(streamed("…"), llmops.Stream)
assert_type(streamed_async("…"), llmops.AsyncStream)
assert_type(traced_inside("…"), str)
assert_type(traced_outside("…"), str)

as_callable: Callable[[str], Coroutine[Any, Any, str]] = bare_async

bare(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
bare("Why?", word=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@llmops.llm  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def no_prompt() -> int:
    return 1


async def prompt_functions() -> None:
    assert_type(await bare_async("Why?"), str)
    assert_type(await called_async("Why?"), str)
    assert_type(await typed_async("…"), Invoice)
    assert_type(await whole_async("…"), llmops.Response)
    async for piece in streamed_async("…"):
        assert_type(piece.text, str)


class Desk:
    @llmops.llm
    def greet(self, name: str) -> str:
        return f"Greet {name}"

    @llmops.llm(returns=Invoice)
    async def read(self, text: str) -> str:
        return text

    @classmethod
    @llmops.llm
    def general(cls, name: str) -> str:
        return name

    @staticmethod
    @llmops.llm(returns=Place)
    def find(name: str) -> str:
        return name

    @llmops.llm
    @staticmethod
    def outer_static(name: str) -> str:
        return name

    @llmops.llm
    @classmethod
    def outer_class(cls, name: str) -> str:
        return name


desk = Desk()
assert_type(desk.greet("Ada"), str)
assert_type(Desk.general("Ada"), str)
assert_type(desk.find("Ada"), Place)
assert_type(Desk.outer_static("Ada"), str)
assert_type(Desk.outer_class("Ada"), str)


async def methods() -> None:
    assert_type(await desk.read("…"), Invoice)
