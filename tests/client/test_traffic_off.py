"""Traffic control that is off costs nothing: a call imports none of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = ("budgets", "limits", "breaker", "hedging", "balance", "traffic")
PROGRAM = f"""
import sys
import llmops_sdk as llmops
llmops.configure(model="offline/echo", **eval(sys.argv[1]))
llmops.chat("Hi")
rooms = ["llmops_sdk.shared", *("llmops_sdk.resilience." + room for room in {ROOMS!r})]
print([room.rpartition(".")[2] for room in rooms if room in sys.modules])
"""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, []), ({"breaker": {"failures": 5}}, ["shared", "budgets", "limits", "breaker", "traffic"])],
)
def test_a_call_imports_only_what_is_on(settings: dict[str, object], expected: list[str], tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, repr(settings)], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == repr(expected)
