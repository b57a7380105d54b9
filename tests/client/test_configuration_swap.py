"""A new configuration: new calls use it; calls in flight finish on the old providers, which are then closed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import llmops_sdk as llmops
from llmops_sdk.client._functions import DEFAULT


def say(*answers: str, **options: object) -> None:
    llmops.configure(model="offline/script", options={"answers": list(answers), **options})


def test_a_stream_in_flight_finishes_on_the_old_providers():
    say("the old answer here")
    stream = llmops.stream("x")
    assert next(stream).text == "the"
    old = DEFAULT.lease()
    old.release()
    say("the new answer here")
    assert llmops.chat("x").text == "the new answer here"
    assert not old.stages.closed
    assert "".join(chunk.text for chunk in stream) == " old answer here"
    assert old.stages.closed


def test_a_stream_left_early_releases_the_old_providers():
    say("the old answer here")
    stream = llmops.stream("x")
    next(stream)
    with DEFAULT.lease() as old:
        say("the new answer here")
        llmops.chat("x")
    assert not old.closed
    stream.close()
    assert old.closed


async def test_async_calls_in_flight_finish_on_the_old_providers():
    say("old", latency=0.05)
    calls = [asyncio.create_task(llmops.achat("x")) for _ in range(8)]
    await asyncio.sleep(0)
    with DEFAULT.lease() as old:
        say("new")
        assert (await llmops.achat("x")).text == "new"
    assert not old.closed
    assert {answer.text for answer in await asyncio.gather(*calls)} == {"old"}
    assert old.closed


def test_a_bad_configuration_keeps_the_last_good_one():
    say("good")
    with pytest.raises(llmops.ConfigError):
        llmops.configure(model="offline/script", nonsense=True)
    assert llmops.chat("x").text == "good"


def test_swaps_under_load_lose_no_call():
    say("0")

    def ask(number: int) -> str:
        if number % 16 == 0:
            say(str(number))
        return llmops.chat("x").text

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(128)))
    assert all(int(answer) % 16 == 0 for answer in answers)
    with DEFAULT.lease() as last:
        assert not last.closed


def test_a_closed_llm_lets_its_calls_finish():
    own = llmops.LLM("offline/echo")
    stream = own.stream("one two three")
    next(stream)
    own.close()
    assert "".join(chunk.text for chunk in stream) == " two three"


def test_a_forked_child_opens_providers_of_its_own():
    say("parent")
    assert llmops.chat("x").text == "parent"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, llmops.chat("x").text.encode())
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert os.read(read, 100) == b"parent"
    os.close(read)


def test_a_program_ends_quietly_with_streams_open_and_a_cache_in_use(own_surroundings):
    program = """
import asyncio
import llmops_sdk as llmops

assert [llmops.chat("x", cache=True).cache for _ in range(2)] == [None, "exact"]
left = llmops.stream("one two three")
next(left)

async def main():
    global left_too
    left_too = llmops.astream("one two three")
    await anext(left_too)

asyncio.run(main())
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=own_surroundings, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = llmops.query("SELECT status, count(*) FROM llm_calls GROUP BY ALL ORDER BY ALL").rows()
    assert [tuple(row) for row in found] == [("closed", 2), ("ok", 2)]
