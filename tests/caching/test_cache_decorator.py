"""`@cache` on functions of JSON."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections import defaultdict
from enum import IntEnum, StrEnum

import pytest

from llmops_sdk.caching import cache
from llmops_sdk.errors import ConfigError


@pytest.fixture
def calls():
    return []


@pytest.fixture
def kept(tmp_path, clock):
    return functools.partial(cache, path=tmp_path, clock=clock)


def test_the_same_arguments_in_any_form_are_one_call(kept, calls):
    @kept(ttl=60)
    def f(a: int, b: str = "x", *rest: int, **more: object) -> list:
        """Doc."""
        calls.append(a)
        return [a, b, None, {"more": sorted(more)}]

    assert f(1) == f(a=1) == f(1, "x") == f(1, b="x") == [1, "x", None, {"more": []}]
    assert calls == [1]
    f(1, "x", 2)
    f(1, y=1)
    f(True)
    assert calls == [1, 1, 1, True]
    assert str(inspect.signature(f)) == "(a: 'int', b: 'str' = 'x', *rest: 'int', **more: 'object') -> 'list'"
    assert f.__doc__ == "Doc."


def test_a_result_is_not_shared_with_the_next_caller(kept):
    @kept()
    def f():
        return {"list": [1]}

    f()["list"].append(2)
    assert f() == {"list": [1]}


def test_none_and_falsy_results_are_results(kept, calls):
    @kept()
    def f(value):
        calls.append(value)
        return value

    for value in (None, 0, "", [], {}, False, 0.5):
        assert f(value) == value
        assert type(f(value)) is type(value)
    assert len(calls) == 7


def test_coroutine_results_are_cached(kept, calls):
    @kept()
    async def f(x):
        calls.append(x)
        return x * 2

    async def main():
        return await asyncio.gather(*(f(3) for _ in range(20)))

    assert inspect.iscoroutinefunction(f)
    assert asyncio.run(main()) == [6] * 20
    assert calls == [3]


def test_methods_of_every_kind_are_cached(kept, calls):
    class Bot:
        @kept(key=lambda _self, x: x)
        def ask(self, x):
            calls.append(x)
            return x

        @staticmethod
        @kept()
        def static(x) -> int:
            calls.append(x)
            return x

        @kept()
        @staticmethod
        def other(x) -> int:
            calls.append(x)
            return x

    bot = Bot()
    for _ in range(2):
        assert (bot.ask(1), Bot().ask(1), Bot.static(2), bot.static(2), bot.other(3)) == (1, 1, 2, 2, 3)
    assert calls == [1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"x", float("nan"), (1, 2), {1: 2}, [float("inf")], 2**70],
    ids=["object", "set", "bytes", "nan", "tuple", "int-keys", "inf", "big"],
)
def test_a_result_that_is_not_json_is_not_stored(kept, calls, value, lookups):
    @kept()
    def f():
        calls.append(1)
        return value

    assert f() is value
    assert f() is value
    assert len(calls) == 2
    assert [lookup["decision"] for lookup in lookups()] == ["not_stored"] * 2


class Colour(StrEnum):
    RED = "red"


class Shade(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


ARGUMENTS = [
    {1: "a"}, {"1": "a"}, {1.0: "a", "x": 1}, {True: "a"}, {"True": "a"}, {None: "a"}, {"null": "a"}, {"None": "a"},
    {Colour.RED: 1}, {"red": 1}, None, "null", "None", [1, 2], (1, 2), [[1], 2], [(1,), 2], "[1, 2]", 1, 1.0, True,
    "1", "true", Colour.RED, Shade.RED, "red", Level.ONE, 0, False, -0.0, 0.0, "", [], (), {}, [None], [[]], [()],
    {"list": [1]}, {"tuple": [1]}, {"dict": []}, {"enum": ["x"]}, {1: {1: 2}}, {1: {"1": 2}}, {(1, 2): 3},
    {"(1, 2)": 3},
]  # fmt: skip


def test_arguments_of_different_types_are_different_arguments(kept, calls):
    @kept()
    def f(x, *rest, key=None):
        calls.append(x)
        return repr([x, rest, key])

    for _ in range(2):
        for value in ARGUMENTS:
            assert f(value) == repr([value, (), None])
            assert f(0, value, key=value) == repr([0, (value,), value])
    assert len(calls) == 2 * len(ARGUMENTS)


def test_the_order_of_a_mapping_makes_no_other_call(kept, calls):
    @kept()
    def f(x):
        calls.append(1)
        return 1

    assert f({"a": 1, 2: {"b": 3, "c": 4}}) == f({2: {"c": 4, "b": 3}, "a": 1}) == 1
    assert len(calls) == 1


@pytest.mark.parametrize("made", [lambda: {1, 2}, lambda: defaultdict(list), lambda: OwnText("x"), lambda: b"x"])
def test_arguments_with_more_than_their_text_are_passed_on(kept, calls, made):
    @kept()
    def f(x):
        calls.append(x)
        return 1

    f(made())
    f(made())
    assert len(calls) == 2


class OwnText(str):  # noqa: SLOT000 - with attributes of its own
    """A text that may have attributes of its own."""


def test_arguments_that_are_not_json_are_passed_on(kept, calls, lookups):
    @kept()
    def f(x):
        calls.append(x)
        return 1

    f(calls.append)
    f(calls.append)
    assert len(calls) == 2
    assert [(lookup["decision"], lookup["reason"]) for lookup in lookups()] == [("bypassed", "arguments_not_json")] * 2


def test_ttl_expires_and_namespaces_are_separate(kept, calls, clock):
    def f(x):
        calls.append(x)
        return x

    one, other = kept(ttl=10, namespace="one")(f), kept(ttl=10, namespace="other")(f)
    one(1), other(1), one(1), other(1)
    assert len(calls) == 2
    clock.advance(10)
    one(1)
    assert len(calls) == 3


def test_a_changed_body_or_closure_changes_the_key(kept):
    def make(prefix):
        @kept()
        def f(x):
            return prefix + x

        return f

    def edited():
        @kept()
        def f(x):
            return x.upper()

        return f

    assert [make("a")("x"), make("b")("x"), make("a")("x")] == ["ax", "bx", "ax"]
    assert edited()("x") == "X"


def test_partials_have_keys_of_their_own(kept):
    def f(a, b):
        return a + b

    assert kept()(functools.partial(f, "a"))("x") == "ax"
    assert kept()(functools.partial(f, "b"))("x") == "bx"


def test_errors_pass_and_are_not_stored(kept, calls):
    @kept()
    def f():
        calls.append(1)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            f()
    assert len(calls) == 2


def test_a_wrong_call_is_the_functions_own_error(kept):
    @kept()
    def f(a):
        return a

    with pytest.raises(TypeError, match="argument"):
        f()


def test_functions_that_cannot_be_cached_are_rejected_when_decorating(kept):
    def generator():
        yield 1

    async def asyncgen():
        yield 1

    class Callable:
        def __call__(self):
            return 1

    for target in (generator, asyncgen, Callable(), [].append, 3):
        with pytest.raises(TypeError):
            kept()(target)
    for ttl in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError):
            cache(ttl=ttl)


def test_by_default_results_are_in_the_configured_folder(own_surroundings):
    @cache
    def f(x):
        return x

    assert f(1) == f(1) == 1
    assert (own_surroundings / ".llmops" / "cache" / "functions" / "cache.db").exists()
