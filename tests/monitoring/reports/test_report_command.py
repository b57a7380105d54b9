"""`llmops report` prints or writes a report, and says what is wrong with its options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from weeks_of_calls import SINCE, UNTIL, plain_report

from llmops_sdk.cli._app import run

PERIOD = ("report", "--since", f"{SINCE:%Y-%m-%d}", "--until", f"{UNTIL:%Y-%m-%d}", "--store")


def test_it_prints_markdown_or_html(weeks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = plain_report(weeks)
    for form, text in (("md", found.markdown()), ("html", found.html())):
        assert run([*PERIOD, str(weeks), "--format", form]) == 0
        assert capsys.readouterr().out == text


def test_it_writes_a_file_and_says_how_it_went(weeks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.html"

    assert run([*PERIOD, str(weeks), "-o", str(file)]) == 0
    assert file.read_text("utf-8") == plain_report(weeks).html()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"{file}: worse\n"


def test_the_options_reach_the_report(weeks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--where", "model = 'gpt'", "--compare", "none", "--simulated", "--users", "--content", "--format", "json")

    assert run([*PERIOD, str(weeks), *more]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert (whole["where"], whole["previous"]) == ("model = 'gpt'", None)
    assert whole["figures"]["movers"]["user"]["rows"][0]["key"].startswith("u")
    assert whole["figures"]["simulated_left_out"] == 0
    assert "input" in whole["figures"]["slowest"][0]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("-o", "report.pdf"), 2, "let the name end with .html, .md or .json"),
        (("-o", "report.md", "--format", "html"), 2, "do not agree"),
        (("--since", "tomorrow"), 2, "neither an age"),
        (("--since", "2026-11-30", "--until", "2026-11-29"), 2, "must be later than"),
        (("--where", "nothing = 1"), 1, "where: "),
        (("--store", "none"), 1, "there is no store"),
    ],
)
def test_wrong_options_are_named(
    weeks: Path, options: tuple[str, ...], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--store", str(weeks), *options]) == status
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
