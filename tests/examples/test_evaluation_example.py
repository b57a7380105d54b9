"""Run what the workflow of the evaluation example runs, with stand-ins for pip and gh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import llmops_sdk as llmops

EXAMPLE = Path(__file__).parents[2] / "examples" / "evaluation"
WORKFLOW = yaml.safe_load((EXAMPLE / "evaluation.yml").read_text("utf-8"))
STEPS = WORKFLOW["jobs"]["evaluate"]["steps"]
PROGRAMS = {
    "pip": 'echo "$@" >> installed.txt',
    "gh": 'echo "$@" >> posted.txt',
    "llmops": f'exec "{sys.executable}" -m llmops_sdk "$@"',
    "pytest": f'exec "{sys.executable}" -m pytest -p llmops_sdk.testing._plugin "$@"',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (tmp_path / "bin").mkdir()
    for name, line in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        program.chmod(0o755)
    return folder


def run_steps(folder: Path) -> list[tuple[str, int, str]]:
    """Run the steps as GitHub does: after a failure only those that run always."""
    ours = ("COV", "LLMOPS_", "PYTEST", "PYTHON", "GITHUB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = {
        **kept,
        "PATH": f"{folder.parent / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(llmops.__file__).parents[1]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "PULL_REQUEST": "7",
    }
    done: list[tuple[str, int, str]] = []
    for step in STEPS:
        if "run" in step and (step.get("if") == "always()" or all(status == 0 for _, status, _ in done)):
            ran = subprocess.run(
                ["bash", "-e", "-c", step["run"]], capture_output=True, text=True, cwd=folder, env=environment,
                timeout=100, check=False,
            )  # fmt: skip
            done.append((step["name"], ran.returncode, ran.stdout + ran.stderr))
    return done


def test_the_workflow_passes_and_posts_the_summary(project: Path):
    done = run_steps(project)
    assert [(name, status) for name, status, _ in done] == [
        ("Install", 0), ("Compare with the baseline", 0), ("Test the prompts", 0), ("Post the summary", 0),
    ], done  # fmt: skip
    assert (project / "installed.txt").read_text("utf-8") == "install llmops-sdk[evals,pytest]\n"
    assert (project / "posted.txt").read_text(
        "utf-8"
    ) == "pr comment 7 --edit-last --create-if-none --body-file eval.md\n"
    assert "**Gate passed**" in (project / "summary.md").read_text("utf-8")
    assert "3 passed" in done[2][2]


@pytest.mark.thorough
def test_a_worse_answer_fails_the_workflow_and_the_summary_says_why(project: Path):
    program = (project / "help_desk.py").read_text("utf-8")
    (project / "help_desk.py").write_text(program.replace("return max(ARTICLES", "return min(ARTICLES"), "utf-8")
    done = run_steps(project)
    assert [(name, status) for name, status, _ in done] == [
        ("Install", 0), ("Compare with the baseline", 1), ("Post the summary", 0),
    ], done  # fmt: skip
    summary = (project / "summary.md").read_text("utf-8")
    assert "**Gate FAILED**" in summary
    assert "- FAILED: new-card: 0 of 1 runs passed" in summary


def test_actions_are_pinned_by_version_and_may_do_no_more_than_comment():
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", one) for one in used)
    assert WORKFLOW["permissions"] == {"contents": "read", "pull-requests": "write"}
    # Nothing of the pull request's texts comes into a shell.
    assert "${{" not in "".join(step.get("run", "") for step in STEPS)
