"""`@llmops.llm`: the caller gets the answer; sync and async, on every kind of function."""

from __future__ import annotations

import copy
import dataclasses
import gc
import inspect
import json
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict

import pydantic
import pytest

import llmops_sdk as llmops


class Invoice(pydantic.BaseModel):
    total: float


@dataclasses.dataclass
class Place:
    name: str


class Parcel(TypedDict):
    weight: float


@llmops.llm
def greet(name: str, *, punctuation: str = "!") -> str:
    """Greet somebody."""
    return f"Hello {name}{punctuation}"


@llmops.llm(temperature=0)
async def greet_async(name: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"Hello {name}"}]


class Desk:
    name = "desk"

    @llmops.llm
    def greet(self, who: str) -> str:
        return f"{self.name} greets {who}"

    @llmops.llm
    async def agreet(self, who: str) -> str:
        return f"{self.name} greets {who}"

    @classmethod
    @llmops.llm
    def inner_class(cls, who: str) -> str:
        return f"{cls.name} greets {who}"

    @llmops.llm
    @classmethod
    def outer_class(cls, who: str) -> str:
        return f"{cls.name} greets {who}"

    @staticmethod
    @llmops.llm
    def inner_static(who: str) -> str:
        return f"somebody greets {who}"

    @llmops.llm
    @staticmethod
    def outer_static(who: str) -> str:
        return f"somebody greets {who}"


def test_the_caller_gets_the_text(rows):
    assert greet("Ada", punctuation="?") == "Hello Ada?"
    above, call = rows("SELECT * FROM spans ORDER BY start_ns")
    assert (above["name"], above["kind"], above["status"]) == ("greet", "chain", "ok")
    assert json.loads(above["input"]) == {"name": "Ada", "punctuation": "?"}
    assert json.loads(above["output"]) == "Hello Ada?"
    assert call["parent_span_id"] == above["span_id"]
    assert rows("SELECT prompt_name FROM llm_calls") == [{"prompt_name": "greet"}]


async def test_an_async_function_is_awaited():
    assert await greet_async("Ada") == "Hello Ada"


async def test_methods_work_with_decorators_in_either_order():
    desk = Desk()
    assert desk.greet("Ada") == "desk greets Ada"
    assert await desk.agreet("Ada") == "desk greets Ada"
    for owner in (Desk, desk):
        assert owner.inner_class("Ada") == owner.outer_class("Ada") == "desk greets Ada"
        assert owner.inner_static("Ada") == owner.outer_static("Ada") == "somebody greets Ada"


def test_self_is_not_recorded_as_an_argument(rows):
    Desk().greet("Ada")
    (span,) = rows("SELECT input, name FROM spans WHERE kind = 'chain'")
    assert (json.loads(span["input"]), span["name"]) == ({"who": "Ada"}, "Desk.greet")


def test_the_function_keeps_its_name_and_documentation():
    assert greet.__name__ == "greet"
    assert greet.__doc__ == "Greet somebody."
    assert str(inspect.signature(greet)) == "(name: 'str', *, punctuation: 'str' = '!') -> 'str'"
    assert not inspect.iscoroutinefunction(greet)
    assert inspect.iscoroutinefunction(greet_async)
    assert copy.deepcopy(greet) is greet


def test_returns_decides_the_type_of_the_answer():
    @llmops.llm(returns=Invoice)
    def invoice(text: str) -> str:
        return text

    @llmops.llm(returns=Place)
    def place(text: str) -> str:
        return text

    @llmops.llm(returns=Parcel)
    def parcel(text: str) -> str:
        return text

    @llmops.llm(returns=llmops.Response)
    def whole(text: str) -> str:
        return text

    assert isinstance(invoice("…"), Invoice)
    assert isinstance(place("…"), Place)
    assert set(parcel("…")) == {"weight"}
    assert whole("Say hello").text == "Say hello"


def test_an_answer_that_never_fits_raises():
    llmops.configure(model="offline/script", options={"answers": ["no"]})

    @llmops.llm(returns=Invoice)
    def invoice(text: str) -> str:
        return text

    with pytest.raises(llmops.ValidationFailedError):
        invoice("…")


def test_decorator_options_reach_the_call(rows):
    llmops.configure(models={"other": {"model": "offline/script", "options": {"answers": ["scripted"]}}})

    @llmops.llm("other", system="Be brief.", max_tokens=50, retry=1)
    def ask(text: str) -> str:
        return text

    assert ask("x") == "scripted"
    (call,) = rows("SELECT input_messages, request_model FROM llm_calls")
    assert "Be brief." in call["input_messages"]
    assert call["request_model"] == "script"


