"""Attempts as spans below the call's span, where the settings ask for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.testing import FailingProvider, ManualClock, ScriptedProvider, use_clock, use_provider

COLUMNS = "name, status, error_type, parent_span_id, attributes->>'$.\"llmops.attempt.reason\"' AS reason"


def rows() -> list[dict[str, Any]]:
    return llmops.query(f"SELECT {COLUMNS} FROM spans WHERE name LIKE 'attempt%' ORDER BY name").dicts()


def call_id() -> str:
    return llmops.query("SELECT span_id FROM llm_calls").scalar()


@pytest.mark.parametrize("way", ["chat", "achat", "stream", "astream", "embed"])
def test_each_attempt_is_a_span_below_the_call(way: str):
    llmops.configure(tracing={"attempts": "spans"}, retry={"attempts": 2}, model="one/a", fallbacks=["two/b"])
    down = FailingProvider(llmops.ServerError("down", status_code=503), name="one")

    async def call() -> object:
        if way == "stream":
            return list(llmops.stream("Hi"))
        if way == "astream":
            return [chunk async for chunk in llmops.astream("Hi")]
        return await llmops.achat("Hi") if way == "achat" else llmops.chat("Hi")

    with (
        use_clock(ManualClock()),
        use_provider(down, model="one/*"),
        use_provider(ScriptedProvider(["ok"], name="two"), model="two/*"),
    ):
        if way == "embed":
            with pytest.raises(llmops.ServerError):
                llmops.embed(["a"])
        else:
            asyncio.run(call())
    found = rows()
    expected = [("attempt 1", "error", "first"), ("attempt 2", "error", "retry"), ("attempt 3", "ok", "fallback")]
    assert [(row["name"], row["status"], row["reason"]) for row in found] == expected[: 2 if way == "embed" else 3]
    assert {row["parent_span_id"] for row in found} == {call_id()}
    assert found[0]["error_type"].endswith("ServerError")
    assert llmops.query("SELECT count(*) FROM llm_calls").scalar() == 1
    assert llmops.query("SELECT max(attempts) FROM llm_calls").scalar() == len(found)
    assert llmops.query("SELECT llm_calls FROM traces").scalar() == 1


def test_leaving_a_stream_cancels_its_attempt():
    llmops.configure(tracing={"attempts": "spans"})
    with llmops.stream("one two three four") as stream:
        next(iter(stream))
    (row,) = rows()
    assert (row["name"], row["status"]) in {("attempt 1", "closed"), ("attempt 1", "cancelled")}


def test_attempts_are_only_events_by_default():
    with use_clock(ManualClock()), use_provider(FailingProvider(llmops.ServerError, times=1)):
        llmops.chat("Hi")
    assert rows() == []
    assert llmops.query("SELECT count(*) FROM attempts").scalar() == 2
