"""On a terminal of any width each line fits, and ids stay whole."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len

import llmops_sdk as llmops
from llmops_sdk.store import query

WIDTHS = (60, 80, 100, 120, 200)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("widths") / "store"
    llmops.configure(store={"path": path}, model="offline/echo")
    long = "a long question about 退款 and refunds, " * 30
    with llmops.context(session_id="session-of-the-customer", user_id="ada", tags=["shop", "vip"], metadata={"a": 1}):
        with llmops.span("checkout", input={"note": long}):
            llmops.chat(long)
            llmops.score("helpful", 0.5, comment=long)
    llmops.shutdown()
    return path


def on_terminal(width: int, *arguments: str) -> str:
    """Return what `llmops …` prints on a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "llmops_sdk", *arguments],
        stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env={**environment, "TERM": "xterm", "PYTHONUTF8": "1"},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:
            break  # the terminal of a process that has ended
        if not piece:
            break
        written += piece
    os.close(ours)
    process.wait(60)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("width", WIDTHS)
def test_every_line_fits_and_ids_stay_whole(store: Path, width: int) -> None:
    ((trace, span),) = query("SELECT trace_id, span_id FROM llm_calls", path=store).rows()
    commands = {
        ("traces",): [trace],
        ("sql", "FROM llm_calls LIMIT 2"): [trace, span],
        ("sql", "SELECT trace_id, span_id, input FROM spans"): [trace, span],
        ("sql", "SELECT 1 AS a_very_long_name_of_a_column_that_leaves_no_room_for_its_value, trace_id FROM traces"): [
            trace
        ],
        ("show", trace): [trace],
        ("stats",): [],
        ("stats", "--by", "user"): [],
        ("tail", "--no-follow"): [trace],
        ("tail", "--no-follow", "--spans"): [trace, span],
    }
    for command, ids in commands.items():
        shown = on_terminal(width, *command, "--store", str(store))
        assert shown.strip(), command
        assert [line for line in shown.splitlines() if cell_len(line) > width] == [], command
        assert [one for one in ids if one not in shown] == [], command
    for command in (("schema",), ("schema", "spans"), ("doctor", "--store", str(store)), ("doctor", "--all")):
        shown = on_terminal(width, *command)
        assert [line for line in shown.splitlines() if cell_len(line) > width] == [], command


def test_wide_rows_show_their_content_as_records(store: Path) -> None:
    shown = on_terminal(80, "sql", "FROM llm_calls LIMIT 2", "--store", str(store))
    assert "a long question about" in shown
    assert re.search(r"^input_messages +\S", shown, re.MULTILINE)
    assert re.search(r"^── 1 ─+$", shown, re.MULTILINE)


def test_narrow_rows_stay_a_table(store: Path) -> None:
    shown = on_terminal(60, "sql", "SELECT 1 AS a, 'x' AS b", "--store", str(store))
    assert shown.splitlines()[0] == "a  b"


def test_doctor_is_short_and_says_that_all_is_well(store: Path, own_surroundings: Path) -> None:
    shown = on_terminal(80, "doctor", "--store", str(store)).splitlines()
    assert len(shown) < 40
    assert shown[-1] == "all is well"
    problems = on_terminal(80, "doctor", "--problems", "--store", str(store)).splitlines()
    assert problems[-1] == "all is well"
    assert len(problems) < len(shown)
    assert all(line.startswith(("  note:", "    ")) or not line.startswith(" ") for line in problems)
