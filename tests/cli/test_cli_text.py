"""Output is safe to show and complete."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._text import cell, csv_cell, defuse, json_text, plain

CONTROLS = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x2028]} - {"\n", "\t"}

TIME = datetime.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - the store's times are naive and in UTC


def written(form: Format, columns: list[str], rows: list[tuple[object, ...]]) -> str:
    out = io.StringIO()
    write_rows(form, columns, rows, out)
    return out.getvalue()


@given(st.text())
def test_control_characters_are_replaced(text):
    assert not CONTROLS & set(defuse(text))
    assert not (CONTROLS | {"\n", "\t"}) & set(cell(text))
    assert not (CONTROLS | {"\n", "\t"}) & set(json_text({text: text}))


@pytest.mark.parametrize(
    "attack",
    ["\x1b]0;title\x07", "\x1b]52;c;Zm9v\x07", "\x1b[2J", "\x9b31m", "\x1b]8;;http://x\x1b\\a", "a\rb", "\b\b"],
)
@pytest.mark.parametrize("form", list(Format))
def test_escape_sequences_are_defused_in_every_format(form, attack):
    text = written(form, [attack], [(attack,)])
    assert not {"\x1b", "\x07", "\x9b", "\r", "\b"} & set(text)


@given(st.text())
def test_json_round_trips_any_text(text):
    assert json.loads(json_text(text)) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_formulas_are_quoted(start):
    assert csv_cell(f"{start}cmd()").startswith("'")
    [header, row] = list(csv.reader(io.StringIO(written(Format.CSV, [f"{start}a"], [(f"{start}b",)]))))
    assert header[0].startswith("'")
    assert row[0].startswith("'")


@pytest.mark.parametrize(
    ("value", "text"),
    [(-1, "-1"), (-0.5, "-0.5"), (Decimal("-2.50"), "-2.50"), (None, ""), (True, "true"), (1e-9, "1e-09")],
)
def test_csv_numbers_are_not_quoted(value, text):
    assert csv_cell(value) == text


def test_json_is_strict_and_renames_duplicate_columns():
    rows = [(math.nan, math.inf, Decimal("1.5"), TIME, b"\x00\xff", {"k": [1, None]})]
    [record] = json.loads(written(Format.JSON, ["a", "a", "a_1", "t", "b", "m"], rows))
    assert record == {
        "a": None, "a_1": None, "a_1_1": 1.5, "t": "2026-01-02T03:04:05", "b": "00ff", "m": {"k": [1, None]},
    }  # fmt: skip
    assert json.loads(written(Format.JSON, ["a"], [])) == []


def test_markdown_escapes_cell_content():
    lines = written(Format.MARKDOWN, ["a|b", "n"], [("x | y\n<script>", 1), (None, 2)]).splitlines()
    assert lines == ["| a\\|b | n |", "| --- | ---: |", "| x \\| y↵&lt;script> | 1 |", "|  | 2 |"]


def test_plain_table_is_aligned_and_cuts_long_cells():
    lines = written(Format.TABLE, ["name", "n"], [("a", 1), ("long" * 100, 22)]).splitlines()
    assert lines[0].split() == ["name", "n"]
    assert lines[2].endswith(" 1")
    assert lines[3].endswith("… 22".replace(" ", "  "))
    assert len(lines[3]) == 200 + 2 + 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.25, "0.25"), (0.0000123, "0.000012"), (1e-9, "1e-09"), (1234.5678, "1234.568"), (3.0, "3")],
)
def test_table_numbers_are_rounded(value, text):
    assert cell(value) == text


def test_other_types_become_text():
    assert plain(datetime.timedelta(seconds=5)) == "0:00:05"
    assert plain({1, 2}) in ([1, 2], [2, 1])


@pytest.mark.parametrize(
    "text",
    ["=1+1", "\n=1+1", "\r\n=1+1", " =1", "\x00=1", "\xa0=1", "\u200b=1", "\ufeff=1", "＝1+1", "\n＝1", "＋1", "－1",
     "＠SUM(1)", "﹦1", "\t=1", "\tx", "\rx", "-1+1", "@SUM(1)", "+1", "−1"],
)  # fmt: skip
def test_csv_never_starts_a_formula(text):
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize("text", ["a=1", "", " ", "1", "x ＝ 1", "\n", "ｱ"])
def test_csv_leaves_other_text_alone(text):
    assert not csv_cell(text).startswith("'")
