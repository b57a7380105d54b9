"""Cases that no list had: blocks closed elsewhere, functions in several classes, objects of every attribute."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import enum
import functools
import gc
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.trace import StatusCode
from span_rows import context_unchanged, only, recorded, statuses, stored

import llmops_sdk as llmops

# --- a block that a plain generator holds open ------------------------------------------------------------------


def _spans() -> Iterator[int]:
    with llmops.span("held"):
        yield 1


def _stamps() -> Iterator[int]:
    with llmops.context(user_id="held"):
        yield 1


def _extracts() -> Iterator[int]:
    with llmops.extract({"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}):
        yield 1


@pytest.mark.parametrize("held", [_spans, _stamps, _extracts])
def test_a_block_closed_after_what_stood_around_it(held: Callable[[], Iterator[int]]) -> None:
    with llmops.span("outer"):
        stream: Any = held()
        next(stream)
    # The note of an open `llmops.context` ends with its block.
    with context_unchanged(but=["llmops-held-stamp"] if held is _stamps else []):
        stream.close()
    assert statuses()["outer"] == "ok"


@pytest.mark.parametrize("held", [_spans, _stamps, _extracts])
def test_a_block_closed_under_another_span(held: Callable[[], Iterator[int]]) -> None:
    with llmops.span("first"):
        stream: Any = held()
        next(stream)
    with llmops.span("second") as second:
        stream.close()
        assert llmops.current_span().span_id == second.span_id
        with llmops.span("below"):
            pass
    rows = {row["name"]: row for row in recorded()}
    assert rows["below"]["parent_span_id"] == rows["second"]["span_id"]
    assert "user_id" not in rows["below"]
    assert not llmops.current_span().is_recording()


def test_a_block_closed_in_another_context() -> None:
    stream: Any = _spans()
    contextvars.copy_context().run(next, stream)
    with llmops.span("other") as other:
        stream.close()
        assert llmops.current_span().span_id == other.span_id
    assert statuses() == {"held": "closed", "other": "ok"}


def test_what_a_block_left_behind_ends_with_the_block_around_it() -> None:
    with context_unchanged():
        with llmops.span("outer"):
            stream: Any = _spans()
            next(stream)
            assert llmops.current_span().name == "held"
        stream.close()


def test_a_stamp_around_an_open_block_ends_where_it_ends() -> None:
    with context_unchanged():
        with llmops.context(user_id="u"):
            stream: Any = _spans()
            next(stream)
        with context_unchanged():
            stream.close()
    with llmops.span("after"):
        pass
    assert "user_id" not in only("after")


def test_one_block_object_entered_inside_itself() -> None:
    block = llmops.span("twice")
    with context_unchanged(), block as first, block as second:
        assert first.span_id != second.span_id
        assert llmops.current_span().span_id == second.span_id
    rows = recorded()
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert rows[1]["parent_span_id"] == rows[0]["span_id"]


# --- where a function stands -------------------------------------------------------------------------------------


def test_one_function_in_several_classes() -> None:
    @llmops.trace("shared")
    def shared(self: object, x: int) -> int:
        return x

    class First:
        method = shared

    class Second:
        method = shared

    for cls in (First, Second, First):
        assert cls().method(1) == 1
    for stranger in ("plain", 7, "plain"):
        assert shared(stranger, 2) == 2
    assert [row["input"] for row in recorded()] == [
        {"x": 1}, {"x": 1}, {"x": 1}, {"self": "plain", "x": 2}, {"self": 7, "x": 2}, {"self": "plain", "x": 2},
    ]  # fmt: skip


def test_a_method_given_to_another_class() -> None:
    class First:
        @llmops.trace("method")
        def method(self, x: int) -> int:
            return x

    class Second:
        pass

    First().method(1)
    Second.method = First.method  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    third: Any = type("Third", (), {"other": First.method})
    other: Any = Second()
    other.method(2)
    third().other(3)
    First().method(4)
    assert [row["input"] for row in recorded()] == [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 4}]


def test_a_traced_cached_property_runs_once() -> None:
    class Thing:
        @functools.cached_property
        @llmops.trace("property")
        def value(self) -> list[int]:
            return [1]

    thing = Thing()
    assert thing.value is thing.value
    assert (only("property")["input"], only("property")["output"]) == ({}, [1])
    with pytest.raises(TypeError, match="got cached_property"):
        llmops.trace("wrong")(functools.cached_property(len))  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def test_methods_that_python_calls() -> None:
    class Meta(type):
        @llmops.trace("__call__")
        def __call__(cls, *args: object) -> Any:
            return super().__call__(*args)

        @llmops.trace("__instancecheck__")
        def __instancecheck__(cls, other: object) -> bool:
            return True

        @llmops.trace("__prepare__")
        @classmethod
        def __prepare__(mcs, name: str, bases: tuple[type, ...], **more: object) -> dict[str, object]:  # type: ignore[override]  # noqa: N804
            return {}

    class Base(metaclass=Meta):
        @llmops.trace("__init_subclass__")
        def __init_subclass__(cls, **more: object) -> None:
            super().__init_subclass__()

        @llmops.trace("__class_getitem__")
        def __class_getitem__(cls, item: object) -> Any:
            return cls

        @llmops.trace("__set_name__")
        def __set_name__(self, owner: object, name: str) -> None:
            pass

        @llmops.trace("__getattribute__")
        def __getattribute__(self, name: str) -> Any:
            return object.__getattribute__(self, name)

        @llmops.trace("__getattr__")
        def __getattr__(self, name: str) -> str:
            return name

        @llmops.trace("__iter__")
        def __iter__(self) -> Iterator[int]:
            yield 1

        @llmops.trace("__aiter__")
        async def __aiter__(self) -> AsyncIterator[int]:
            yield 1

        @llmops.trace("__await__")
        def __await__(self) -> Iterator[None]:
            yield
            return 5  # type: ignore[misc]  # pyright: ignore[reportReturnType] - what awaiting gives

        @llmops.trace("__repr__")
        def __repr__(self) -> str:
            return "told"

        @llmops.trace("__hash__")
        def __hash__(self) -> int:
            return 7

        @llmops.trace("__bool__")
        def __bool__(self) -> bool:
            return False

    class Sub(Base, key=1):
        held = Base()

    thing: Any = Base()

    async def main() -> int:
        assert [number async for number in thing] == [1]
        return int(await thing)

    with context_unchanged():
        assert Base[int] is Base
        assert (thing.missing, list(thing), repr(thing), hash(thing), bool(thing)) == ("missing", [1], "told", 7, False)
        assert asyncio.run(main()) == 5
        assert isinstance(3, Sub)
    inputs = {row["name"]: set(row["input"]) for row in recorded()}
    assert inputs.pop("__prepare__") == {"name", "bases", "key"}
    assert inputs.pop("__set_name__") == {"owner", "name"}
    assert (inputs.pop("__getattr__"), inputs.pop("__getattribute__")) == ({"name"}, {"name"})
    assert (inputs.pop("__init_subclass__"), inputs.pop("__class_getitem__")) == ({"key"}, {"item"})
    assert inputs.pop("__instancecheck__") == {"other"}
    assert set(inputs) == {"__call__", "__iter__", "__aiter__", "__await__", "__repr__", "__hash__", "__bool__"}
    assert not any(inputs.values())


def test_methods_of_enums_and_named_tuples_are_traced() -> None:
    class Colour(enum.Enum):
        RED = 1

        @llmops.trace("method")
        def method(self, x: int) -> int:
            return x

        @llmops.trace("made")
        @classmethod
        def made(cls, x: int) -> int:
            return x

        @property
        @llmops.trace("shown")
        def shown(self) -> int:
            return 1

    class Pair(NamedTuple):
        one: int

        @llmops.trace("of a tuple")
        def added(self, x: int) -> int:
            return self.one + x

    assert (Colour.RED.method(1), Colour.made(1), Colour.RED.shown, Pair(0).added(1)) == (1, 1, 1, 1)
    assert list(Colour) == [Colour.RED]
    assert [row["input"] for row in recorded()] == [{"x": 1}, {"x": 1}, {}, {"x": 1}]


class _Everything:
    """As a mock or the proxy of a remote server: it has whatever it is asked for."""

    def __getattr__(self, name: str) -> _Everything:
        return _Everything()

    def __call__(self, x: int) -> int:
        return x


def test_an_object_with_a_catch_all_getattr_can_be_traced() -> None:
    assert llmops.trace("every")(_Everything())(1) == 1
    assert only("every")["status"] == "ok"


def test_a_function_that_wraps_itself_can_be_traced() -> None:
    def round_and_round(x: int) -> int:
        return x

    round_and_round.__wrapped__ = round_and_round  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    assert llmops.trace("loop")(round_and_round)(1) == 1
    assert only("loop")["input"] == {"x": 1}


# --- exceptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chained", ["cause", "context"])
def test_a_chain_of_thousands_is_told_from_its_end(chained: str) -> None:
    @llmops.trace("tries")
    def tries() -> None:
        error = ValueError("first")
        for number in range(3_000):
            try:
                try:
                    raise error
                except ValueError as before:
                    if chained == "cause":
                        raise ValueError(number) from before
                    raise ValueError(number)  # noqa: B904 - the context alone
            except ValueError as new:
                error = new
        raise error

    began = time.thread_time()
    with pytest.raises(ValueError, match="2999") as caught:
        tries()
    assert time.thread_time() - began < 2  # 0.01; every exception of the chain described takes far more than that
    ((event,),) = [row["events"] for row in recorded()]
    told = event["attributes"]["exception.stacktrace"]
    assert told.endswith("ValueError: 2999\n")
    assert "ValueError: 2990\n" in told
    sentence = "direct cause of the following" if chained == "cause" else "another exception occurred"
    assert sentence in told
    assert "in tries" in told
    link: BaseException | None = caught.value
    for _ in range(3_000):
        link = link and link.__context__
    assert str(link) == "first"  # the application's chain is as it was


@pytest.mark.parametrize("kind", ["function", "generator"])
def test_endless_recursion_raises_recursion_error(kind: str) -> None:
    code = f"""