def test_a_stream_function_returns_a_stream_with_two_spans(rows):
    @llmops.llm(stream=True)
    def tell(topic: str) -> str:
        return f"Tell of {topic} please"

    stream = tell("bees")
    assert isinstance(stream, llmops.Stream)
    assert "".join(chunk.text for chunk in stream) == "Tell of bees please"
    above, call = rows("SELECT * FROM spans ORDER BY start_ns")
    assert (above["kind"], above["status"]) == ("chain", "ok")
    assert json.loads(above["input"]) == {"topic": "bees"}
    assert json.loads(above["output"]) == "Tell of bees please"
    assert call["parent_span_id"] == above["span_id"]
    assert above["duration_ms"] >= call["duration_ms"]


@pytest.mark.parametrize("abandoned", [True, False])
def test_leaving_the_stream_ends_both_spans_as_closed(abandoned, rows):
    @llmops.llm(stream=True)
    def tell(topic: str) -> str:
        return f"Tell of {topic} please"

    stream = tell("bees")
    if not abandoned:
        next(stream)
    del stream
    gc.collect()
    found = rows("SELECT kind, status FROM spans ORDER BY start_ns")
    closed = [{"kind": "chain", "status": "closed"}, {"kind": "llm", "status": "closed"}]
    assert found == closed[: 1 if abandoned else 2]


async def test_an_async_stream_function_returns_an_async_stream(rows):
    @llmops.llm(stream=True)
    async def tell(topic: str) -> str:
        return f"Tell of {topic} please"

    stream = tell("bees")
    assert isinstance(stream, llmops.AsyncStream)
    assert "".join([chunk.text async for chunk in stream]) == "Tell of bees please"
    awaited = await tell("ants")
    assert "".join([chunk.text async for chunk in awaited]) == "Tell of ants please"
    never = tell("moths")
    del never
    gc.collect()
    assert rows("SELECT kind, status, count(*) AS n FROM spans GROUP BY ALL ORDER BY kind") == [
        {"kind": "chain", "status": "ok", "n": 2},
        {"kind": "llm", "status": "ok", "n": 2},
    ]


async def test_an_error_of_the_function_fails_its_span(rows):
    @llmops.llm
    def broken(text: str) -> str:
        raise ZeroDivisionError(text)

    @llmops.llm(stream=True)
    async def abroken(text: str) -> str:
        raise ZeroDivisionError(text)

    with pytest.raises(ZeroDivisionError):
        broken("x")
    with pytest.raises(ZeroDivisionError):
        await abroken("x")
    found = rows("SELECT name, status, error_type FROM spans")
    assert [(row["status"], row["error_type"]) for row in found] == 2 * [("error", "ZeroDivisionError")]


def test_wrong_arguments_raise_pythons_own_error():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        greet()
    with pytest.raises(TypeError, match="nam"):
        greet("Ada", nam=3)


def test_a_function_that_returns_no_prompt_raises():
    @llmops.llm
    def forgetful(name: str) -> str:
        _ = f"Hello {name}"

    with pytest.raises(TypeError, match="forget"):
        forgetful("Ada")


def test_objects_that_are_not_prompt_functions_are_rejected():
    def yields() -> Iterator[str]:
        yield "x"

    async def ayields() -> AsyncIterator[str]:
        yield "x"

    for wrong in (yields, ayields, Invoice, 3):
        with pytest.raises(TypeError, match="@llm"):
            llmops.llm(wrong)
    with pytest.raises(TypeError, match=r"llm\(\).*'temprature'.*'temperature'"):
        llmops.llm(temprature=1)
    with pytest.raises(TypeError, match=r"'strem'.*'stream'"):
        llmops.llm(strem=True)


def test_it_stacks_with_trace_in_either_order(rows):
    @llmops.trace("outer")
    @llmops.llm
    def inside(text: str) -> str:
        return text

    @llmops.llm
    @llmops.trace("prompt")
    def outside(text: str) -> str:
        return text

    assert inside("Say hello") == outside("Say hello") == "Say hello"
    assert rows("SELECT count(*) AS n FROM spans WHERE status = 'ok'") == [{"n": 6}]


def test_a_prompt_function_pickles_by_its_name():
    assert pickle.loads(pickle.dumps(greet)) is greet


def test_the_wrapped_function_can_still_be_called():
    assert inspect.unwrap(greet)("Ada") == "Hello Ada!"


def test_a_prompt_name_from_the_context_takes_precedence(rows):
    with llmops.context(prompt=("welcome", "3")):
        greet("Ada")
    assert rows("SELECT prompt_name, prompt_version FROM llm_calls") == [
        {"prompt_name": "welcome", "prompt_version": "3"}
    ]
