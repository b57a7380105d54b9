"""The pure parts: the order of drawing, the alignment of two traces, and the messages of a turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ui_tables import with_tables

from llmops_sdk._util._usage import UsageError
from llmops_sdk.ui._answers import plain, text_preview
from llmops_sdk.ui._asked import Asked, with_values
from llmops_sdk.ui.api._align import align
from llmops_sdk.ui.api._sessions import new_messages
from llmops_sdk.ui.api._tree import Node, place

IDS = st.sampled_from([f"{number:x}" for number in range(8)])
NODES = st.lists(
    st.builds(Node, IDS, st.none() | IDS | st.just("gone"), st.integers(-50, 50), st.integers(0, 60)), max_size=12
)


@settings(max_examples=60, deadline=None, database=None)
@given(NODES)
def test_every_span_is_drawn_once_below_its_parent(nodes):
    placed = place(nodes)

    assert sorted(one.index for one in placed) == list(range(len(nodes)))
    path: list[int] = []
    for one in placed:
        assert one.depth <= len(path)
        del path[one.depth :]
        if path:
            assert nodes[one.index].parent_id == nodes[path[-1]].span_id
        elif nodes[one.index].parent_id is not None:
            assert one.is_orphan
        path.append(one.index)
        assert 0 <= one.own_ns <= nodes[one.index].duration_ns


def test_own_time_and_the_critical_path():
    nodes = [
        Node("a", None, 0, 100), Node("b", "a", 0, 30), Node("c", "a", 10, 40), Node("d", "a", 60, 40),
        Node("e", "d", 60, 10), Node("f", "a", 95, 50),
    ]  # fmt: skip

    placed = {nodes[one.index].span_id: one for one in place(nodes)}

    assert {name: one.own_ns for name, one in placed.items()} == {"a": 10, "b": 30, "c": 40, "d": 30, "e": 10, "f": 50}
    # f outlives its parent; d ran until f began, but beyond it: it is beside the path.
    assert {name for name, one in placed.items() if one.on_critical_path} == {"a", "f", "c"}


def test_a_deep_and_a_wide_trace_are_placed_at_once():
    count = 20_000
    deep = [Node(f"{number}", f"{number - 1}" if number else None, number, count - number) for number in range(count)]
    circle = [Node("x", "y", 1, 1), Node("y", "x", 2, 1)]

    placed = place([*deep, *circle])

    assert len(placed) == count + 2
    assert placed[count - 1].depth == count - 1
    assert [one.depth for one in placed[-2:]] == [0, 1]


def rows(*spans: str) -> list[dict[str, object]]:
    """Return spans as " name" with a space for each level."""
    return [{"kind": "tool", "name": one.strip(), "depth": len(one) - len(one.lstrip())} for one in spans]


def test_two_traces_are_aligned_by_kind_and_name():
    a, b = (
        rows("run", " plan", " search", "  fetch", " answer"),
        rows("run", " search", "  parse", "  fetch", " check", " answer"),
    )

    lines = align(a, b)

    assert [(one["depth"], one["a"], one["b"]) for one in lines] == [
        (0, 0, 0), (1, 1, None), (1, 2, 1), (2, None, 2), (2, 3, 3), (1, None, 4), (1, 4, 5),
    ]  # fmt: skip


TREES = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=12)


def tree(levels: list[tuple[int, str]]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    depth = -1
    for level, name in levels:
        depth = min(level, depth + 1)
        found.append({"kind": "chain", "name": name, "depth": depth})
    return found


@settings(max_examples=40, deadline=None, database=None)
@given(TREES, TREES)
def test_an_alignment_has_every_span_of_both_once(first, second):
    a, b = tree(first), tree(second)
    lines = align(a, b)

    assert sorted(one["a"] for one in lines if one["a"] is not None) == list(range(len(a)))
    assert sorted(one["b"] for one in lines if one["b"] is not None) == list(range(len(b)))
    for one in lines:
        if None not in {one["a"], one["b"]}:
            assert a[one["a"]] == b[one["b"]]
    assert [one["a"] for one in align(a, a)] == [one["b"] for one in align(a, a)]


def test_many_siblings_are_aligned_by_name():
    a = rows("run", *(f" step {number}" for number in range(1_500)))
    b = rows("run", *(f" step {number}" for number in range(1_500) if number % 3))

    lines = align(a, b)

    assert sum(None not in {one["a"], one["b"]} for one in lines) == 1_001


@pytest.mark.parametrize(
    ("known", "said", "fresh"),
    [
        ([], ["s", "a"], ["s", "a"]), (["s", "a", "b"], ["s", "a", "b", "c"], ["c"]),
        (["a", "b"], ["a", "b", "a"], ["a"]), (["s", "a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["a", "b"], ["a", "B", "c"], ["B", "c"]), (["a"], ["x"], ["x"]),
    ],
)  # fmt: skip
def test_a_turn_shows_the_messages_that_the_one_before_lacks(known, said, fresh):
    assert new_messages(known, said) == fresh


def test_json_for_browsers_is_exact():
    assert plain({"a": 2**53, "b": 2**53 - 1, "c": float("nan"), 4: (1,)}) == {
        "a": str(2**53), "b": 2**53 - 1, "c": None, "4": [1],
    }  # fmt: skip


def test_the_beginning_of_a_text_is_what_was_said_last():
    assert text_preview('[{"role":"user","parts":[{"type":"text","content":"hello"}]}]') == "hello"
    assert text_preview('{"question":"why"}') == "why"
    assert text_preview('{"broken') == '{"broken'


def test_values_are_put_into_sql_as_literals(tmp_path):
    sql = with_values(
        "SELECT $a, $b, attributes->>'$.a' WHERE x = $list", {"a": "it's $b", "b": 1.5, "list": ["x", None]}
    )

    assert sql == "SELECT 'it''s $b', 1.5, attributes->>'$.a' WHERE x = ['x', NULL]"
    asked = Asked(tmp_path, {"user": ["--x"], "tag": ["a", "b c"]})
    assert asked.command("traces") == "llmops traces --user=--x --tag=a '--tag=b c'"
    with pytest.raises(UsageError, match="once"):
        Asked(tmp_path, {"user": ["a", "b"]}).filter.where("spans")


def test_the_documentation_has_the_pages_as_they_are():
    text = (Path(__file__).parents[2] / "docs" / "ui.md").read_text("utf-8")

    assert with_tables(text) == text, "run make docs"
