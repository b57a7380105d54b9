"""Run the example of threads and processes with each start method."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

import llmops_sdk as llmops

PROGRAM = Path(__file__).parents[2] / "examples" / "threads_and_processes.py"


@pytest.mark.parametrize("start_method", multiprocessing.get_all_start_methods())
def test_threads_and_processes_share_one_trace(start_method: str, tmp_path: Path):
    ran = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, start_method],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=100,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [str(["Cards", "Loans", "Fees"])] * 2 + ["7 calls below one span"]
    sql = """SELECT name, count(*), count(DISTINCT trace_id), count(DISTINCT resource->>'$."process.pid"') > 1
             FROM spans WHERE status = 'ok' GROUP BY name ORDER BY name"""
    assert llmops.query(sql, path=tmp_path / ".llmops").rows() == [
        ("summaries", 1, 1, False),
        ("summarise", 7, 1, True),
    ]
