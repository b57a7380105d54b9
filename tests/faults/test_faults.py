"""Sixteen faults of a provider, in every way of calling: each call meets the fault's criterion.

Each case runs under each set-up in each way; routes and tools alternate. tests/integration runs the cross product.
The results go to `faults.json` in the folder that FAULTS_TABLE names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fault_calls import played, write
from fault_cases import CASES, FAULTS, WAYS, some_cells
from fault_grades import table

# litellm makes a coroutine in a thread and drops it if the call's time ends meanwhile.
_DROPPED = ".*coroutine.*OpenAIChatCompletion.acompletion"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("faults"),
    pytest.mark.filterwarnings(f"ignore:{_DROPPED}:RuntimeWarning"),
    pytest.mark.filterwarnings(f"ignore:{_DROPPED}:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Make all calls once, many at a time, and return one row per call."""
    folder = tmp_path_factory.mktemp("faults")
    found = played(some_cells(), folder)
    write(found, Path(os.environ.get("FAULTS_TABLE", folder)))
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_outcome(fault: str, way: str, rows: list[dict[str, Any]]):
    these = [row for row in rows if (row["fault"], row["way"]) == (fault, way)]

    assert [row for row in these if row["grade"] != "pass"] == []
    assert {row["case"] for row in these} == {case.name for case in CASES if case.fault == fault}
    assert {row["route"] for row in these} == {"openai", "anthropic"}
    assert {row["tools"] for row in these} == {True, False}


def test_all_sixteen_faults_pass_in_every_way(rows: list[dict[str, Any]]):
    grades = table(rows)

    assert len(grades) == 16
    assert {grade for ways in grades.values() for grade in ways.values()} == {"pass"}
    assert all(set(ways) == set(WAYS) for ways in grades.values())
