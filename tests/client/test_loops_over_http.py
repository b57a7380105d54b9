"""Event loops: sync calls in a running one, several in turn, and nothing left open at the end. Real HTTP."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys

import pytest
from loopback import Reply
from openai_server import OpenAIServer

import llmops_sdk as llmops

pytestmark = pytest.mark.slow  # importing litellm takes seconds

MODEL = "openai/gpt-4.1-mini"
PROGRAM = """
import asyncio
import llmops_sdk as llmops

async def main():
    answers = await asyncio.gather(*(llmops.achat(f"{n}") for n in range(4)))
    chunks = [chunk.text async for chunk in llmops.astream("Hi")]
    vectors = await llmops.aembed(["a", "b"])
    inside = llmops.chat("Hi")  # as in a notebook
    return [answer.text for answer in answers] + ["".join(chunks), inside.text, len(vectors.vectors)]

for _ in range(3):
    print(asyncio.run(main()))
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    with OpenAIServer(Reply(text="Good day.")) as server:
        monkeypatch.setenv("OPENAI_API_KEY", secrets.token_hex(8))
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("LLMOPS_MODEL", MODEL)
        yield server


def test_three_loops_in_turn_with_sync_calls_inside_leave_nothing_open(server: OpenAIServer):
    ran = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", PROGRAM],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Warning" not in ran.stderr
    assert "never" not in ran.stderr  # "coroutine … was never awaited", "Task exception was never retrieved"
    assert ran.stdout.splitlines() == [str(["Good day."] * 6 + [2])] * 3
    assert len(server.requests) == 3 * 7


async def test_a_sync_stream_works_inside_a_running_loop(server: OpenAIServer):
    beside = asyncio.create_task(llmops.achat("Hi"))
    with llmops.stream("Hi") as stream:
        assert "".join(chunk.text for chunk in stream) == "Good day."
    assert (await beside).text == "Good day."
    assert len(server.requests) == 2
