"""A split has no leakage, is the same for the same content, and stays when items are added."""

from __future__ import annotations

import random

import pytest

from llmops_sdk.datasets import Dataset

SHARES = {"train": 0.7, "dev": 0.1, "test": 0.2}


def part_of(parts):
    return {item.id: name for name, part in parts.items() for item in part}


def rows(count, seed=0):
    draw = random.Random(seed)
    return [
        {"id": n, "input": f"question number {draw.randrange(count)}", "session_id": f"s{draw.randrange(count)}",
         "user_id": f"u{draw.randrange(count)}" if draw.random() < 0.5 else None}
        for n in range(count)
    ]  # fmt: skip


def test_no_user_session_trace_or_question_is_in_two_parts():
    dataset = Dataset.from_rows([
        {"input": f"Question {n % 50}!" if n % 2 else f"  question   {n % 50}", "id": n, "session_id": f"s{n // 4}",
         "user_id": [f"u{n // 40}", f"v{n // 100}"] if n % 7 == 0 else None, "trace_id": f"t{n // 3}"}
        for n in range(0, 3000, 11)
    ])  # fmt: skip
    parts = dataset.split(SHARES)
    seen: dict[object, set[str]] = {}
    for name, part in parts.items():
        for item in part:
            for key in (
                ("q", item.input.strip(" !").lower().split()[-1]), ("s", item.metadata["session_id"]),
                ("t", item.source_trace_id), *(("u", user) for user in item.metadata["user_id"] or ()),
            ):  # fmt: skip
                seen.setdefault(key, set()).add(name)
    assert [key for key, names in seen.items() if len(names) > 1] == []
    assert sum(len(part) for part in parts.values()) == len(dataset)


def test_near_duplicates_stay_together():
    same = ["Where is my card?", "where is my card", "  WHERE is my\ncard!! ", "Ｗhere is my card?"]
    for seed in range(8):
        parts = Dataset.from_rows([{"input": text} for text in [*same, *map(str, range(30))]]).split(SHARES, seed=seed)
        assert len({name for name, part in parts.items() for item in part if item.input in same}) == 1


def test_shares_come_near_and_are_reported():
    parts = Dataset.from_rows([{"input": f"q{n}"} for n in range(5_000)]).split(SHARES)
    assert {name: round(share, 1) for name, share in parts.shares.items()} == SHARES
    assert parts.shares == {name: len(part) / 5_000 for name, part in parts.items()}
    assert sum(parts.groups.values()) == 5_000


def test_the_same_content_is_split_the_same_way_in_any_order():
    given = rows(300)
    first = part_of(Dataset.from_rows(given).split(SHARES))
    random.Random(1).shuffle(given)
    assert part_of(Dataset.from_rows(given).split(SHARES)) == first
    assert part_of(Dataset.from_rows(given).split(SHARES, seed=1)) != first


@pytest.mark.parametrize("by", [("duplicates", "session", "user"), ("user",), ("session",), ()])
def test_added_items_move_no_old_ones(by):
    draw = random.Random(5)
    old = [
        {"id": n, "input": f"q{n}", "session_id": f"s{n // 5}", "user_id": f"u{n // 20}"} for n in range(400)
    ]  # fmt: skip
    # Some of old users and sessions, some new: none joins two old groups.
    new = [
        {"id": 1_000 + n, "input": f"new {n}", "session_id": f"t{n}", "user_id": f"u{draw.randrange(40)}"}
        for n in range(300)
    ]
    before = part_of(Dataset.from_rows(old).split(SHARES, by=by))
    after = part_of(Dataset.from_rows([*new, *old]).split(SHARES, by=by))
    assert {item: after[item] for item in before} == before


def test_a_small_data_set_leaves_no_part_empty():
    for seed in range(20):
        parts = Dataset.from_rows([{"input": n} for n in range(4)]).split(SHARES, seed=seed)
        assert min(map(len, parts.values())) >= 1
    one = Dataset.from_rows([{"input": n, "user_id": "u"} for n in range(4)]).split({"a": 0.5, "b": 0.5})
    assert sorted(map(len, one.values())) == [0, 4]
    assert one.shares in ({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0})
    empty = Dataset.from_rows([]).split({"a": 0.5, "b": 0.5})
    assert empty.shares == {"a": 0.0, "b": 0.0}


def test_a_column_of_the_metadata_can_keep_items_together():
    dataset = Dataset.from_rows([{"input": f"q{n}", "topic": n % 20} for n in range(400)])
    parts = dataset.split({"train": 0.5, "test": 0.5}, by=["topic"])
    topics = [{item.metadata["topic"] for item in part} for part in parts.values()]
    assert not topics[0] & topics[1]
    assert sum(parts.groups.values()) == 20


@pytest.mark.parametrize(
    ("shares", "by"),
    [
        ({"train": 0.8}, ()), ({"train": 0.8, "test": 0.3}, ()), ({"train": 1.5, "test": -0.5}, ()), ({}, ()),
        ({"../train": 0.5, "test": 0.5}, ()), ({"train": 0.5, "test": 0.5}, "user"), ({"a": float("nan")}, ()),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(shares, by):
    with pytest.raises(ValueError, match=r"shares|name of a part|list of names"):
        Dataset.from_rows([{"input": 1}]).split(shares, by=by)


def test_parts_are_saved_and_loaded(store, numbers):
    parts = numbers(50).save("faq").split({"train": 0.8, "test": 0.2})
    assert parts["train"].name == "faq-train"
    saved = parts.save("faq")
    assert Dataset.load("faq-test") == saved["test"]
    assert Dataset.load("faq-test").detail == f"faq@{numbers(50).version}"
    assert saved.groups == parts.groups
