"""`llmops drift data`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from drift_store import DAY, Call, traffic, write_calls


def _store(folder: Path, factor: float) -> None:
    def slower(call: Call) -> None:
        call.latency *= factor

    now = time.time()
    write_calls(folder, [*traffic(28, 20, end=now - 7 * DAY), *traffic(7, 40, seed=1, end=now, change=slower)])


def test_drift_is_exit_status_1_and_a_row_with_its_interval(command: Any, tmp_path: Path):
    _store(tmp_path / "store", 4)

    ran = command("drift", "data", "--store", tmp_path / "store", "--by", "model", "--format", "json")

    assert ran.status == 1
    row = next(one for one in json.loads(ran.out) if one["signal"] == "latency")
    assert row["status"] == "drifted"
    assert row["low"] < row["effect"] < row["high"]
    assert "drifted; look at " in ran.err
    asked = "SELECT count(*) AS n FROM drift_checks WHERE status = 'drifted'"
    assert json.loads(command("sql", asked, "--store", tmp_path / "store", "--format", "json").out)[0]["n"] >= 1


def test_no_drift_is_exit_status_0_and_nothing_is_written_with_no_write(command: Any, tmp_path: Path):
    _store(tmp_path / "store", 1)

    ran = command("drift", "data", "--store", tmp_path / "store", "--no-write")

    assert ran.status == 0, ran.out
    assert "latency" in ran.out
    asked = "SELECT count(*) AS n FROM drift_checks"
    assert json.loads(command("sql", asked, "--store", tmp_path / "store", "--format", "json").out)[0]["n"] == 0


def test_a_wrong_option_is_exit_status_2(command: Any, tmp_path: Path):
    for wrong in (("--window", "7x"), ("--by", "modell"), ("--where", "nonsense = 1")):
        ran = command("drift", "data", "--store", tmp_path / "store", *wrong)
        assert ran.status == 2, ran.err


def test_a_missing_library_is_exit_status_2(command: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "numpy", None)

    ran = command("drift", "data")

    assert ran.status == 2
    assert 'pip install "llmops-sdk[stats]"' in ran.err
