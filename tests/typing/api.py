"""What type checkers infer for a user of the public names: checked by basedpyright and mypy, both strict; not run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, assert_type

from pydantic import BaseModel

import llmops_sdk as llmops


class Invoice(BaseModel):
    """A validated answer."""

    number: str
    total: float


@dataclass
class Address:
    """A validated answer of another make."""

    city: str


class Ticket(TypedDict):
    """A validated answer that is a plain dict."""

    subject: str


# --- prompt functions: written as what they return, used as what they answer -----------------------------------------


@llmops.llm
def text(question: str, *, polite: bool = True) -> str:
    """Bare: the answer is text."""
    return question if polite else question.upper()


@llmops.llm
def conversation(question: str) -> list[dict[str, Any]]:
    """The prompt may be a list of messages."""
    return [{"role": "user", "content": question}]


@llmops.llm("openai/gpt-4.1-mini", temperature=0.0)
def with_options(question: str) -> str:
    """With options: the answer is text."""
    return question


@llmops.llm(returns=Invoice)
def invoice(document: str) -> str:
    """A pydantic model."""
    return document


@llmops.llm(returns=Address)
def address(document: str) -> str:
    """A dataclass."""
    return document


@llmops.llm(returns=Ticket)
def ticket(document: str) -> str:
    """A TypedDict."""
    return document


@llmops.llm(returns=llmops.Response)
def whole(question: str) -> str:
    """The whole response."""
    return question


@llmops.llm(stream=True)
def streamed(question: str) -> str:
    """A stream."""
    return question


@llmops.llm
async def text_async(question: str) -> str:
    """The async twin of text."""
    return question


@llmops.llm(returns=Invoice)
async def invoice_async(document: str) -> str:
    """The async twin of invoice."""
    return document


@llmops.llm(stream=True)
async def streamed_async(question: str) -> str:
    """The async twin of streamed."""
    return question


assert_type(text("Where is my card?", polite=False), str)
assert_type(conversation("Where is my card?"), str)
assert_type(with_options("Where is my card?"), str)
assert_type(invoice("No. 1: 3.50"), Invoice)
assert_type(address("London"), Address)
assert_type(ticket("Lost card"), Ticket)
assert_type(whole("Where is my card?"), llmops.Response)
assert_type(streamed("Where is my card?"), llmops.Stream)
assert_type(streamed_async("Where is my card?"), llmops.AsyncStream)

text(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the parameters are kept
text("a", sincere=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - and so are their names
llmops.llm(temprature=0.0)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue] - a misspelled option


async def prompt_functions_async() -> None:
    """What awaiting the async ones gives."""
    assert_type(await text_async("Where is my card?"), str)
    assert_type(await invoice_async("No. 1: 3.50"), Invoice)
    async for chunk in streamed_async("Where is my card?"):
        assert_type(chunk, llmops.Chunk)


# --- tracing keeps what it decorates ---------------------------------------------------------------------------------


@llmops.trace
def add(a: int, b: int = 2) -> int:
    """Bare."""
    return a + b


@llmops.trace("total", kind="tool", ignore=["b"])
def total(a: int, b: int) -> int:
    """With a name and options."""
    return a + b


@llmops.trace
async def fetch(url: str) -> bytes:
    """A coroutine."""
    return url.encode()


@llmops.trace
def count(limit: int) -> Iterator[int]:
    """A generator."""
    yield from range(limit)


@llmops.trace(kind="retriever")
async def search(question: str) -> AsyncIterator[str]:
    """An async generator."""
    yield question


class Shop:
    """Methods of every sort."""

    @llmops.trace
    def price(self, item: str) -> float:
        """A method."""
        return float(len(item))

    @classmethod
    @llmops.trace
    def named(cls, name: str) -> Shop:
        """A classmethod, decorated below."""
        return cls() if name else Shop()

    @staticmethod
    @llmops.trace("tax")
    def tax(amount: float) -> float:
        """A staticmethod, decorated below."""
        return amount * 0.2


assert_type(add(1), int)
assert_type(add(1, b=3), int)
assert_type(total(1, 2), int)
assert_type(count(3), Iterator[int])
assert_type(search("card"), AsyncIterator[str])
assert_type(Shop().price("pen"), float)
assert_type(Shop.named("corner"), Shop)
assert_type(Shop.tax(1.0), float)
add("1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the parameters are kept


async def spans() -> None:
    """Spans, scores and context."""
    assert_type(await fetch("x"), bytes)
    with llmops.context(session_id="s", user_id="u", tags=["a"], metadata={"plan": "free"}):
        with llmops.span("work", kind="chain", input={"a": 1}, attributes={"llmops.x": 1}) as span:
            assert_type(span, llmops.Span)
            assert_type(span.trace_id, str)
            assert_type(span.span_id, str)
            span.output = {"b": 2}
            span.set({"dotted.name": 1}, plain=2)
            span.usage(input_tokens=1, output_tokens=2, cost=0.1, model="m")
            span.score("helpful", True)
        async with llmops.span("more") as other:
            assert_type(other, llmops.Span)
    llmops.score("helpful", 0.5, trace_id="0" * 32, comment="said so", source="judge")
    assert_type(llmops.flush(), llmops.FlushReport)
    assert_type(await llmops.aflush(timeout=1.0), llmops.FlushReport)
    carrier: dict[str, str] = {}
    llmops.inject(carrier)
    with llmops.extract(carrier):
        llmops.current_span().set_attribute("a", 1)


# --- calls -----------------------------------------------------------------------------------------------------------


async def calls() -> None:
    """The functions, the model object, and their async twins."""
    assert_type(llmops.chat("Hi", temperature=0.0, timeout=llmops.Timeout(total=10)), llmops.Response)
    assert_type(llmops.chat([{"role": "user", "content": "Hi"}], cache=False, retry=False, guards=[]), llmops.Response)
    assert_type(await llmops.achat("Hi", model="offline/echo", extra={"top_k": 3}), llmops.Response)
    for chunk in llmops.stream("Hi"):
        assert_type(chunk, llmops.Chunk)
        assert_type(chunk.text, str)
    with llmops.stream("Hi") as stream:
        assert_type(stream, llmops.Stream)
    assert_type(stream.response, llmops.Response)
    async for chunk in llmops.astream("Hi"):
        assert_type(chunk, llmops.Chunk)
    assert_type(llmops.embed(["a", "b"]), llmops.Embeddings)
    assert_type(await llmops.aembed(["a", "b"]), llmops.Embeddings)
    with llmops.LLM("offline/echo") as model:
        assert_type(model, llmops.LLM)
        assert_type(model.chat("Hi"), llmops.Response)
    async with llmops.LLM() as model:
        assert_type(await model.achat("Hi"), llmops.Response)
    llmops.chat("Hi", temprature=0.0)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - misspelled


def answer(response: llmops.Response) -> None:
    """The fields of a response."""
    assert_type(response.text, str)
    assert_type(response.usage.input_tokens, int)
    assert_type(response.cost, float | None)
    assert_type(response.attempts, tuple[llmops.Attempt, ...])
    assert_type(response.tool_calls, tuple[llmops.ToolCall, ...])
    assert_type(response.trace_id, str | None)


# --- policies keep what they decorate --------------------------------------------------------------------------------


@llmops.retry
@llmops.cache
def bare(question: str) -> str:
    """Bare, stacked."""
    return question


@llmops.retry(attempts=4)
@llmops.guard(input=["cards"])
@llmops.cache(ttl=60.0)
def stacked(question: str) -> str:
    """With options, stacked."""
    return question


@llmops.retry(attempts=2)
async def stacked_async(question: str) -> str:
    """A coroutine."""
    return question


@llmops.hedge
def hedged(question: str) -> str:
    """Bare."""
    return question


@llmops.hedge(share=0.02, percentile=99.0, name="ask")
async def hedged_async(question: str) -> str:
    """A coroutine."""
    return question


@llmops.fallback(bare, stacked)
def with_fallback(question: str, *, polite: bool = True) -> str:
    """With others."""
    return question if polite else question.upper()


@llmops.cache
@llmops.fallback(stacked_async, on=(TimeoutError, ConnectionError))
@llmops.retry
async def with_fallback_async(question: str) -> str:
    """A coroutine, stacked."""
    return question


@llmops.fallback(count, on=lambda error: "busy" in str(error))
def counting(limit: int) -> Iterator[int]:
    """A generator."""
    yield limit


@llmops.breaker
def with_breaker(question: str, *, polite: bool = True) -> str:
    """Under a breaker."""
    return question if polite else question.upper()


@llmops.breaker(3, 10.0, name="vendor", on=(TimeoutError, ConnectionError))
async def with_breaker_async(question: str) -> str:
    """A coroutine."""
    with llmops.breaker(failures=2) as policy:
        assert_type(policy.state, Literal["closed", "open", "half_open"])
    async with llmops.breaker():
        return question


assert_type(with_breaker("a", polite=False), str)
kept_breaker: Callable[[str], Coroutine[Any, Any, str]] = with_breaker_async
with_breaker(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the parameters are kept


@llmops.budget(limit_usd=5.0, per="user", window="month", cost=0.01)
def with_budget(question: str, *, polite: bool = True) -> str:
    """With a budget."""
    return question if polite else question.upper()


@llmops.budget(limit_tokens=1_000, name="job", mode="soft", cost=lambda answer: len(answer))
async def with_budget_async(question: str) -> str:
    """A coroutine."""
    with llmops.budget(limit_usd=1.0, window=90.0) as policy:
        assert_type(policy.name, str)
    async with llmops.budget(limit_usd=1.0):
        return question


assert_type(with_budget("a", polite=False), str)
kept_budget: Callable[[str], Coroutine[Any, Any, str]] = with_budget_async
with_budget(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the parameters are kept
llmops.budget(limit_usd=1.0, per="team")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - no such key
at_most_two = llmops.limit(2, requests_per_minute=60.0, name="gpu", fair="user")


@at_most_two
def limited(question: str) -> str:
    """Under limits."""
    return question


@llmops.limit(concurrency=2)
async def limited_async(question: str) -> str:
    """A coroutine."""
    return question


async def limited_blocks() -> None:
    """Blocks."""
    with at_most_two as policy:
        assert_type(policy.in_flight, int)
    async with at_most_two:
        assert_type(at_most_two.concurrency, int | None)


assert_type(limited("a"), str)
kept_limited: Callable[[str], Coroutine[Any, Any, str]] = limited_async
limited(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the parameters are kept
assert_type(bare("a"), str)
assert_type(stacked("a"), str)
assert_type(with_fallback("a", polite=False), str)
assert_type(counting(3), Iterator[int])
kept_fallback: Callable[[str], Coroutine[Any, Any, str]] = with_fallback_async
assert_type(hedged("a"), str)
kept_hedge: Callable[[str], Coroutine[Any, Any, str]] = hedged_async
llmops.hedge(delay=1.0)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue] - no such option
with_fallback(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the parameters are kept
llmops.fallback("openai/gpt-4.1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - not a function
kept: Callable[[str], Coroutine[Any, Any, str]] = stacked_async
stacked(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the parameters are kept


# --- settings and queries --------------------------------------------------------------------------------------------


async def queries() -> None:
    """Settings in, rows out."""
    assert_type(llmops.configure(model="offline/echo"), llmops.Settings)
    assert_type(llmops.settings().retry.attempts, int)
    result = llmops.query("SELECT name FROM spans WHERE duration_ms > $ms", {"ms": 5})
    assert_type(result, llmops.Result)
    assert_type(result.columns, tuple[str, ...])
    assert_type(result.rows(), list[tuple[Any, ...]])
    for row in await llmops.aquery("SELECT 1"):
        assert_type(row, tuple[Any, ...])
    assert_type(llmops.__version__, str)


def errors() -> None:
    """An error's fields."""
    try:
        llmops.chat("Hi")
    except llmops.RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except llmops.ProviderTimeoutError as error:
        timeout: TimeoutError = error
        assert_type(error.status_code, int | None)
        raise timeout from error


# --- encoders: the function stays what it is --------------------------------------------------------------------------


@llmops.register_encoder(Address)
def encode_address(value: Address) -> dict[str, str]:
    """As a decorator."""
    return {"city": value.city}


assert_type(encode_address(Address("Graz")), dict[str, str])
llmops.register_encoder(Invoice, lambda value: value.total)
