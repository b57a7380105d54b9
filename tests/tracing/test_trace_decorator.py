"""`@llmops.trace` on everything that can be called: same result, same exception, exactly one span."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import functools
import inspect
import json
import pickle
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from opentelemetry import trace as otel_trace

import llmops_sdk as llmops
from llmops_sdk._util._guard import raise_in_tests


@llmops.trace
def add(a: int, b: int = 2) -> int:
    """Adds."""
    return a + b


@llmops.trace("renamed", kind="tool", ignore=["secret"], attributes={"team": "a"})
def with_options(x: int, secret: str) -> list[int]:
    return [x]


class Thing:
    def __init__(self, size: int) -> None:
        self.size = size

    @llmops.trace
    def method(self, x: int) -> int:
        return self.size + x

    @llmops.trace
    @classmethod
    def class_outer(cls, x: int) -> tuple[str, int]:
        return cls.__name__, x

    @classmethod
    @llmops.trace
    def class_inner(cls, x: int) -> tuple[str, int]:
        return cls.__name__, x

    @llmops.trace
    @staticmethod
    def static_outer(x: int) -> int:
        return x

    @staticmethod
    @llmops.trace
    def static_inner(x: int) -> int:
        return x

    @property
    @llmops.trace
    def doubled(self) -> int:
        return self.size * 2


class Adder:
    def __call__(self, x: int) -> int:
        return x + 1


class AsyncAdder:
    async def __call__(self, x: int) -> int:
        return x + 1


def test_a_function_gives_its_result_and_one_span(sink):
    assert add(1) == 3
    span = sink.only()
    assert (span.name, span.kind, span.status, span.parent_id) == ("add", "chain", "ok", 0)
    assert json.loads(span.input) == {"a": 1}
    assert json.loads(span.output) == 3
    assert span.duration_ns >= 0
    assert span.resource["service.name"]


def test_decorator_options_appear_on_the_span(sink):
    assert with_options(1, secret="x" * 8) == [1]
    span = sink.only()
    assert (span.name, span.kind, dict(span.attributes)) == ("renamed", "tool", {"team": "a"})
    assert json.loads(span.input) == {"x": 1}


def test_capture_can_be_turned_off(sink):
    @llmops.trace(capture_input=False, capture_output=False)
    def f(x: int) -> int:
        return x

    assert f(1) == 1
    assert (sink.only().input, sink.only().output) == (None, None)


@pytest.mark.parametrize(
    ("call", "expected", "captured"),
    [
        (lambda: Thing(1).method(2), 3, {"x": 2}),
        (lambda: Thing.method(Thing(1), 2), 3, {"x": 2}),
        (lambda: Thing(1).method(x=2), 3, {"x": 2}),
        (lambda: Thing.class_outer(2), ("Thing", 2), {"x": 2}),
        (lambda: Thing(1).class_inner(2), ("Thing", 2), {"x": 2}),
        (lambda: Thing.static_outer(2), 2, {"x": 2}),
        (lambda: Thing(1).static_outer(2), 2, {"x": 2}),
        (lambda: Thing(1).static_inner(2), 2, {"x": 2}),
        (lambda: llmops.trace(functools.partial(add.__wrapped__, 1))(5), 6, {"args": [5]}),
        (lambda: llmops.trace(Adder())(5), 6, {"args": [5]}),
        (lambda: llmops.trace(len)("abc"), 3, {"args": ["abc"]}),
        (lambda: llmops.trace(lambda x, self: (x, self))(1, 2), (1, 2), {"x": 1, "self": 2}),
        (lambda: llmops.trace(lambda *items, **more: len(items) + len(more))(1, 2, k=3), 3, {"items": [1, 2], "k": 3}),
    ],
)
def test_every_form_of_callable_is_traced(sink, call: Callable[[], Any], expected: Any, captured: dict[str, Any]):
    assert call() == expected
    assert json.loads(sink.only().input) == captured


def test_a_traced_property_getter_works(sink):
    assert Thing(4).doubled == 8
    assert sink.only().name == "Thing.doubled"


async def test_an_async_callable_object(sink):
    assert await llmops.trace(AsyncAdder())(1) == 2
    assert json.loads(sink.only().output) == 2


def test_a_decorated_function_keeps_its_metadata():
    async def coroutine() -> None: ...
    def generator() -> Generator[int]:
        yield 1

    async def async_generator() -> AsyncGenerator[int]:
        yield 1

    assert inspect.iscoroutinefunction(llmops.trace(coroutine))
    assert inspect.isgeneratorfunction(llmops.trace(generator))
    assert inspect.isasyncgenfunction(llmops.trace(async_generator))
    assert (add.__name__, add.__doc__, str(inspect.signature(add))) == (
        "add",
        "Adds.",
        "(a: 'int', b: 'int' = 2) -> 'int'",
    )
    assert pickle.loads(pickle.dumps(add)) is add
    assert copy.deepcopy(add) is add
    assert copy.copy(add) is add


def test_the_users_type_error_is_unaltered(sink):
    with pytest.raises(TypeError, match=r"add\(\) missing 1 required positional argument: 'a'"):
        add()  # pyright: ignore[reportCallIssue]
    assert (sink.only().status, sink.only().error_type) == ("error", "TypeError")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("no"), "error"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(1), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "closed"),
    ],
)
def test_an_exception_passes_through_and_names_the_status(sink, error: BaseException, status: str):
    @llmops.trace
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    # A stream that its consumer left is no error of any type.
    assert (sink.only().status, sink.only().error_type) == (
        status,
        None if status == "closed" else type(error).__name__,
    )
    assert not otel_trace.get_current_span().get_span_context().is_valid


def test_an_exception_is_an_event_with_its_stack(sink):
    @llmops.trace
    def fail() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        fail()
    ((name, _, attributes),) = sink.only().events
    assert name == "exception"
    assert (attributes["exception.type"], attributes["exception.message"]) == ("ValueError", "why")
    assert "in fail" in attributes["exception.stacktrace"]
    assert sink.only().status_message == "why"


def test_an_exception_whose_str_raises_is_still_the_users(sink):
    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("hostile")

    @llmops.trace
    def fail() -> None:
        raise HostileError

    with pytest.raises(HostileError):
        fail()
    assert sink.only().status == "error"
    assert sink.only().status_message == "<str() of this HostileError raises>"


def test_an_exception_through_many_spans_is_described_by_its_nearest_frames(sink):
    @llmops.trace("level")
    def down(n: int) -> None:
        if n:
            down(n - 1)
        else:
            raise ValueError("at the bottom")

    with pytest.raises(ValueError, match="at the bottom"):
        down(60)
    stacks = [dict(span.events[0][2])["exception.stacktrace"] for span in sink.spans]
    assert len(stacks) == 61
    # Each span describes the whole way down: were all frames in it, n spans would cost n² frames.
    assert all(stack.count("  File ") <= 24 for stack in stacks)
    assert all("at the bottom" in stack for stack in stacks)


def test_bound_methods_pickle():
    thing = Thing(3)
    assert pickle.loads(pickle.dumps(thing.method))(1) == 4
    assert pickle.loads(pickle.dumps(Thing.class_outer))(1) == ("Thing", 1)


def test_children_are_below_their_parent_and_siblings_beside(sink):
    @llmops.trace("parent")
    def parent() -> int:
        return add(1) + add(2)

    assert parent() == 7
    above = sink.named("parent")
    below = [span for span in sink.spans if span.name == "add"]
    assert [span.parent_id for span in below] == [above.span_id, above.span_id]
    assert {span.trace_id for span in sink.spans} == {above.trace_id}


async def test_coroutines_nest_by_task(sink):
    @llmops.trace
    async def leaf(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @llmops.trace
    async def branch(n: int) -> int:
        return await leaf(n)

    assert await asyncio.gather(*(branch(n) for n in range(5))) == list(range(5))
    branches = {span.span_id for span in sink.spans if span.name.endswith("branch")}
    assert {span.parent_id for span in sink.spans if span.name.endswith("leaf")} == branches
    assert len(branches) == 5


async def test_a_cancelled_coroutine_is_cancelled_not_failed(sink):
    started = asyncio.Event()

    @llmops.trace
    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(wait())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.only().status == "cancelled"


def current() -> int:
    return otel_trace.get_current_span().get_span_context().span_id


@llmops.trace
def counting(n: int) -> Generator[int, str, str]:
    heard: list[str] = []
    for i in range(n):
        try:
            heard.append((yield i) or "-")
        except KeyError:
            heard.append("thrown")
    return ",".join(heard)


def test_a_generator_keeps_send_throw_and_its_return_value(sink):
    def outer() -> Generator[int, str, None]:
        results.append((yield from counting(3)))

    results: list[str] = []
    generator = outer()
    assert next(generator) == 0
    assert generator.send("a") == 1
    assert generator.throw(KeyError()) == 2
    with pytest.raises(StopIteration):
        generator.send("b")
    assert results == ["a,thrown,b"]
    span = sink.only()
    assert (span.status, json.loads(span.output)) == ("ok", [0, 1, 2])


def test_a_generator_is_current_only_inside_next(sink):
    seen: list[int] = []

    @llmops.trace
    def inside() -> Generator[int]:
        for i in range(2):
            seen.append(current())
            yield i

    with llmops.span("caller"):
        mine = current()
        first, second = inside(), inside()
        between = [
            (next(first), current()),
            (next(second), current()),
            (next(first), current()),
            (next(second), current()),
        ]
        list(second)
        list(first)
        assert current() == mine
    assert [item for item, _ in between] == [0, 0, 1, 1]
    assert {where for _, where in between} == {mine}
    caller = sink.named("caller")
    streams = [span for span in sink.spans if span.name.endswith("inside")]
    assert [span.parent_id for span in streams] == [caller.span_id] * 2
    assert seen == [streams[1].span_id, streams[0].span_id, streams[1].span_id, streams[0].span_id]


def test_a_generator_left_early_is_closed_and_its_cleanup_runs(sink):
    cleaned: list[int] = []

    @llmops.trace
    def stream() -> Generator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            cleaned.append(current())

    for text in stream():
        assert text == "a"
        break
    span = sink.only()
    assert (span.status, json.loads(span.output)) == ("closed", "a")
    assert cleaned == [span.span_id]


def test_a_generator_never_begun_has_no_span(sink):
    counting(3).close()
    assert sink.spans == []


def test_a_failing_generator_ends_its_span_with_the_error(sink):
    @llmops.trace
    def stream() -> Generator[str]:
        yield "a"
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(stream())
    assert (sink.only().status, sink.only().error_type) == ("error", "ValueError")


@llmops.trace
async def async_counting(n: int) -> AsyncGenerator[int, str]:
    for i in range(n):
        heard = yield i
        if heard == "stop":
            return


async def test_an_async_generator_keeps_asend_and_athrow(sink):
    generator = async_counting(5)
    assert await anext(generator) == 0
    assert await generator.asend("go") == 1
    with pytest.raises(StopAsyncIteration):
        await generator.asend("stop")
    assert (sink.only().status, json.loads(sink.only().output)) == ("ok", [0, 1])


async def test_an_async_generator_athrow_reaches_the_body(sink):
    @llmops.trace
    async def body() -> AsyncGenerator[str]:
        try:
            yield "a"
        except KeyError:
            yield "caught"

    generator = body()
    assert await anext(generator) == "a"
    assert await generator.athrow(KeyError()) == "caught"
    await generator.aclose()
    assert sink.only().status == "closed"


@pytest.mark.parametrize("way", ["break", "aclosing"])
async def test_an_async_generator_left_early_is_closed_once(sink, way: str):
    async def leave() -> None:
        generator = async_counting(5)
        if way == "aclosing":
            async with contextlib.aclosing(generator):
                async for _ in generator:
                    return
        async for _ in generator:
            break
        await generator.aclose()

    with llmops.span("caller"):
        mine = current()
        await leave()
        assert current() == mine
    assert [(span.name, span.status) for span in sink.spans] == [("async_counting", "closed"), ("caller", "ok")]


async def test_a_timeout_inside_a_traced_async_generator_fires(sink):
    @llmops.trace
    async def body() -> AsyncGenerator[str]:
        async with asyncio.timeout(0):
            yield "in time"
            await asyncio.Event().wait()

    tasks: list[object] = []

    async def consume() -> None:
        async for _ in body():
            tasks.append(asyncio.current_task())  # noqa: PERF401 - kept also when the loop fails

    with pytest.raises(TimeoutError):
        await consume()
    assert tasks == [asyncio.current_task()]
    assert (sink.only().status, sink.only().error_type) == ("error", "TimeoutError")


async def test_a_cancelled_consumer_of_an_async_generator(sink):
    started = asyncio.Event()

    @llmops.trace
    async def body() -> AsyncGenerator[int]:
        started.set()
        await asyncio.Event().wait()
        yield 1

    async def consume() -> None:
        async for _ in body():
            pass

    task = asyncio.ensure_future(consume())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.only().status == "cancelled"


def test_a_bare_string_for_ignore_is_an_error():
    with pytest.raises(TypeError, match=r"ignore=\['token'\]"):
        llmops.trace(ignore="token")


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(ValueError, match="retriever"):
        llmops.trace(kind="chian")


def test_non_callables_and_classes_raise_type_error():
    with pytest.raises(TypeError, match="int"):
        llmops.trace(5)  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(TypeError, match="decorate the methods of Thing"):
        llmops.trace(Thing)


@dataclasses.dataclass
class Shelf:
    """Whose method's arguments are shown by a function."""

    books: int = 3

    @llmops.trace(capture_input=lambda title, *, what: {"length": len(title), "what": what}, capture_output=type)
    def find(self, title: str, *, what: str) -> str:
        return title


def test_capture_functions_choose_what_is_captured(sink):
    @llmops.trace(capture_input=lambda text: len(text), capture_output=lambda items: f"{len(items)} items")
    def split(text: str) -> list[str]:
        return text.split()

    @llmops.trace(capture_output=str.upper)
    def talk() -> Generator[str]:
        yield from "ab"

    assert split("a b c") == ["a", "b", "c"]
    assert Shelf().find("Emma", what="book") == "Emma"
    assert list(talk()) == ["a", "b"]
    split_span, find, talked = sink.spans
    assert (split_span.input, split_span.output) == (b"5", b'"3 items"')
    assert json.loads(find.input) == {"length": 4, "what": "book"}
    assert talked.output == b'"AB"'


@pytest.mark.parametrize("option", ["capture_input", "capture_output"])
def test_a_failing_capture_function_does_not_fail_the_call(sink, option: str):
    def wrong(_value: object) -> object:
        raise ValueError

    @llmops.trace(**{option: wrong})
    def double(function: int) -> int:
        return function * 2

    raise_in_tests(False)
    try:
        assert double(function=2) == 4
    finally:
        raise_in_tests(True)
    kept = sink.only()
    assert (kept.input if option == "capture_input" else kept.output) == b'{"$unreadable":true}'
