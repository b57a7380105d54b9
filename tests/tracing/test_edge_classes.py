"""Special methods, abstract, generic and protocol methods."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import typing
from typing import Any, Generic, Protocol, TypeVar

import pytest
from span_rows import context_unchanged, recorded, statuses

import llmops_sdk as llmops

_T = TypeVar("_T")


def counted(x: int) -> int:
    return x


def test_dataclass_methods_and_init() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Point:
        x: int

        @llmops.trace("__post_init__")
        def __post_init__(self) -> None:
            pass

        @llmops.trace("move")
        def move(self, by: int) -> Point:
            return Point(self.x + by)

    class Init:
        @llmops.trace("__init__")
        def __init__(self, x: int) -> None:
            self.x = x

        @llmops.trace("__new__")
        def __new__(cls, x: int) -> Any:  # noqa: ARG004
            return super().__new__(cls)

        def __init_subclass__(cls) -> None:
            llmops.trace("sub")(lambda: None)()

        @llmops.trace("__del__")
        def __del__(self) -> None:
            pass

        @llmops.trace("__eq__")
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Init)

        __hash__ = object.__hash__

    assert Point(1).move(2) == Point(3)
    one = Init(4)
    assert one.x == 4
    assert one == Init(5)
    del one
    names = [row["name"] for row in recorded()]
    assert sorted(names) == sorted(
        ["__post_init__"] * 3 + ["move"] + ["__new__", "__init__", "__del__"] * 2 + ["__eq__"]
    )


def test_traced_enter_and_exit_work_in_a_with_block() -> None:
    class Managed:
        @llmops.trace("__enter__")
        def __enter__(self) -> Any:
            return self

        @llmops.trace("__exit__")
        def __exit__(self, *error: object) -> bool:
            return error[0] is KeyError

        @llmops.trace("__aenter__")
        async def __aenter__(self) -> Any:
            return self

        @llmops.trace("__aexit__")
        async def __aexit__(self, *error: object) -> bool:
            return error[0] is KeyError

    async def main() -> None:
        async with Managed():
            raise KeyError

    with context_unchanged():
        with Managed():
            raise KeyError
        asyncio.run(main())
    assert set(statuses().values()) == {"ok"}
    assert len(recorded()) == 4


def test_abstract_and_protocol_methods() -> None:
    class Base(abc.ABC):
        @llmops.trace("above")
        @abc.abstractmethod
        def above(self) -> int: ...

        @abc.abstractmethod
        @llmops.trace("below")
        def below(self) -> int:
            return 1

    with pytest.raises(TypeError, match="abstract"):
        Base()

    class Real(Base):
        def above(self) -> int:
            return 2

        def below(self) -> int:
            return super().below()

    class Sized(Protocol):
        @llmops.trace("size")
        def size(self) -> int:
            return 3

    class Box(Sized):
        pass

    assert (Real().above(), Real().below(), Box().size()) == (2, 1, 3)
    assert [row["name"] for row in recorded()] == ["below", "size"]


def test_generic_and_typed_methods_keep_their_signature() -> None:
    class Box(Generic[_T]):
        @llmops.trace
        def put(self, item: _T) -> list[_T]:
            return [item]

    assert Box[int]().put(1) == [1]
    assert typing.get_type_hints(Box.put) == {"item": _T, "return": list[_T]}
    assert typing.get_type_hints(llmops.trace(counted)) == {"x": int, "return": int}


def test_new_is_given_its_class_and_keeps_the_other_arguments() -> None:
    class Plain:
        @llmops.trace("plain")
        def __new__(cls, x: int) -> Any:  # noqa: ARG004
            return super().__new__(cls)

    class Static:
        @llmops.trace("above")
        @staticmethod
        def __new__(cls: type[Static], x: int) -> Any:
            return object.__new__(cls)

    class Below(Plain):
        @staticmethod
        @llmops.trace("below")
        def __new__(cls: type[Below], x: int) -> Any:
            return Plain.__new__(cls, x + 1)

    class Number(int):
        @llmops.trace("number")
        def __new__(cls, x: int) -> Any:
            return super().__new__(cls, x)

    with context_unchanged():
        assert [type(cls(1)) for cls in (Plain, Static, Below, Number)] == [Plain, Static, Below, Number]
    assert [(row["name"], row["input"]) for row in recorded()] == [
        ("plain", {"x": 1}), ("above", {"x": 1}), ("below", {"x": 1}), ("plain", {"x": 2}), ("number", {"x": 1}),
    ]  # fmt: skip
