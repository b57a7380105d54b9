"""`contextmanager`, `lru_cache`, `singledispatch` and `wraps` above and below the decorator."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from span_rows import context_unchanged, only, parents, recorded, statuses

import llmops_sdk as llmops


@pytest.mark.parametrize("above", [True, False])
def test_a_traced_contextmanager_works(above: bool) -> None:
    def body() -> Iterator[int]:
        yield 1

    decorated = (
        llmops.trace("managed")(contextlib.contextmanager(body))
        if above
        else contextlib.contextmanager(llmops.trace("managed")(body))
    )
    with context_unchanged():
        with decorated() as value, llmops.span("inside"):
            assert value == 1
        with pytest.raises(KeyError), decorated():
            raise KeyError("inside")
    rows = [row for row in recorded() if row["name"] == "managed"]
    assert [row["status"] for row in rows] == (["ok", "ok"] if above else ["ok", "error"])


def test_a_traced_asynccontextmanager_works() -> None:
    @contextlib.asynccontextmanager
    @llmops.trace("managed")
    async def managed() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        with context_unchanged():
            async with managed() as value:
                assert value == 1
            with pytest.raises(KeyError):
                async with managed():
                    raise KeyError

    asyncio.run(main())
    assert [row["status"] for row in recorded()] == ["ok", "error"]


def test_lru_cache_in_both_orders() -> None:
    @functools.lru_cache
    @llmops.trace("below")
    def below(x: int) -> int:
        return x

    @llmops.trace("above")
    @functools.lru_cache
    def above(x: int) -> int:
        return x

    assert [below(1), below(1), above(1), above(1)] == [1] * 4
    assert [row["name"] for row in recorded()] == ["below", "above", "above"]
    assert below.cache_info().hits == 1
    assert above.cache_info().hits == 1
    above.cache_clear()


def test_singledispatch_in_both_orders() -> None:
    @functools.singledispatch
    @llmops.trace("base")
    def below(x: object) -> str:
        return "object"

    @below.register
    @llmops.trace("int")
    def _(x: int) -> str:
        return "int"

    assert (below("a"), below(1)) == ("object", "int")

    @functools.singledispatch
    def inner(x: object) -> str:
        return "object"

    above = llmops.trace("above")(inner)
    above.register(int, lambda _: "int")
    assert (above("a"), above(1)) == ("object", "int")
    assert [row["name"] for row in recorded()] == ["base", "int", "above", "above"]


def test_a_traced_singledispatchmethod_dispatches() -> None:
    class Holder:
        @functools.singledispatchmethod
        @llmops.trace
        def show(self, x: object) -> str:
            return "object"

        @show.register
        @llmops.trace
        def _(self, x: int) -> str:
            return "int"

    assert (Holder().show("a"), Holder().show(1)) == ("object", "int")
    assert len(recorded()) == 2


def test_wraps_stacks_in_both_orders() -> None:
    def doubled(function: Callable[[int], int]) -> Callable[[int], int]:
        @functools.wraps(function)
        def wrapper(x: int) -> int:
            return function(x) * 2

        return wrapper

    def number(x: int) -> int:
        return x

    assert llmops.trace("a")(doubled(llmops.trace("b")(number)))(1) == 2
    assert doubled(llmops.trace("c")(doubled(number)))(1) == 4
    assert parents() == {"a": None, "b": "a", "c": None}


def test_functools_wraps_over_another_call_style_works() -> None:
    """A sync wrapper around a coroutine function, as many libraries have: what is called decides."""

    async def coroutine(x: int) -> int:
        return x

    @functools.wraps(coroutine)
    def runs(x: int) -> int:
        return asyncio.run(coroutine(x))

    assert llmops.trace("runs")(runs)(3) == 3
    assert (only("runs")["status"], only("runs")["output"]) == ("ok", 3)


def test_a_plain_function_that_gives_a_coroutine_or_generator() -> None:
    async def coroutine(x: int) -> int:
        return x

    def generator() -> Iterator[int]:
        yield 1

    assert asyncio.run(llmops.trace("gives")(lambda: coroutine(3))()) == 3
    assert list(llmops.trace("gives2")(lambda: generator())()) == [1]
    assert set(statuses().values()) == {"ok"}
