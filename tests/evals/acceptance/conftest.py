"""What the acceptance tests share: a store, experiments made of values, and providers that count their calls."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.cli._app import run
from llmops_sdk.evals import Experiment, ItemResult, ScoreResult
from llmops_sdk.testing import ScriptedProvider


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Configure a store of its own."""
    path = tmp_path / "store"
    llmops.configure(store={"path": path, "compaction": "manual"}, model="offline/echo")
    return path


class CountingProvider(ScriptedProvider):
    """Answers by a function of the prompt, and counts the prompts."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        self.prompts: list[str] = []

        def reply(request: Any) -> Any:
            prompt = "\n".join(str(message["content"]) for message in request.messages)
            self.prompts.append(prompt)
            return answer(prompt)

        super().__init__([reply], repeat=True)

    def taken(self) -> int:
        """Return the number of calls since the last look."""
        count = len(self.prompts)
        self.prompts.clear()
        return count


@pytest.fixture
def counting() -> type[CountingProvider]:
    return CountingProvider


def _score(name: str, value: float | bool | None) -> ScoreResult:
    if value is None:
        return ScoreResult(scorer=name, status="error", error_type="VerdictError", error="no verdict")
    return ScoreResult(scorer=name, status="ok", value=float(value))


@pytest.fixture
def made() -> Callable[..., Experiment]:
    """Make an experiment of the values of each scorer by item id; None is a failure of the scorer."""

    def make(
        name: str,
        columns: Mapping[str, Mapping[Any, float | None]],
        *,
        metadata: Callable[[Any], Mapping[str, Any]] = lambda item_id: {},
        judges: Iterable[str] = (),
    ) -> Experiment:
        ids = list(dict.fromkeys(item_id for values in columns.values() for item_id in values))
        kinds = {scorer: {"kind": "judge"} if scorer in set(judges) else {} for scorer in columns}
        return Experiment(
            id=f"{name}-id",
            name=name,
            scorers={scorer: {"higher_is_better": True, **kind} for scorer, kind in kinds.items()},
            results=tuple(
                ItemResult(
                    item_id=str(item_id),
                    status="ok",
                    output="…",
                    metadata=metadata(item_id),
                    scores={name: _score(name, values[item_id]) for name, values in columns.items()},
                )
                for item_id in ids
            ),
        )

    return make


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `llmops …` in this process, and return its status, stdout and stderr."""

    def go(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return go


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python with this package in a folder, as a process of its own."""
    root = str(Path(llmops.__file__).parents[1])

    def go(*arguments: object, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        outer = ("COV", "LLMOPS_", "PYTEST", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**kept, "PYTHONPATH": root, **variables},
            timeout=100,
            check=False,
        )

    return go


@pytest.fixture
def counted() -> Callable[[Path], Counter[str]]:
    """Count the lines of a file that dying processes appended to."""
    return lambda path: Counter(path.read_text("utf-8").splitlines()) if path.exists() else Counter()
