"""Which first argument is `self` or `cls` and no argument of the call; names of what a traced function makes."""

from __future__ import annotations

import abc
import functools
import inspect
import pickle
import types
from typing import Any

import pytest
from span_rows import recorded

import llmops_sdk as llmops


class Shop:
    """Each method takes x, however it is bound."""

    @llmops.trace
    def method(self, x: int) -> int:
        return x

    @llmops.trace
    def __private(self, x: int) -> int:
        return x

    def private(self, x: int) -> int:
        return self.__private(x)

    @llmops.trace
    @classmethod
    def above_class(cls, x: int) -> int:
        return x

    @classmethod
    @llmops.trace
    def below_class(cls, x: int) -> int:
        return x

    @llmops.trace
    @staticmethod
    def above_static(x: Any) -> Any:
        return x

    @staticmethod
    @llmops.trace
    def below_static(x: Any) -> Any:
        return x

    @property
    @llmops.trace
    def price(self) -> int:
        return 3

    @functools.cached_property
    @llmops.trace
    def stock(self) -> int:
        return 4


class Branch(Shop):
    pass


@llmops.trace
def helped(self: Any, x: int) -> int:
    return x


class Adopted:
    """A function from elsewhere that became a method."""

    taken = helped


def inputs(call: Any) -> list[Any]:
    before = len(recorded())
    call()
    return [row["input"] for row in recorded()[before:]]


@pytest.mark.parametrize("shop", [Shop(), Branch()], ids=["itself", "a subclass"])
@pytest.mark.parametrize("name", ["method", "private", "above_class", "below_class", "above_static", "below_static"])
def test_the_receiver_is_not_captured(shop: Shop, name: str) -> None:
    assert inputs(lambda: getattr(shop, name)(5)) == [{"x": 5}]


def test_a_static_method_keeps_an_instance_of_its_own_class() -> None:
    for name in ("above_static", "below_static"):
        assert [*inputs(lambda name=name: getattr(Shop, name)(Shop()))[0]] == ["x"]


def test_a_receiver_passed_through_the_class_is_not_captured() -> None:
    assert inputs(lambda: Shop.method(Shop(), 5)) == [{"x": 5}]
    assert inputs(lambda: Shop.below_class(5)) == [{"x": 5}]


@pytest.mark.parametrize("name", ["price", "stock"])
def test_properties_have_no_arguments(name: str) -> None:
    assert inputs(lambda: getattr(Shop(), name)) == [{}]


def test_a_function_that_became_a_method_and_is_still_a_function() -> None:
    assert inputs(lambda: Adopted().taken(5)) == [{"x": 5}]
    assert inputs(lambda: helped("me", 5)) == [{"self": "me", "x": 5}]


def test_a_method_taken_from_its_instance_stays_a_method() -> None:
    shop = Shop()
    traced = llmops.trace(shop.private)
    assert isinstance(traced, types.MethodType)
    assert traced.__self__ is shop
    assert inputs(lambda: traced(5)) == [{"x": 5}, {"x": 5}]


def test_binding_does_not_run_a_metaclass() -> None:
    class Nosy(abc.ABCMeta):
        @property
        def __mro__(cls) -> Any:
            raise AssertionError

        def __instancecheck__(cls, instance: object) -> bool:
            raise AssertionError

    class Thing(metaclass=Nosy):
        @llmops.trace
        def method(self, x: int) -> int:
            return x

    assert inputs(lambda: Thing().method(5)) == [{"x": 5}]


def test_coroutines_and_generators_keep_the_functions_name() -> None:
    @llmops.trace
    async def wait() -> None: ...

    @llmops.trace
    def talk() -> Any:
        yield 1

    coroutine, generator = wait(), talk()
    assert (coroutine.__name__, generator.__name__) == ("wait", "talk")
    assert coroutine.__qualname__.endswith("<locals>.wait")
    coroutine.close()
    generator.close()


def test_decorated_descriptors_keep_their_type() -> None:
    assert isinstance(vars(Shop)["above_class"], classmethod)
    assert isinstance(vars(Shop)["above_static"], staticmethod)
    assert inspect.isfunction(Shop.method)
    assert pickle.loads(pickle.dumps(Shop.method)) is Shop.method


def test_a_generator_below_types_coroutine_is_awaited() -> None:
    @llmops.trace
    @types.coroutine
    def wait(x: int) -> Any:
        yield
        return x

    async def main() -> int:
        return await wait(5)

    before = len(recorded())
    running = main()
    running.send(None)
    with pytest.raises(StopIteration) as done:
        running.send(None)
    assert done.value.value == 5
    assert [(row["output"], row["status"]) for row in recorded()[before:]] == [(5, "ok")]
