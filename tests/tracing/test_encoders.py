"""`register_encoder`: the application says what is kept of its own classes, and can break nothing by it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import logging
import threading
from typing import Any

import pydantic
import pytest

import llmops_sdk as llmops
from llmops_sdk.tracing import register_encoder
from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._encode import encode


def kept(value: object, bounds: Bounds | None = None) -> Any:
    return json.loads(encode(value, bounds or Bounds()))


class Account:
    def __init__(self, number: str) -> None:
        self.number = number


def test_encoders_register_by_call_and_by_decorator():
    class Own(Account):
        pass

    def encode_own(value: Own) -> object:
        return {"number": value.number}

    assert register_encoder(Own, encode_own) is encode_own
    assert kept([Own("1")]) == [{"number": "1"}]

    @llmops.register_encoder(Own)
    def encode_last_digit(value: Own) -> object:
        return value.number[-1]

    assert encode_last_digit(Own("12")) == "2"
    assert kept([Own("34")]) == ["4"]


def test_the_nearest_class_wins():
    class Base:
        pass

    class Middle(Base):
        pass

    class Leaf(Middle):
        pass

    class Other(str):
        __slots__ = ()

    register_encoder(Base, lambda _: "base")
    register_encoder(Leaf, lambda _: "leaf")
    register_encoder(Other, lambda value: {"upper": value.upper()})
    assert kept([Base(), Middle(), Leaf(), Other("a"), "a"]) == ["base", "base", "leaf", {"upper": "A"}, "a"]


def test_an_encoder_overrides_the_builtin_writer():
    class Model(pydantic.BaseModel):
        token: str

    class Day(dt.date):
        pass

    register_encoder(Model, lambda value: f"…{value.token[-2:]}")
    register_encoder(Day, lambda value: value.year)
    assert kept({"m": Model(token="abcd"), "d": Day(2026, 1, 2), "e": dt.date(2026, 1, 2)}) == {
        "m": "…cd",
        "d": 2026,
        "e": "2026-01-02",
    }


def test_an_encoders_result_is_captured_within_the_bounds():
    class Tree:
        def __init__(self, *children: object) -> None:
            self.children = children

    class Endless:
        pass

    class Huge:
        pass

    register_encoder(Tree, lambda value: {"children": value.children, "when": dt.date(2026, 1, 2)})
    register_encoder(Endless, lambda _: Endless())
    register_encoder(Huge, lambda _: "x" * 1_000_000)
    when = "2026-01-02"
    assert kept(Tree(Tree(), 1)) == {"children": [{"children": [], "when": when}, 1], "when": when}
    assert kept([Endless(), 1]) == [{"$truncated": "Endless"}, 1]
    assert len(encode(Huge(), Bounds(max_bytes=1_000))) < 1_200
    knot = Tree([])
    knot.children[0].append(knot)
    assert kept(knot)["children"] == [[{"$cycle": "Tree"}]]


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (lambda _: 1 / 0, "it raised ZeroDivisionError"),
        (lambda value: value, "it returned the value itself"),
        (lambda _: NotImplemented, "NotImplementedType"),
        (lambda _: (n for n in [1]), "generator"),
        (lambda _: asyncio.sleep(0), "coroutine"),
        (lambda: None, "it raised TypeError"),
    ],
    ids=["raises", "itself", "not implemented", "generator", "coroutine", "wrong arguments"],
)
def test_a_failing_encoder_is_logged_once_and_bypassed(
    encoder: Any, said: str, sink: Any, caplog: pytest.LogCaptureFixture
):
    class Broken(Account):
        pass

    Broken.__qualname__ = f"Broken.{said}"
    register_encoder(Broken, encoder)

    @llmops.trace
    def call(given: object, password: str) -> int:
        return 1

    with caplog.at_level(logging.WARNING, logger="llmops_sdk"):
        assert [call(Broken("4711"), "x") for _ in range(3)] == [1, 1, 1]
    (first, *_) = inputs = [json.loads(span.input) for span in sink.spans]
    assert first == {"given": {"$type": f"{__name__}.{Broken.__qualname__}"}, "password": "x"}
    assert len(inputs) == 3
    (logged,) = caplog.messages
    assert said in logged
    assert "4711" not in caplog.text
    assert [(loss.what, loss.reason, loss.count) for loss in sink.losses] == [("value", "encoder_failed", 3)]


def test_a_value_inside_itself_is_not_encoded_again():
    ran: list[str] = []

    class Knot:
        me: object = None

    @register_encoder(Knot)
    def encode_knot(value: Knot) -> object:
        ran.append("knot")
        return {"me": value.me}

    assert encode_knot is not None
    knot = Knot()
    knot.me = [knot]
    assert kept([knot]) == [{"me": [{"$cycle": "Knot"}]}]
    assert kept([[knot]], Bounds(max_depth=2)) == [[{"$truncated": "Knot"}]]
    assert ran == ["knot"]


def test_an_encoder_for_object_skips_classes_with_declared_fields():
    """Taken back at the end: it would hold for every other test of this process."""
    from llmops_sdk.tracing.capture import _encoders

    @dataclasses.dataclass
    class Declared:
        x: int

    register_encoder(object, lambda value: type(value).__name__)
    try:
        assert kept([Account("1"), Declared(1), dt.date(2026, 1, 2), {1}]) == ["Account", {"x": 1}, "2026-01-02", [1]]
    finally:
        del _encoders._registered[id(object)]
        _encoders._version += 1


def test_the_base_class_encoder_replaces_a_failing_one():
    class Base:
        pass

    class Sub(Base):
        pass

    register_encoder(Base, lambda _: "base")
    register_encoder(Sub, lambda _: NotImplemented)
    assert kept([Sub()]) == ["base"]


def test_an_interrupt_of_the_application_passes():
    class Slow:
        pass

    def interrupted(_: Slow) -> object:
        raise KeyboardInterrupt

    register_encoder(Slow, interrupted)
    with pytest.raises(KeyboardInterrupt):
        encode([Slow()])


def test_an_encoder_that_traces_its_own_value_terminates(sink: Any):
    class Node:
        pass

    @llmops.trace("describe")
    def describe(node: Node) -> str:
        return "described"

    register_encoder(Node, describe)

    @llmops.trace("outer")
    def outer(node: Node) -> None: ...

    outer(Node())
    assert json.loads(sink.named("outer").input) == {"node": "described"}
    assert json.loads(sink.named("describe").input)["node"]["$type"].endswith("Node")


def test_encoders_apply_to_attributes_and_span_content(sink: Any):
    class Money:
        cents = 250

    register_encoder(Money, lambda value: {"cents": value.cents})
    with llmops.span("pay", input=Money(), attributes={"app.price": Money()}) as span:
        span.output = [Money()]
    record = sink.only()
    assert (json.loads(record.input), json.loads(record.output)) == ({"cents": 250}, [{"cents": 250}])
    assert json.loads(record.attributes["app.price"]) == {"cents": 250}


@pytest.mark.parametrize("cls", [str, int, float, bool, type(None), list, tuple, dict])
def test_builtins_cannot_be_given_an_encoder(cls: type):
    with pytest.raises(TypeError, match="subclass"):
        register_encoder(cls, lambda value: value)


async def _asynchronous(value: object) -> object:
    return value


def _generating(value: object) -> Any:
    yield value


@pytest.mark.parametrize(
    ("cls", "encoder", "message"),
    [
        ("Account", lambda value: value, "expects a class first"),
        (Account("1"), lambda value: value, "expects a class first"),
        (Account, "text", "function of one value, got str"),
        (Account, _asynchronous, "cannot be asynchronous"),
        (Account, _generating, "cannot be asynchronous"),
    ],
)
def test_invalid_classes_and_encoders_raise_type_error(cls: Any, encoder: Any, message: str):
    with pytest.raises(TypeError, match=message):
        register_encoder(cls, encoder)
    assert kept([Account("1")]) == [{"$type": f"{__name__}.Account"}]


def test_encoders_work_from_many_threads():
    classes = [type(f"Kind{n}", (), {}) for n in range(50)]

    def register(part: list[type]) -> None:
        for cls in part:
            register_encoder(cls, lambda value: type(value).__name__)

    threads = [threading.Thread(target=register, args=(classes[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept([cls() for cls in classes]) == [cls.__name__ for cls in classes]
