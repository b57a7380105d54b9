"""`llmops guard check` and `llmops guard list`."""

from __future__ import annotations

import json
import shlex

import pytest
from stdnum import luhn

from llmops_sdk.cli._examples import COMMANDS

CARD = "401288888888188" + luhn.calc_check_digit("401288888888188")


def test_check_prints_verdicts_and_the_text_that_goes_on(command):
    ran = command("guard", "check", f"pay {CARD} now", "--guards", "cards")
    assert ran.status == 0
    assert "CARD 4-20" in ran.out
    assert ran.out.endswith("\npay [CARD] now\n")
    assert CARD not in ran.out


def test_check_exits_with_1_if_a_guard_refuses(command):
    ran = command("guard", "check", f"pay {CARD}", "-g", "cards:block", "--format", "json")
    (row,) = json.loads(ran.out)
    assert (ran.status, row["action"], row["text"]) == (1, "block", "")


def test_check_reads_a_file(command, tmp_path):
    file = tmp_path / "letter.txt"
    file.write_text(f"my card: {CARD}")
    (row,) = json.loads(
        command("guard", "check", str(file), "-g", "cards", "--rail", "documents", "--format", "json").out
    )
    assert row["text"] == "my card: [CARD]"


def test_check_defuses_what_a_text_says_to_the_terminal(command):
    assert "\x1b" not in command("guard", "check", "a\x1b[31mred", "-g", "cards").out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["x"], 2, "name the guards"),
        (["x", "-g", "card"], 1, "did you mean 'cards'"),
        (["x", "-g", "cards", "--rail", "inpt"], 1, "no rail 'inpt'"),
    ],
)
def test_wrong_usage_says_what_to_do(command, arguments, status, message):
    ran = command("guard", "check", *arguments)
    assert ran.status == status
    assert message in " ".join(ran.err.split())


@pytest.mark.parametrize("line", [line for name in ("guard check", "guard list") for line in COMMANDS[name]])
def test_help_examples_of_guard_run(command, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("good day")
    ran = command(*shlex.split(line)[1:])
    assert (ran.status, ran.err) == (0, "")


def test_list_has_every_kind(command):
    rows = json.loads(command("guard", "list", "--format", "json").out)
    assert ["cards", "redact"] in [[row["guard"], row["default action"]] for row in rows]
