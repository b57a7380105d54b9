"""Rows become items: every value exactly, or an error that says which row and why."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import pickle
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk import DatasetError
from llmops_sdk.datasets import Dataset, Item

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def test_columns_by_name_and_the_rest_is_metadata():
    [item] = Dataset.from_rows(
        [
            {
                "question": "2 + 2",
                "answer": 4,
                "key": "k1",
                "topic": "sums",
                "metadata": {"level": 1},
                "trace_id": "a" * 32,
            }
        ],
        input="question",
        expected="answer",
        id="key",
    ).items
    assert item == Item("k1", "2 + 2", 4, {"level": 1, "topic": "sums"}, "a" * 32)


def test_ids_are_derived_from_content_and_numbered():
    one, other, third = Dataset.from_rows([{"input": "a"}, {"input": "b"}, {"input": "a", "topic": "x"}]).items
    assert (len(one.id), third.id, other.id != one.id) == (16, f"{one.id}-2", True)
    # A given id that looks like a derived one is no trap.
    taken = Dataset.from_rows([{"input": "c", "id": one.id}, {"input": "a"}]).items
    assert [item.id for item in taken] == [one.id, f"{one.id}-2"]


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        ([{"input": "x"}, {"output": "y"}], 2, "no column 'input'"),
        ([{"Input": "x"}], 1, "did you mean 'Input'"),
        ([{"input": None}], 1, "needs an input"),
        (["text"], 1, "not of type str"),
        ([{"input": float("nan")}], 1, "input: nan is not JSON: use None"),
        ([{"input": "x", "expected": [1, {"a": float("inf")}]}], 1, r"expected\.1\.a: inf"),
        ([{"input": "\ud800"}], 1, "lone surrogate at character 0"),
        ([{"input": {"\udfff": 1}}], 1, "lone surrogate"),
        ([{"input": 2**64}], 1, "more than 64 bits"),
        ([{"input": {1: 2}}], 1, "keys are text"),
        ([{"input": {"x", "y"}}], 1, "type set"),
        ([{"input": b"x"}], 1, "type bytes"),
        ([{"input": "x", "id": ""}], 1, "the id ''"),
        ([{"input": "x", "id": True}], 1, "the id True"),
        ([{"input": "x", "id": "i" * 201}], 1, "1 to 200 characters"),
        ([{"input": "x", "trace_id": 7}], 1, "trace id 7"),
        ([{"input": "x", "id": 1}, {"input": "y", "id": "1"}], 2, "row 2 has the id '1', and so has row 1"),
        ([{"input": "x", "a": 1, "metadata": {"a": 2}}], 1, "a is a column and a key of metadata"),
        ([{"input": "x" * (9 * 1024 * 1024)}], 1, "may have 8,388,608"),
    ],
)  # fmt: skip
def test_unusable_rows_are_refused_by_number(rows, line, words):
    with pytest.raises(DatasetError, match=words) as caught:
        Dataset.from_rows(rows)
    assert caught.value.line == line
    assert pickle.loads(pickle.dumps(caught.value)).line == line


def test_deep_and_circular_values_are_refused():
    circle: list[object] = []
    circle.append(circle)
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    for value in (circle, deep):
        with pytest.raises(DatasetError, match="more than 100 levels"):
            Dataset.from_rows([{"input": value}])


class Colour(enum.Enum):
    RED = "red"


def test_times_and_numbers_of_libraries_become_json():
    value = (
        datetime.datetime(2026, 11, 30, 1, tzinfo=datetime.UTC), datetime.date(2026, 11, 30), decimal.Decimal("2.50"),
        decimal.Decimal(7), uuid.UUID(int=1), Colour.RED, True, -0.0,
    )  # fmt: skip
    [item] = Dataset.from_rows([{"input": value}]).items
    assert item.input == [
        "2026-11-30T01:00:00+00:00", "2026-11-30", 2.5, 7, "00000000-0000-0000-0000-000000000001", "red", True, -0.0,
    ]  # fmt: skip


def test_a_row_that_changes_later_changes_no_item():
    row = {"input": {"words": ["a"]}}
    dataset = Dataset.from_rows([row])
    before = dataset.version
    row["input"]["words"].append("b")
    assert dataset.items[0].input == {"words": ["a"]}
    assert Dataset.from_rows([{"input": {"words": ["a"]}}]).version == before


def test_the_version_is_content_in_any_order():
    rows = [{"input": "a", "topic": 1, "level": 2}, {"input": "b"}]
    version = Dataset.from_rows(rows, name="one").version
    assert Dataset.from_rows([{"input": "b"}, {"level": 2, "topic": 1, "input": "a"}]).version == version
    changes = ({"expected": ""}, {"topic": 2}, {"trace_id": "t"}, {"id": "x"}, {"topic": 1.0})
    others = {Dataset.from_rows([{**rows[0], **change}, rows[1]]).version for change in changes}
    assert len(others - {version}) == len(changes)


@given(
    st.lists(st.fixed_dictionaries({"input": JSON.filter(lambda one: one is not None), "expected": JSON, "x": JSON}))
)
def test_every_json_value_survives(rows):
    dataset = Dataset.from_rows(rows)
    found = [{"input": item.input, "expected": item.expected, "x": item.metadata["x"]} for item in dataset.items]
    assert json.dumps(found, sort_keys=True) == json.dumps(rows, sort_keys=True)
    assert Dataset.from_rows(dataset.items) == dataset


def test_more_items_get_free_ids_and_given_ones_are_unique(numbers):
    dataset = numbers(2)
    more = dataset.add([{"input": "question 0", "expected": "answer 0"}])
    assert [item.id for item in more.items[2:]] == [f"{dataset.items[0].id}-2"]
    with pytest.raises(DatasetError, match="and so has an item of the data set"):
        dataset.add([dataset.items[1]])


def test_filter_and_sample(numbers):
    dataset = numbers(200)
    assert len(dataset.filter(lambda item: item.input.endswith("7"))) == 20
    some = dataset.sample(50, seed=3)
    assert [item for item in dataset.items if item in some.items] == list(some.items)
    assert dataset.sample(50, seed=3) == some != dataset.sample(50, seed=4)
    # More items change little of a sample.
    both = {item.id for item in some} & {item.id for item in dataset.add([{"input": "new"}]).sample(50, seed=3)}
    assert len(both) >= 49
    assert len(dataset.sample(1_000)) == 200


def test_diff_by_id():
    before = Dataset.from_rows([{"id": n, "input": f"q{n}", "expected": "a", "x": n} for n in range(4)])
    after = Dataset.from_rows([
        {"id": 0, "input": "q0", "expected": "a", "x": 0}, {"id": 1, "input": "q1", "expected": "b\x1b[31m", "x": 9},
        {"id": 2, "input": "q2", "expected": "a", "x": 2, "trace_id": "t"}, {"id": 7, "input": "q7"},
    ])  # fmt: skip
    found = before.diff(after)
    assert ([i.id for i in found.added], [i.id for i in found.removed]) == (["7"], ["3"])
    changed = [(row["id"], row["column"]) for row in found.rows() if row["change"] == "changed"]
    assert changed == [("1", "expected"), ("1", "metadata"), ("2", "source_trace_id")]
    assert found.unchanged == 1
    text = str(found)
    assert text.isprintable() or "\x1b" not in text
    assert "1 added, 1 removed, 2 changed, 1 unchanged" in text
    assert not before.diff(before)
    assert str(before.diff(before)) == "0 added, 0 removed, 0 changed, 4 unchanged"
