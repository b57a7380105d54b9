"""Every kind of callable and every order of decorators: the same behaviour, one span."""

from __future__ import annotations

import asyncio
import functools
import inspect
import operator
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import pytest
from span_rows import context_unchanged, only, parents, recorded, statuses
from traced_things import Thing

import llmops_sdk as llmops

T = TypeVar("T")


class Child(Thing):
    """Overrides with super()."""

    @llmops.trace
    def method(self, x: int) -> Any:
        return super().method(x)

    @classmethod
    @llmops.trace
    def class_above(cls, x: int) -> Any:
        return super().class_above(x)


CALLS: dict[str, tuple[Callable[[Thing], Any], Callable[[Thing], Any]]] = {
    "Thing.method": (lambda thing: thing.method(1), lambda thing: (thing, 1)),
    "Thing.class_below": (lambda thing: thing.class_below(1), lambda _: (Thing, 1)),
    "Thing.class_above": (lambda thing: thing.class_above(1), lambda _: (Thing, 1)),
    "Thing.static_below": (lambda thing: thing.static_below(1), lambda _: 1),
    "Thing.static_above": (lambda thing: thing.static_above(1), lambda _: 1),
    "Thing.__call__": (lambda thing: thing(1), lambda _: 1),
    "Thing.__getitem__": (lambda thing: thing[1], lambda _: 1),
    "Thing.coroutine": (lambda thing: asyncio.run(thing.coroutine(1)), lambda _: 1),
    "Thing.generator": (lambda thing: list(thing.generator(1)), lambda _: [1]),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_on_an_instance_do_not_capture_the_receiver(name: str) -> None:
    thing = Thing()
    call, expected = CALLS[name]
    with context_unchanged():
        assert call(thing) == expected(thing)
    row = only(name)
    assert row["status"] == "ok"
    assert set(row["input"]) <= {"x"}


@pytest.mark.parametrize("name", ["class_below", "class_above", "static_below", "static_above"])
def test_calls_on_a_class_and_its_subclass_bind_correctly(name: str) -> None:
    class Sub(Thing):
        pass

    expected: tuple[Any, Any] = (1, 1) if "static" in name else ((Thing, 1), (Sub, 1))
    assert (getattr(Thing, name)(1), getattr(Sub, name)(x=1)) == expected
    assert [(row["name"], row["input"]) for row in recorded()] == [(f"Thing.{name}", {"x": 1})] * 2


def test_super_gives_two_spans() -> None:
    child = Child()
    assert child.method(1) == (child, 1)
    assert Child.class_above(2) == (Child, 2)
    assert parents() == {
        "Child.method": None, "Thing.method": "Child.method",
        "Child.class_above": None, "Thing.class_above": "Child.class_above",
    }  # fmt: skip


def test_unbound_and_bound_methods_behave_as_in_python() -> None:
    thing = Thing()
    assert Thing.method(thing, 1) == thing.method(1) == (thing, 1)
    assert thing.method == thing.method
    assert thing.method.__self__ is thing
    assert inspect.ismethod(thing.method)
    assert inspect.isfunction(Thing.method)
    assert inspect.ismethod(Thing.class_below)
    assert isinstance(inspect.getattr_static(Thing, "static_above"), staticmethod)
    assert isinstance(inspect.getattr_static(Thing, "class_above"), classmethod)
    assert hash(thing.method) == hash(thing.method)


def test_a_later_parameter_named_self_is_captured() -> None:
    @llmops.trace("odd")
    def odd(x: int, self: int) -> int:
        return x - self

    assert odd(3, 1) == odd(3, self=1) == 2
    assert [row["input"] for row in recorded()] == [{"x": 3, "self": 1}] * 2


@pytest.mark.parametrize("name", ["name", "kind", "args", "kwargs", "span", "ignore", "wrapped", "instance", "fn",
                                  "function", "input", "attributes", "parent", "cls", "model"])  # fmt: skip
def test_every_keyword_reaches_the_function(name: str) -> None:
    @llmops.trace("takes")
    def takes(**given: int) -> dict[str, int]:
        return given

    assert takes(**{name: 1}) == {name: 1}
    assert only("takes")["output"] == {name: 1}


def test_traced_partials_keep_result_and_signature() -> None:
    def add(a: int, b: int, c: int = 0) -> int:
        return a + b + c

    part = functools.partial(add, 1, c=5)
    traced = llmops.trace(part)
    with context_unchanged():
        assert traced(2) == 8
        assert functools.partial(llmops.trace("inner")(add), 1)(2) == 3
    assert inspect.signature(traced) == inspect.signature(part)
    assert sorted(statuses().values()) == ["ok", "ok"]


@pytest.mark.parametrize("kind", ["coroutine", "generator", "async generator"])
def test_partials_of_coroutines_and_generators_are_traced(kind: str) -> None:
    async def coroutine(a: int) -> int:
        await asyncio.sleep(0)
        return a

    def generator(a: int) -> Iterator[int]:
        yield a

    async def async_generator(a: int) -> AsyncIterator[int]:
        yield a

    async def drain(stream: AsyncIterator[int]) -> list[int]:
        return [n async for n in stream]

    with context_unchanged():
        if kind == "coroutine":
            assert asyncio.run(llmops.trace("part")(functools.partial(coroutine, 1))()) == 1
        elif kind == "generator":
            assert list(llmops.trace("part")(functools.partial(generator, 1))()) == [1]
        else:
            assert asyncio.run(drain(llmops.trace("part")(functools.partial(async_generator, 1))())) == [1]
    row = only("part")
    assert (row["status"], row["output"]) == ("ok", 1 if kind == "coroutine" else [1])


def test_a_partialmethod_of_a_traced_method_makes_one_span() -> None:
    class Holder:
        @llmops.trace
        def add(self, a: int, b: int) -> tuple[Holder, int]:
            return self, a + b

        add_one = functools.partialmethod(add, 1)

    holder = Holder()
    assert holder.add_one(2) == (holder, 3)
    assert len(recorded()) == 1


def test_traced_callable_objects_of_each_call_style_work() -> None:
    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> int:
            return x + self.n

    class Awaits:
        async def __call__(self, x: int) -> int:
            await asyncio.sleep(0)
            return x

    class Streams:
        def __call__(self, x: int) -> Iterator[int]:
            yield x

    with context_unchanged():
        assert llmops.trace("adder")(Adder(1))(x=2) == 3
        assert asyncio.run(llmops.trace("awaits")(Awaits())(2)) == 2
        assert list(llmops.trace("streams")(Streams())(2)) == [2]
    assert {row["name"]: (row["status"], row["output"]) for row in recorded()} == {
        "adder": ("ok", 3), "awaits": ("ok", 2), "streams": ("ok", [2]),
    }  # fmt: skip


BUILTINS: dict[str, Callable[[str], object]] = {
    "len": len,
    "max": max,
    "itemgetter": operator.itemgetter(0),
    "partial": functools.partial(max, "0"),
    "slot": str.upper,
    "bound": "a".join,
}


@pytest.mark.parametrize("name", BUILTINS)
def test_traced_builtins_return_what_they_return_untraced(name: str) -> None:
    function = BUILTINS[name]
    with context_unchanged():
        assert llmops.trace("builtin")(function)("12") == function("12")
    assert only("builtin")["status"] == "ok"


def test_a_traced_bound_method_captures_only_its_arguments() -> None:
    thing = Thing()
    traced = llmops.trace("bound")(thing.plain)
    assert traced(4) == 4
    assert only("bound")["input"] == {"x": 4}


def test_nested_functions_and_lambdas_are_traced() -> None:
    def outer() -> Callable[[int], int]:
        n = 10

        @llmops.trace
        def inner(x: int) -> int:
            nonlocal n
            n += x
            return n

        return inner

    inner = outer()
    assert (inner(1), inner(2)) == (11, 13)
    assert llmops.trace("double")(lambda x: x * 2)(2) == 4
    assert len(recorded()) == 3


def test_traced_twice_is_two_spans() -> None:
    assert llmops.trace("outer")(llmops.trace("inner")(lambda: 1))() == 1
    assert parents() == {"outer": None, "inner": "outer"}
