"""What programs do with decorated functions: copies, reloads, wrong calls, tracebacks, deep recursion."""

from __future__ import annotations

import asyncio
import copy
import functools
import sys
import traceback
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from span_rows import context_unchanged, only, recorded
from traced_things import Thing, top_level

import llmops_sdk as llmops


def test_mock_autospec_sees_the_original_signature() -> None:
    spec = mock.create_autospec(top_level)
    spec(x=1)
    with pytest.raises(TypeError):
        spec(1, 2)
    thing = mock.create_autospec(Thing)()
    thing.method(1)
    thing.static_above(1)
    with pytest.raises(TypeError):
        thing.method(1, 2)
    assert recorded() == []


def test_traced_functions_accept_weak_references_and_attributes() -> None:
    reference = weakref.ref(top_level)
    assert reference() is top_level
    weakref.WeakKeyDictionary()[top_level] = 1
    top_level.note = "mine"
    assert top_level.note == "mine"
    del top_level.note
    assert top_level.__doc__ == "What it says."
    assert top_level.__defaults__ == (1,)
    assert hash(top_level) == hash(top_level)


def test_copies_of_traced_functions_still_work() -> None:
    assert copy.copy(top_level) is top_level
    assert copy.deepcopy(top_level) is top_level
    assert copy.deepcopy({"f": top_level})["f"](2) == 2
    thing = copy.deepcopy(Thing())
    assert thing.method(1) == (thing, 1)
    part = llmops.trace("part")(functools.partial(top_level, 3))
    assert copy.copy(part)() == copy.deepcopy(part)() == 3


def test_a_wrong_call_raises_pythons_own_error() -> None:
    def one(a: int, *, b: int = 0) -> int:
        return a

    for arguments in [((), {}), ((1, 2), {}), ((1,), {"c": 2}), ((1,), {"a": 2})]:
        args, kwargs = arguments
        with pytest.raises(TypeError) as pythons:
            one(*args, **kwargs)
        with context_unchanged(), pytest.raises(TypeError) as ours:
            llmops.trace("one")(one)(*args, **kwargs)
        assert str(ours.value) == str(pythons.value)
        assert ours.value.__cause__ is ours.value.__context__ is None
    assert {row["status"] for row in recorded()} <= {"error"}


@pytest.mark.parametrize("kind", ["function", "method", "coroutine"])
def test_few_frames_of_ours_stand_in_a_traceback(kind: str) -> None:
    @llmops.trace
    def function() -> None:
        raise ValueError

    @llmops.trace
    async def coroutine() -> None:
        raise ValueError

    class Holder:
        @llmops.trace
        def method(self) -> None:
            raise ValueError

    with pytest.raises(ValueError) as caught:
        {"function": function, "method": Holder().method, "coroutine": lambda: asyncio.run(coroutine())}[kind]()
    frames = [frame for frame in traceback.extract_tb(caught.tb) if "llmops_sdk" in Path(frame.filename).parts]
    assert len(frames) <= 1, frames


def test_recursion_500_deep() -> None:
    @llmops.trace("down")
    def down(n: int) -> int:
        return down(n - 1) + 1 if n else 0

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(3000)
    try:
        with context_unchanged():
            assert down(499) == 499
    finally:
        sys.setrecursionlimit(limit)
    rows = recorded()
    ids = {row["span_id"] for row in rows}
    assert len(rows) == len(ids) == 500
    assert [row["parent_span_id"] for row in rows[1:]] == [row["span_id"] for row in rows[:-1]]
    assert {row["trace_id"] for row in rows} == {rows[0]["trace_id"]}


def test_a_reloaded_module_traces_its_new_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    text = "import llmops_sdk as llmops\n@llmops.trace\ndef edge_reloaded():\n    return {}\n"
    (tmp_path / "edge_reload_me.py").write_text(text.format(1))
    module = importlib.import_module("edge_reload_me")
    old = module.edge_reloaded
    (tmp_path / "edge_reload_me.py").write_text(text.format(2))
    importlib.invalidate_caches()
    importlib.reload(module)
    assert (old(), module.edge_reloaded()) == (1, 2)
    assert [row["output"] for row in recorded()] == [1, 2]
    del sys.modules["edge_reload_me"]


def test_a_trace_function_sees_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def watch(frame: Any, event: str, _: object) -> Any:
        if event == "call":
            lines.append(frame.f_code.co_name)
        return watch

    previous = sys.gettrace()
    sys.settrace(watch)
    try:
        top_level(3)
    finally:
        sys.settrace(previous)
    assert lines.count("top_level") == 1
    assert only("top_level")["status"] == "ok"


def test_a_class_is_traced_or_refused() -> None:
    """Either it is traced as its constructor is, or it is refused; it never stops being usable in silence."""

    class Plain:
        def __init__(self, x: int) -> None:
            self.x = x

    try:
        traced = llmops.trace("Plain")(Plain)
    except TypeError:
        return
    assert traced(3).x == 3
    assert only("Plain")["status"] == "ok"


def test_a_property_is_traced_or_refused() -> None:
    """As for a class: traced, or refused when decorated."""
    try:

        class Holder:
            @llmops.trace(name="prop")
            @property
            def prop(self) -> int:
                return 3

    except TypeError:
        return
    assert Holder().prop == 3
    assert only("prop")["status"] == "ok"


def test_a_namespace_of_traced_functions_is_usable() -> None:
    space = SimpleNamespace(f=top_level)
    assert space.f(5) == 5
    assert only("top_level")["input"] == {"x": 5}
