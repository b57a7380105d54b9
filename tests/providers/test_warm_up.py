"""The import of litellm is ahead of the first call or before its attempts, never a model's time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # importing litellm takes seconds

CALL = """
import asyncio, os, sys, time
sys.path[:0] = sys.argv[2:]
from openai_server import OpenAIServer
import llmops_sdk as llmops
from llmops_sdk.providers.litellm import _library

load, done = _library._load, []

def noted():
    library = load()
    done.append(time.time_ns())
    return library

_library._load = noted
with OpenAIServer() as server:
    os.environ |= {"OPENAI_API_KEY": "key-for-tests", "OPENAI_BASE_URL": server.base_url}
    llmops.configure(models={"m": {"model": "openai/gpt-4.1-mini", "fallbacks": ["offline/echo"]}})
    style = sys.argv[1]
    if style == "chat":
        answer = llmops.chat("Hi", model="m", timeout=60)
    elif style == "achat":
        answer = asyncio.run(llmops.achat("Hi", model="openai/gpt-4.1-mini", timeout=60))
    else:
        chunks = llmops.stream("Hi", model="m", timeout=60)
        list(chunks)
        answer = chunks.response
    assert answer.model == "gpt-4.1-mini-served", answer
    assert len(done) == 1
    assert answer.attempts[0].start_ns >= done[0] - 5_000_000, "the attempt includes the import"
print("fine")
"""
WARM = """
import sys
import llmops_sdk as llmops

if sys.argv[1] == "setting":
    llmops.configure(providers={"warm_up": True})
    assert llmops.warm_up(120)
elif sys.argv[1] == "first use":
    llmops.settings()
    from llmops_sdk.providers import _warm_up
    assert _warm_up._started
    assert llmops.warm_up(120)
else:
    assert not llmops.warm_up()
    assert llmops.warm_up(wait=120)
assert llmops.warm_up()
assert "litellm.main" in sys.modules
print("fine")
"""
FORK = """
import os, sys
import llmops_sdk as llmops

assert llmops.warm_up(120)
child = os.fork()
if not child:
    os._exit(0 if llmops.warm_up(60) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("fine")
"""


def run(program: str, *arguments: str, **environ: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.endswith("fine\n"), done.stdout + done.stderr


@pytest.mark.parametrize("style", ["chat", "achat", "stream"])
def test_first_attempt_begins_after_the_import(style: str):
    run(CALL, style, str(Path(__file__).parents[1] / "loopback"))


@pytest.mark.parametrize("way", ["call", "setting", "first use"])
def test_warm_up_imports_in_a_thread(way: str):
    run(WARM, way, **({"LLMOPS_PROVIDERS__WARM_UP": "true"} if way == "first use" else {}))


def test_a_forked_child_may_warm_up_too():
    run(FORK)
