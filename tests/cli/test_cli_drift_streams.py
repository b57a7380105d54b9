"""`llmops drift concept` and `llmops drift canary`: 0 for quiet, 1 for drift or failed calls, 2 for usage."""

from __future__ import annotations

import json

import pytest

import llmops_sdk as llmops


def _score(values: list[int]) -> None:
    for value in values:
        with llmops.span("answer") as span:
            span.score("helpful", value)
    llmops.flush()


_PART = (
    "SELECT time, value, trace_id FROM (FROM scores SELECT *, row_number() OVER (ORDER BY time) AS n) WHERE n {} 120"
)


def test_concept_tells_a_change_by_its_exit_status(command):
    _score([1, 1, 1, 0] * 30 + [0, 0, 0, 1] * 30)

    drifted = command(
        "drift", "concept", "--reference", _PART.format("<="), "--current", _PART.format(">"), "--format", "json"
    )
    same = command("drift", "concept", "--reference", _PART.format("<="), "--current", _PART.format("<="))
    [row] = json.loads(drifted.out)

    assert (drifted.status, row["status"]) == (1, "drifted")
    assert row["effect"] < 0
    assert same.status == 0
    # All scores are in the window; there is nothing before it to compare them with.
    named = command("drift", "concept", "--score", "helpful", "--format", "json")
    assert (named.status, json.loads(named.out)[0]["current_n"]) == (0, 240)


@pytest.mark.parametrize(
    "arguments",
    [(), ("--score", "a", "--direction", "left"), ("--reference", "SELECT 1"), ("--score", "a", "--alpha", "2"),
     ("--reference", "SELECT 1 AS x", "--current", "SELECT 1 AS x")],
)  # fmt: skip
def test_concept_with_wrong_options_is_usage(command, arguments):
    assert command("drift", "concept", *arguments).status == 2


def test_canary_runs_and_checks(command):
    tables = [{"name": name, "model": "offline/echo", "prompts": ["One?"], "samples": 2} for name in ("daily", "other")]
    llmops.configure(canaries=tables)

    ran = command("drift", "canary", "daily", "--run", "--format", "json")
    [row] = json.loads(ran.out)

    assert (ran.status, row["name"], row["status"]) == (0, "daily", "not_enough_data")
    assert "2 answers, 0 failed" in ran.err
    assert {one["name"] for one in json.loads(command("drift", "canary", "--format", "json").out)} == {
        "daily", "other",
    }  # fmt: skip
    unknown = command("drift", "canary", "nightly")
    assert (unknown.status, "it has: daily, other" in " ".join(unknown.err.split())) == (2, True)
