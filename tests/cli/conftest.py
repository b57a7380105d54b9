"""Fixtures: a small store, and the commands as functions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.cli._app import run


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    status: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `llmops …` in this process."""

    def go(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return go


def call(name: str, *, model: str, cost: float | None, tokens: tuple[int, int] = (10, 5), **more: object) -> str:
    """Record a span like that of a call to a model, and return the trace id."""
    attributes = {"gen_ai.request.model": model, "gen_ai.operation.name": "chat", **more}
    with llmops.span(name, kind="llm", input="hello", attributes=attributes) as span:
        span.usage(input_tokens=tokens[0], output_tokens=tokens[1], cost=cost, model=model)
        span.add_event("llmops.attempt", {"attempt": 1, "provider": "p", "model": model, "status": "ok"})
        return span.trace_id


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Create a store with three traces: one of two calls, one simulated, one failed."""
    path = tmp_path / "traces"
    llmops.configure(store={"path": path}, model="offline/echo")
    with (
        llmops.context(session_id="s1", user_id="ada", tags=["shop"]),
        llmops.span("checkout", input={"order": 7, "note": "\x1b[31mred"}),
    ):
        call("chat gpt", model="gpt", cost=0.25)
        call("chat gpt", model="gpt", cost=0.5, **{"llmops.cache": "exact"})
    with llmops.context(user_id="bob"):
        call("chat toy", model="toy", cost=9.0, tokens=(1, 1), **{"llmops.simulated": True})
    with pytest.raises(ValueError, match="boom"), llmops.span("=1+1", attributes={"note": "needle"}):
        raise ValueError("boom\nsecond line")
    assert llmops.flush().pending == 0
    return path


@pytest.fixture
def llmops_process(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m llmops_sdk …` in its own process."""

    def start(*arguments: str, before: Sequence[str] = (), **options: object) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONUTF8": "1", "COLUMNS": "200", "TERM": "xterm"}
        return subprocess.Popen(
            [*before, sys.executable, "-m", "llmops_sdk", *arguments],
            **{
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                "cwd": tmp_path,
                "env": environment,
                **options,
            },
        )

    return start