import llmops_sdk as llmops
if {kind == "generator"}:
    @llmops.trace("deep")
    def deep(n):
        yield n
        yield from deep(n + 1)
    run = lambda: list(deep(0))
else:
    @llmops.trace("deep")
    def deep(n):
        return deep(n + 1)
    run = lambda: deep(0)
try:
    run()
except RecursionError:
    assert not llmops.current_span().is_recording()
    with llmops.span("after"):
        pass
else:
    raise SystemExit("no end")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    rows = stored(Path(".llmops"))
    assert {row["status"] for row in rows if row["name"] == "deep"} == {"error"}
    assert len({row["span_id"] for row in rows}) == len(rows) > 50
    (after,) = [row for row in rows if row["name"] == "after"]
    assert "parent_span_id" not in after


# --- what the SDK calls for itself -------------------------------------------------------------------------------


@contextlib.contextmanager
def redacting(function: Callable[[str], str]) -> Iterator[None]:
    remove = llmops.add_redactor(function, name="own")
    try:
        yield
    finally:
        llmops.flush(30)
        remove()


@pytest.mark.parametrize("sampler", ["parentbased_always_on", "always_on"])
def test_a_traced_redactor_makes_no_spans_of_its_spans(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    called: list[str] = []

    @llmops.trace("redactor")
    def redactor(text: str) -> str:
        called.append(text)
        with llmops.span("inside"):
            return text

    with redacting(redactor):
        with llmops.span("work"):
            pass
        for _ in range(3):
            llmops.flush(30)
        assert statuses() == {"work": "ok"}
    assert "work" in called


def test_a_flush_inside_a_redactor_waits_for_nothing() -> None:
    reports: list[llmops.FlushReport] = []

    def redactor(text: str) -> str:
        reports.append(llmops.flush(600))
        return text

    with redacting(redactor):
        with llmops.span("work"):
            pass
        assert llmops.flush(60).stored == 1
    assert reports


# --- asyncio, threads, the end -----------------------------------------------------------------------------------


def test_an_async_generator_driven_by_hand_and_dropped() -> None:
    @llmops.trace("stream")
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            llmops.current_span().set(left=True)

    opened: Any = stream()
    with context_unchanged():
        with pytest.raises(StopIteration) as first:
            opened.__anext__().send(None)
        assert first.value.value == 1
        del opened, first
        gc.collect()
    assert (only("stream")["status"], only("stream")["attributes"]["left"]) == ("closed", True)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_spans_in_eager_tasks_nest() -> None:
    @llmops.trace("child")
    async def child(number: int) -> int:
        if number:
            await asyncio.sleep(0)
        return number

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - from 3.12 on
        async with llmops.span("root") as root:
            assert await asyncio.gather(*(asyncio.create_task(child(number)) for number in range(4))) == [0, 1, 2, 3]
            assert llmops.current_span().span_id == root.span_id

    with context_unchanged():
        asyncio.run(main())
    root = only("root")["span_id"]
    assert [row.get("parent_span_id") for row in recorded()] == [None] + [root] * 4


def test_a_task_group_that_one_failure_cancels() -> None:
    begun = threading.Semaphore(0)

    @llmops.trace("child")
    async def child(number: int) -> None:
        begun.release()
        if number == 4:
            raise ValueError(number)
        await asyncio.Event().wait()

    async def main() -> None:
        async with llmops.span("root"), asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(child(number))

    with context_unchanged(), pytest.raises(ExceptionGroup):
        asyncio.run(main())
    rows = recorded()
    assert collections.Counter((row["name"], row["status"]) for row in rows) == {
        ("root", "error"): 1,
        ("child", "error"): 1,
        ("child", "cancelled"): 4,
    }
    root = only("root")["span_id"]
    assert {row["parent_span_id"] for row in rows if row["name"] == "child"} == {root}


def test_a_generator_closed_while_another_thread_runs_it() -> None:
    begun, go_on = threading.Event(), threading.Event()

    @llmops.trace("stream")
    def stream() -> Iterator[int]:
        begun.set()
        assert go_on.wait(60)
        yield 1

    opened: Any = stream()
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(next(opened)))
    thread.start()
    assert begun.wait(60)
    with context_unchanged(), pytest.raises(ValueError, match="already executing"):
        opened.close()
    go_on.set()
    thread.join()
    assert got == [1]
    with context_unchanged():
        opened.close()
    assert only("stream")["status"] == "closed"


