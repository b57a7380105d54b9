"""On a terminal of any width each line fits, and ids stay whole."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.cli._app import run
from llmops_sdk.store import query

WIDTHS = (60, 120, *map(thorough, (80, 100, 200)))
LONG = "a long question about 退款 and refunds, " * 30


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("widths") / "store"
    llmops.configure(store={"path": path}, model="offline/echo", cache={"exact": True, "semantic": {"mode": "shadow"}})
    with (
        llmops.context(session_id="session-of-the-customer", user_id="ada", tags=["shop", "vip"], metadata={"a": 1}),
        llmops.span("checkout", input={"note": LONG}),
    ):
        llmops.chat(LONG)
        llmops.score("helpful", 0.5, comment=LONG)
    llmops.shutdown()
    return path


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that runs `llmops …` on a terminal of some width, and returns what it prints."""

    def run_there(width: int, *arguments: str) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        written: list[bytes] = []

        def read() -> None:
            try:
                while piece := os.read(ours, 65_536):
                    written.append(piece)
            except OSError:
                return  # nobody writes to the terminal any more

        reader = threading.Thread(target=read)
        reader.start()
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(width))
            patch.setenv("TERM", "xterm")
            with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
                patch.setattr(sys, "stdout", terminal)
                run(arguments)
        reader.join(60)
        os.close(ours)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(written).decode()).replace("\r\n", "\n")

    return run_there


@pytest.mark.parametrize("width", WIDTHS)
def test_every_line_fits_and_ids_stay_whole(store: Path, on_terminal: Callable[..., str], width: int) -> None:
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
    at = ("--store", str(store))
    for command in (
        ("schema",), ("schema", "spans"), ("doctor", *at), ("doctor", "--all"), ("doctor", "--explain", "offline/echo"),
        ("guard", "list"), ("guard", "list", "pii"),
        ("cache", "stats", *at), ("cache", "inspect", *at), ("cache", "shadow", *at), ("compact", *at),
        ("prune", "--user", "ada", "--dry-run", *at), ("reprice", "--dry-run", *at), ("replay", *at),
        ("trust", "--list"),
    ):  # fmt: skip
        shown = on_terminal(width, *command)
        assert [line for line in shown.splitlines() if cell_len(line) > width] == [], command


def test_wide_rows_show_their_content_as_records(store: Path, on_terminal: Callable[..., str]) -> None:
    shown = on_terminal(80, "sql", "FROM llm_calls LIMIT 2", "--store", str(store))
    assert "a long question about" in shown
    assert re.search(r"^input_messages +\S", shown, re.MULTILINE)
    assert re.search(r"^── 1 ─+$", shown, re.MULTILINE)


def test_narrow_rows_stay_a_table(store: Path, on_terminal: Callable[..., str]) -> None:
    shown = on_terminal(60, "sql", "SELECT 1 AS a, 'x' AS b", "--store", str(store))
    assert "│ 1 │ x │" in shown


def test_doctor_is_short_and_says_that_all_is_well(store: Path, on_terminal: Callable[..., str]) -> None:
    shown = on_terminal(80, "doctor", "--store", str(store)).splitlines()
    assert len(shown) < 40
    assert shown[-1] == "all is well"
    problems = on_terminal(80, "doctor", "--problems", "--store", str(store)).splitlines()
    assert problems[-1] == "all is well"
    assert len(problems) < len(shown)
    assert all(line.startswith(("  note:", "    ")) or not line.startswith(" ") for line in problems)
