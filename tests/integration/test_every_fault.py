"""Run the cross product of tests/faults: every case, set-up, way of calling and route, with and without tools."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fault_calls import played, write
from fault_cases import every_cell
from fault_grades import table

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


def test_every_fault_outcome(tmp_path: Path):
    rows = played(every_cell(), tmp_path)
    write(rows, Path(os.environ.get("FAULTS_TABLE", tmp_path)))

    assert [row for row in rows if row["grade"] != "pass"] == []
    assert len(rows) == len(every_cell()) > 1500
    assert len(table(rows)) == 16