def test_what_runs_when_the_interpreter_ends() -> None:
    code = """
import atexit, threading, weakref
import llmops_sdk as llmops

class Thing:
    @llmops.trace("__del__")
    def __del__(self):
        pass

class Other:
    pass

@llmops.trace("generator")
def generator():
    yield 1

@llmops.trace("thread")
def thread():
    threading.main_thread().join()

thing, other, opened = Thing(), Other(), generator()
next(opened)
weakref.finalize(other, llmops.trace("finalize")(lambda: None))
atexit.register(llmops.trace("atexit")(lambda: None))
threading.Thread(target=thread).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["name"]: row["status"] for row in stored(Path(".llmops"))} == {
        "__del__": "ok", "finalize": "ok", "atexit": "ok", "thread": "ok", "generator": "closed",
    }  # fmt: skip


def test_everything_may_be_asked_of_a_span_that_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with llmops.span("not kept", input={"a": 1}, attributes={"b": 2}) as span:
        span.input = span.output = [1]
        span.set(c=3)
        span.usage(input_tokens=1)
        span.set_status(StatusCode.ERROR, "no")
        span.record_exception(ValueError("no"))
        span.add_event("e", {"d": 4})
        span.add_link(span.get_span_context())
        span.update_name("other")
        span.fail(ValueError("no"))
        span.end()
        assert (span.input, span.output, span.recording, span.is_recording()) == (None, None, False, False)
        assert (span.name, span.kind, span.status, span.status_message, span.error_type, span.otel_kind) == (
            "not kept", "chain", "unset", None, None, "internal",
        )  # fmt: skip
        assert not span.get_span_context().trace_flags.sampled
        carrier: dict[str, str] = {}
        llmops.inject(carrier)
        assert carrier["traceparent"] == f"00-{span.trace_id}-{span.span_id}-00"
    assert recorded() == []
