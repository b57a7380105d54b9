"""`@llmops.llm` under the same conditions as `@llmops.trace`."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from span_rows import context_unchanged, only, recorded

import llmops_sdk as llmops


@llmops.llm("offline/echo")
def ask(text: str) -> str:
    """Ask."""
    return text


@llmops.llm("offline/echo")
async def ask_async(text: str) -> str:
    return text


@llmops.llm("offline/echo", stream=True)
def ask_stream(text: str) -> str:
    return text


@llmops.llm("offline/echo", stream=True)
async def ask_stream_async(text: str) -> str:
    return text


class Asker:
    @llmops.llm("offline/echo")
    def method(self, text: str) -> str:
        return text

    @llmops.llm("offline/echo")
    @classmethod
    def class_below(cls, text: str) -> str:
        return text

    @classmethod
    @llmops.llm("offline/echo")
    def class_above(cls, text: str) -> str:
        return text

    @llmops.llm("offline/echo")
    @staticmethod
    def static_below(text: str) -> str:
        return text

    @staticmethod
    @llmops.llm("offline/echo")
    def static_above(text: str) -> str:
        return text


def _pair(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The function's span and the one call to a model below it."""
    function = only(name)
    below = [row for row in recorded() if row.get("parent_span_id") == function["span_id"]]
    assert [row["kind"] for row in below] == ["llm"]
    return function, below[0]


def test_a_prompt_function_makes_one_call_span() -> None:
    with context_unchanged():
        assert ask("hello") == "hello"
    function, call = _pair("ask")
    assert (function["status"], call["status"]) == ("ok", "ok")
    assert (function["input"], function["output"]) == ({"text": "hello"}, "hello")


def test_a_prompt_coroutine_makes_one_call_span() -> None:
    async def main() -> None:
        with context_unchanged():
            assert await ask_async("hello") == "hello"

    asyncio.run(main())
    function, call = _pair("ask_async")
    assert (function["status"], call["status"]) == ("ok", "ok")


@pytest.mark.parametrize("name", ["method", "class_below", "class_above", "static_below", "static_above"])
def test_prompt_methods_do_not_send_self(name: str) -> None:
    with context_unchanged():
        assert getattr(Asker(), name)("hi") == "hi"
    function, _ = _pair(f"Asker.{name}")
    assert function["input"] == {"text": "hi"}


def test_a_stream_to_its_end() -> None:
    with context_unchanged():
        stream = ask_stream("one two three")
        assert not llmops.current_span().is_recording()
        pieces = []
        for chunk in stream:
            assert not llmops.current_span().is_recording()
            pieces.append(chunk.text)
    assert "".join(pieces) == "one two three"
    function, call = _pair("ask_stream")
    assert (function["status"], call["status"]) == ("ok", "ok")


@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_a_stream_left_early(how: str) -> None:
    gc.collect()  # of what other tests left, now, for it may have set variables
    with context_unchanged():
        stream = ask_stream("one two three four five")
        if how == "with":
            with stream:
                next(iter(stream))
        else:
            next(iter(stream))
            if how == "close":
                stream.close()
            else:
                del stream
                gc.collect()
    function, call = _pair("ask_stream")
    assert (function["status"], call["status"]) == ("closed", "closed")


def test_an_async_stream_left_early() -> None:
    async def main() -> None:
        with context_unchanged():
            stream = await ask_stream_async("one two three four")
            async with stream:
                async for _ in stream:
                    break

    asyncio.run(main())
    function, call = _pair("ask_stream_async")
    assert (function["status"], call["status"]) == ("closed", "closed")


def test_an_async_stream_whose_consumer_is_cancelled() -> None:
    reached = asyncio.Event()

    async def consume() -> None:
        stream = await ask_stream_async("one two three four")
        async with stream:
            async for _ in stream:
                reached.set()
                await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(consume())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    function, call = _pair("ask_stream_async")
    assert {function["status"], call["status"]} <= {"closed", "cancelled"}


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(2), asyncio.CancelledError()],
                         ids=lambda error: type(error).__name__)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_in_the_prompt_body_propagates(error: BaseException, stream: bool) -> None:
    @llmops.llm("offline/echo", stream=stream)
    def asks() -> str:
        raise error

    with context_unchanged(), pytest.raises(type(error)) as caught:
        asks()
    assert caught.value is error
    assert [row["status"] != "ok" for row in recorded()] == [True]


def test_a_wrong_call_raises_pythons_own_error() -> None:
    def asks(text: str) -> str:
        return text

    with pytest.raises(TypeError) as pythons:
        asks()
    with context_unchanged(), pytest.raises(TypeError) as ours:
        llmops.llm("offline/echo")(asks)()
    assert str(ours.value).split("()")[1] == str(pythons.value).split("()")[1]


def test_inspect_sees_the_prompt_functions_signature() -> None:
    assert inspect.isfunction(ask)
    assert inspect.iscoroutinefunction(ask_async)
    assert str(inspect.signature(ask)) == "(text: 'str') -> 'str'"
    assert "def ask(text" in inspect.getsource(ask)
    assert (ask.__name__, ask.__qualname__, ask.__doc__) == ("ask", "ask", "Ask.")


def test_prompt_functions_pickle_by_name() -> None:
    sys.modules.setdefault(__name__, inspect.getmodule(Asker))
    assert pickle.loads(pickle.dumps(ask)) is ask
    assert pickle.loads(pickle.dumps(Asker())).method("a") == "a"


def test_hostile_arguments_do_not_break_a_prompt_call() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise ValueError

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    @llmops.llm("offline/echo")
    def asks(_: Any) -> str:
        return "fine"

    with context_unchanged():
        assert asks(Rude()) == "fine"
    assert only(asks.__qualname__)["status"] == "ok"


def test_trace_works_above_and_below_a_prompt_function() -> None:
    outer = llmops.trace("outer")(ask)
    assert outer("x") == "x"
    assert only("ask")["parent_span_id"] == only("outer")["span_id"]


def test_a_prompt_of_surrogates() -> None:
    with context_unchanged():
        assert isinstance(ask("a\ud800b"), str)
    assert _pair("ask")[0]["status"] == "ok"


def test_called_inside_a_traced_generator() -> None:
    @llmops.trace("stream")
    def stream() -> Iterator[str]:
        for word in ("a", "b"):
            yield ask(word)

    with context_unchanged():
        assert list(stream()) == ["a", "b"]
    parent = only("stream")["span_id"]
    assert [row["parent_span_id"] for row in recorded() if row["name"] == "ask"] == [parent, parent]
