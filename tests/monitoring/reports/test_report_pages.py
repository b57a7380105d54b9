"""A report is one file that loads nothing, hides what is private, and is the same for the same data."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from weeks_of_calls import (
    HOSTILE,
    PROMPT,
    SINCE,
    UNTIL,
    Calls,
    alert,
    answer,
    check,
    plain_report,
    two_weeks,
    verdict,
    week_report,
    write_rows,
)

import llmops_sdk as llmops
from llmops_sdk.errors import ConfigError
from llmops_sdk.monitoring.reports._render import _DARK, _LIGHT
from llmops_sdk.store import compact

_TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "p", "table", "caption", "thead",
    "tbody", "tr", "th", "td", "svg", "text", "line", "rect",
}  # fmt: skip
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_loads_and_runs_nothing(weeks: Path) -> None:
    html = plain_report(weeks).html().replace("http-equiv", "")

    assert not re.search(r"http|src=|href=|url\(|@import|@font-face|<script|<link|<iframe|<img|javascript:", html)
    assert {tag for tag, _ in Page(html).tags} <= _TAGS
    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    assert not _CONTROLS.search(html.replace("\n", ""))
    assert len(html.encode()) < 60_000


def test_the_page_has_the_structure_that_screen_readers_use(weeks: Path) -> None:
    page = Page(plain_report(weeks).html())

    assert page.of("html") == [{"lang": "en"}]
    assert [len(page.of(tag)) for tag in ("main", "h1", "title")] == [1, 1, 1 + sum(t == "rect" for t, _ in page.tags)
                                                                      + len(page.of("svg"))]  # fmt: skip
    assert {attributes.get("scope") for attributes in page.of("th")} == {"col", "row"}
    assert all(one["role"] == "img" and one["aria-label"] for one in page.of("svg"))
    assert len(page.of("svg")) == 3
    assert len(page.of("caption")) == len(page.of("table")) - 1  # that of the verdict has a heading of its own


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [_LIGHT, _DARK])
def test_colours_of_text_have_enough_contrast(theme: str) -> None:
    colours = dict(re.findall(r"--(\w+):(#\w{6})", theme))

    assert {
        name: _contrast(colours[name], colours["back"]) >= 4.5 for name in ("text", "good", "bad", "dim", "bar")
    } == (dict.fromkeys(("text", "good", "bad", "dim", "bar"), True))


def test_the_same_store_and_period_give_the_same_bytes(tmp_path: Path) -> None:
    two_weeks().write(tmp_path)
    first = week_report(tmp_path, content=True, users=True)
    program = (
        "from datetime import datetime; from llmops_sdk.monitoring import report; import sys\n"
        f"r = report(datetime.fromisoformat('{SINCE}'), datetime.fromisoformat('{UNTIL}'), path={str(tmp_path)!r}, "
        "content=True, users=True)\nsys.stdout.buffer.write((r.html() + r.markdown() + r.json()).encode())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60,
                          env={**os.environ, "PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo"})  # fmt: skip
    compact(path=tmp_path)
    compacted = week_report(tmp_path, content=True, users=True)

    assert done.stdout == (first.html() + first.markdown() + first.json()).encode()
    assert (compacted.html(), compacted.json()) == (first.html(), first.json())


def _hostile_store(path: Path) -> None:
    calls = Calls()
    for number in range(40):
        time = SINCE + timedelta(hours=4 * number)
        name = f"{number}{HOSTILE}"
        trace = calls.add(time, model=name, prompt=name, user=name, error=name, cost=1e308 if number % 2 else -1.0,
                          cache=name, events=[verdict(name, name, time)], ms=1e12)  # fmt: skip
        calls.score(trace, name, 1e300 if number % 2 else 1e8)
        calls.lose(name, name, 2**62, time)
    calls.write(path)
    labels = json.dumps({HOSTILE: HOSTILE, "user_id": "ada"}).encode()
    day = SINCE + timedelta(days=1)
    write_rows(path, *(
        row
        for number in range(40)
        for name in [f"{number}{HOSTILE}".replace("\ud800", "")]
        for row in (
            alert("firing", day, alert_id=name, rule=name, severity=name, labels=labels, reason=name,
                  example_trace_ids=[name]),
            check(name, "drifted", day, slice=labels, cause=name, reason=name, name=name, kind=name),
            answer(day, canary=name, kind=name, request_model=name, cost=1e308),
        )
    ))  # fmt: skip


def test_hostile_names_stay_text_short_and_harmless(tmp_path: Path) -> None:
    _hostile_store(tmp_path)
    llmops.configure(slo={HOSTILE.replace("\ud800", "")[:60]: {"objective": 0.99}})
    found = week_report(tmp_path, users=True, content=True)
    html, markdown, text = found.html(), found.markdown(), found.json()
    page = Page(html)

    assert {tag for tag, _ in page.tags} <= _TAGS
    assert not {name for _, attributes in page.tags for name in attributes} - {
        "lang", "charset", "http-equiv", "content", "name", "class", "scope", "viewbox", "role", "aria-label", "x", "y",
        "text-anchor", "x1", "x2", "y1", "y2", "width", "height",
    }  # fmt: skip
    assert any("<script>alert(1)</script>" in one for one in page.texts)
    for form in (html, markdown):
        assert not _CONTROLS.search(form.replace("\n", ""))
    assert "<script" not in markdown.replace("\\<", "")
    assert "@all" not in markdown.replace("\\@", "")
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in rows]
    dividers = [place for place, line in enumerate(rows) if set(line) <= set("| -")]
    assert all(widths[place] == widths[place - 1] == widths[place + 1] for place in dividers)
    assert text.isascii()
    assert json.loads(text)["figures"]["movers"]["model"]["keys"] == 40
    assert max(len(html.encode()), len(markdown.encode())) < 300_000


def test_ids_of_users_are_hidden_until_asked_for(tmp_path: Path) -> None:
    calls = Calls()
    for number in range(4):
        calls.add(SINCE + timedelta(hours=number), user="ada")
    calls.write(tmp_path)
    write_rows(tmp_path, alert("firing", SINCE + timedelta(days=3)),
               check("length", "drifted", SINCE + timedelta(days=1), slice=b'{"session_id":"ada"}'))  # fmt: skip
    hidden, shown = week_report(tmp_path), week_report(tmp_path, users=True)

    for form in (hidden.html(), hidden.markdown(), hidden.json()):
        assert "ada" not in form
    assert "cost of (hidden) is 7 USD" in hidden.html()
    assert "user 1" in hidden.html()
    for form in (shown.html(), shown.markdown(), shown.json()):
        assert "ada" in form


def test_prompts_and_answers_are_shown_only_where_asked_for(weeks: Path) -> None:
    without, with_them = plain_report(weeks), week_report(weeks, content=True)

    for form in (without.html(), without.markdown(), without.json()):
        assert PROMPT not in form
        assert "an answer" not in form
    for form in (with_them.html(), with_them.markdown(), with_them.json()):
        assert PROMPT in form
        assert "an answer" in form


def test_the_forms_have_the_same_verdict(weeks: Path) -> None:
    found = plain_report(weeks)
    whole = json.loads(found.json())

    assert len(found.verdict) == 5
    assert whole["verdict"] == list(found.verdict)
    assert whole["status"] == found.status == "worse"
    for line in found.verdict:
        text = line.partition(": ")[2]
        assert text in found.html()
        assert text in found.markdown().replace("\\", "")


def test_a_report_is_written_by_the_ending_of_its_name(weeks: Path, tmp_path: Path) -> None:
    found = plain_report(weeks)

    assert found.write(tmp_path / "r.html").read_text("utf-8") == found.html()
    assert found.write(str(tmp_path / "r.MD")).read_text("utf-8") == found.markdown()
    assert found.write(tmp_path / "r.json").read_text("utf-8") == found.json()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.MD", "r.html", "r.json"]
    with pytest.raises(ConfigError, match=r"let it end with \.html, \.md or \.json"):
        found.write(tmp_path / "r.pdf")
    with pytest.raises(ConfigError, match="cannot be written"):
        found.write(tmp_path / "none" / "r.md")


def test_without_a_comparison_nothing_is_called_worse(weeks: Path) -> None:
    found = week_report(weeks, compare="none")

    assert "before" not in found.markdown().replace("before this period", "").replace("seen before", "")
    assert "Share of errors" in found.markdown()
    assert found.figures["errors"] == {"current": found.figures["errors"]["current"]}
