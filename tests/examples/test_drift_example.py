"""The demo of drift finds both changes of its last week, and its rows say that they are simulated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import llmops_sdk as llmops


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "160", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "llmops_sdk", "demo", "--drift"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def test_the_demo_finds_both_changes_of_the_last_week(tmp_path: Path) -> None:
    done = demo(tmp_path)

    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows if "drifted" in row] == [
        "What customers ask",
        "How good answers are",
    ]
    assert "helpful fell from 0.8" in " ".join(done.stdout.split())
    assert len(done.stdout.splitlines()) < 25
    assert "<h1>Report of " in (tmp_path / "llmops-drift.html").read_text("utf-8")
    sql = "SELECT count(*), bool_and(simulated), count(DISTINCT model) FROM llm_calls"
    assert llmops.query(sql, path=tmp_path / ".llmops-drift").rows() == [(1_400, True, 2)]

    again = demo(tmp_path)

    assert again.returncode == 2
    assert "exists already" in again.stderr
