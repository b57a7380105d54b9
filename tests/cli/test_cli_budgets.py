"""`llmops stats --budgets`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import llmops_sdk as llmops

TOML = """
model = "offline/echo"
[store]
path = "traces"
[prices."offline/echo"]
input = 1000000
[[budgets]]
name = "team"
limit_usd = 100000
window = "month"
[[budgets]]
name = "each"
limit_tokens = 20
per = "user"
mode = "soft"
[[budgets]]
name = "none yet"
limit_tokens = 9
tag = "beta"
window = 7200
[[budgets]]
name = "ever"
limit_tokens = 100000
window = "total"
"""


@pytest.fixture
def spending(own_surroundings) -> dict[str, llmops.Usage]:
    """Make calls of two users under four budgets."""
    Path("llmops.toml").write_text(TOML)
    llmops.configure()
    used = {}
    for user, prompt in (("ada", "a prompt of some words, which is longer"), ("b\x1b[31mob", "a prompt")):
        with llmops.context(user_id=user):
            used[user] = llmops.chat(prompt, max_tokens=5).usage
    llmops.flush()
    return used


def rows(ran):
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def test_each_budget_and_key_with_what_is_left(command, spending):
    found = {(one["budget"], one["key"]): one for one in rows(command("stats", "--budgets", "--format", "json"))}
    tokens = {user: usage.input_tokens + usage.output_tokens for user, usage in spending.items()}
    assert {key: one["spent"] for key, one in found.items()} == {
        ("team", ""): sum(usage.input_tokens for usage in spending.values()),
        **{("each", user): count for user, count in tokens.items()},
        ("none yet", ""): 0,
        ("ever", ""): sum(tokens.values()),
    }
    assert found["ever", ""]["left"] == 100_000 - sum(tokens.values())
    assert found["ever", ""]["resets_at"] is None
    each = found["each", "ada"]
    assert (each["per"], each["window"], each["mode"], each["unit"], each["limit"]) == (
        "user", "day", "soft", "tokens", 20.0,
    )  # fmt: skip
    assert each["left"] == max(20 - tokens["ada"], 0)
    until = datetime.fromisoformat(found["team", ""]["resets_at"]).replace(tzinfo=UTC)
    assert until > datetime.now(UTC)
    assert (until.day, until.hour, until.minute) == (1, 0, 0)


def test_order_is_that_of_the_settings_with_the_largest_first(command, spending):
    names = [one["budget"] for one in rows(command("stats", "--budgets", "--format", "json"))]
    assert names == ["team", "each", "each", "none yet", "ever"]
    sums = [one["spent"] for one in rows(command("stats", "--budgets", "--format", "json")) if one["budget"] == "each"]
    assert sums == sorted(sums, reverse=True)


def test_every_format_and_the_limit(command, spending):
    table = command("stats", "--budgets", "--limit", "2")
    assert table.status == 0
    assert "\x1b" not in command("stats", "--budgets").out
    assert len(table.out.splitlines()) == 4
    assert "3 more rows" in table.err
    assert command("stats", "--budgets", "--format", "csv").out.startswith(
        "budget,per,key,window,mode,unit,limit,spent"
    )
    assert command("stats", "--budgets", "--format", "markdown").out.startswith("| budget |")


def test_many_keys_show_the_largest_twenty(command, own_surroundings):
    Path("llmops.toml").write_text(TOML)
    llmops.configure()
    for number in range(25):
        with llmops.context(user_id=f"user {number}"):
            llmops.chat("x " * number, max_tokens=1)
    llmops.flush()
    found = [one for one in rows(command("stats", "--budgets", "--format", "json")) if one["budget"] == "each"]
    assert len(found) == 20
    assert found[0]["key"] == "user 24"


def test_without_budgets_it_says_how_to_add_one(command, store):
    ran = command("stats", "--budgets", "--store", str(store))
    assert ran.status == 0
    assert len(ran.out.splitlines()) == 2
    assert "[[budgets]]" in ran.err


@pytest.mark.parametrize("more", [["--by", "user"], ["--simulated"], ["--since", "1h"], ["--user", "ada"]])
def test_filters_do_not_go_with_it(command, store, more):
    ran = command("stats", "--budgets", *more, "--store", str(store))
    assert ran.status == 2
    assert "leave out" in ran.err


def test_missing_store_is_one_line(command, own_surroundings):
    Path("llmops.toml").write_text(TOML)
    ran = command("stats", "--budgets")
    assert ran.status == 1
    assert "there is no store at" in ran.err
