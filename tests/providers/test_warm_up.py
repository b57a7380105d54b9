"""The import of litellm is ahead of the first call or before its attempts, never a model's time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk.providers import _warm_up
from llmops_sdk.providers.litellm import _library

pytestmark = pytest.mark.slow  # importing litellm takes seconds

MODEL = "openai/gpt-4.1-mini"
COLD = """
import asyncio, os, sys, time
sys.path[:0] = sys.argv[1:]
from openai_server import OpenAIServer
import llmops_sdk as llmops
from llmops_sdk.providers.litellm import _library

load, done = _library._load, []

def noted():
    assert "litellm" not in sys.modules
    library = load()
    done.append(time.time_ns())
    return library

_library._load = noted
with OpenAIServer() as server:
    os.environ |= {"OPENAI_API_KEY": "key-for-tests", "OPENAI_BASE_URL": server.base_url}
    answer = asyncio.run(llmops.achat("Hi", model="openai/gpt-4.1-mini", timeout=60))
    assert answer.model == "gpt-4.1-mini-served", answer
    assert len(done) == 1
    assert answer.attempts[0].start_ns >= done[0] - 5_000_000, "the attempt includes the import"
print("fine")
"""
WARM = """
import os, sys
import llmops_sdk as llmops

if sys.argv[1] == "first use":
    llmops.settings()
    from llmops_sdk.providers import _warm_up
    assert _warm_up._started
else:
    assert not llmops.warm_up()
assert llmops.warm_up(wait=120)
assert llmops.warm_up()
assert "litellm.main" in sys.modules
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


def test_first_attempt_begins_after_the_import():
    run(COLD, str(Path(__file__).parents[1] / "loopback"))


def chat() -> llmops.Response:
    return llmops.chat("Hi", model="m", timeout=60)


def stream() -> llmops.Response:
    chunks = llmops.stream("Hi", model="m", timeout=60)
    list(chunks)
    assert chunks.response is not None
    return chunks.response


@pytest.mark.parametrize("ask", [chat, stream])
def test_first_attempt_of_every_call_begins_after_the_library_is_loaded(
    ask: Callable[[], llmops.Response], monkeypatch: pytest.MonkeyPatch
):
    known = _library.library()
    loaded: list[int] = []

    def noted() -> _library.Library:
        loaded.append(time.time_ns())
        return known

    monkeypatch.setattr(_library, "_library", None)
    monkeypatch.setattr(_library, "_load", noted)
    monkeypatch.setenv("OPENAI_API_KEY", "key-for-tests")
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llmops.configure(models={"m": {"model": MODEL, "fallbacks": ["offline/echo"]}})
        answer = ask()

    assert answer.model == "gpt-4.1-mini-served"
    assert len(loaded) == 1
    assert answer.attempts[0].start_ns >= loaded[0]


@pytest.mark.parametrize("way", ["call", "first use"])
def test_warm_up_imports_in_a_thread_and_holds_after_a_fork(way: str):
    run(WARM, way, **({"LLMOPS_PROVIDERS__WARM_UP": "true"} if way == "first use" else {}))


def test_the_setting_warms_up_when_it_is_configured(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr(_warm_up, "warm_up", lambda: asked.append("warm up"))
    llmops.configure(providers={"warm_up": False})
    assert asked == []
    llmops.configure(providers={"warm_up": True})
    assert asked == ["warm up"]
