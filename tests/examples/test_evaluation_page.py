"""docs/evaluation.md as a newcomer follows it: its files are saved, its programs and its commands run, in order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.cli._app import run

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?[^\n]*\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)


def _run_pytest(arguments: list[str], folder: Path) -> None:
    ours = ("COV", "PYTEST", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"PYTHONPATH": str(Path(llmops.__file__).parents[1]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "llmops_sdk.testing._plugin", *arguments],
        capture_output=True, text=True, cwd=folder, env=environment, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"


def test_every_step_of_the_page_works(own_surroundings: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "app", None)  # the page's own one goes when the test ends
    monkeypatch.delitem(sys.modules, "app")
    names: dict[str, Any] = {"__name__": "__main__"}
    commands: list[str] = []
    for language, title, text in _BLOCK.findall(PAGE.read_text("utf-8")):
        if title:
            (own_surroundings / title).write_text(text, "utf-8")
        if language == "python" and title != "test_answers.py":
            exec(compile(text, str(PAGE), "exec"), names)
        for line in _COMMAND.findall(text) if language == "console" else ():
            program, *arguments = shlex.split(line, comments=True)
            if program == "pytest":
                _run_pytest(arguments, own_surroundings)
            else:
                assert (program, run(arguments)) == ("llmops", 0), line
            commands.append(line)
    assert len(commands) >= 9
    assert {"baseline.json", "eval.xml", "eval.md", "tests.json", "tests.md", "report.html"} <= {
        path.name for path in own_surroundings.iterdir()
    }
