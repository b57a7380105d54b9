"""Exit statuses 0, 1 and 2 of `llmops eval`, and its files: JUnit, Markdown, and one HTML page."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from llmops_sdk.evals import evaluate

HOSTILE = (
    '<script>alert(1)</script>]]> | `x` \x1b[31m\x00\x0b "quoted" & <img src=http://example.com/x> '
    "\u202e [a](javascript:b)"
)


def write(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path, made):
    """Write results of 60 items: `half` and `other` do not differ in truth, `none` is far below `half`."""
    values = {
        "half": {n: float(n % 2) for n in range(60)},
        "other": {n: float(n % 2) if n > 3 else 1.0 - n % 2 for n in range(60)},
        "none": {n: float(n == 1) for n in range(60)},
        "full": dict.fromkeys(range(60), 1.0),
        "apart": dict.fromkeys(range(100, 160), 1.0),
    }
    for name, column in values.items():
        run = made(name, {"right": column}, metadata=lambda item_id: {"topic": "ab"[int(item_id) % 2]})
        (tmp_path / f"{name}.json").write_text(json.dumps(run.to_dict()), "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("before", "after", "more", "status"),
    [
        ("half", "other", (), 0),
        ("half", "full", (), 0),
        ("half", "none", (), 1),
        ("half", "none", ("--slice", "topic"), 1),
        ("half", "none", ("--rule", "sequential"), 1),
        ("half", "none", ("--rule", "non_inferiority", "--margin", "0.02"), 1),
        ("half", "other", ("--rule", "non_inferiority", "--margin", "0.02"), 2),
        ("half", "full", ("--rule", "non_inferiority", "--margin", "0.02"), 0),
        ("half", "apart", (), 2),
        # An error is a failure: undecided is a mere warning in many a workflow.
        ("half", "missing", (), 1),
        ("half", "other", ("--rule", "hope"), 1),
        ("half", "other", ("--rule", "non_inferiority"), 1),
        ("half", "other", ("--scorers", "unknown"), 1),
        ("half", "other", ("--margin", "-1"), 1),
    ],
)
def test_the_gates_status(store, files, command, before, after, more, status):
    found, out, err = command("eval", "gate", files / f"{before}.json", files / f"{after}.json", *more)
    assert found == status, out + err
    assert "Traceback" not in err
    assert out + err


def test_runs_status_is_that_of_its_scores_and_its_gate(store, command, tmp_path, monkeypatch):
    (tmp_path / "shouting.py").write_text(
        "def up(text):\n    return text.upper()\n\n\ndef same(text):\n    return text\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    rows = write(
        tmp_path / "rows.jsonl", [{"id": f"q{n}", "input": f"word {n}", "expected": f"WORD {n}"} for n in range(20)]
    )
    base = tmp_path / "base.json"
    run = ("eval", "run", "--dataset", rows, "--scorers", "equals")

    def status(task, *more):
        found, out, err = command(*run, f"shouting:{task}", *more)
        assert "Traceback" not in err
        return found, out + err

    assert status("up", "--save", base)[0] == 0
    assert status("same", "--threshold", "0.5")[0] == 1
    assert status("same", "--gate", base)[0] == 1
    assert status("up", "--gate", base)[0] == 0
    assert status("missing")[0] == 1
    assert status("up", "--scorers", "no_such_scorer")[0] == 1
    assert status("up", "--gate", tmp_path / "nowhere.json")[0] == 1
    assert command("eval", "run", tmp_path / "nowhere.eval.yaml")[0] == 1
    assert command("eval", "run", "shouting:up", "--dataset", "nowhere.jsonl", "--scorers", "equals")[0] == 1
    assert command("eval", "compare", base, base)[0] == 0
    assert command("eval", "report", "nowhere")[0] == 1


class Page(HTMLParser):
    """Collects what a page would run or fetch."""

    def __init__(self, text: str):
        super().__init__()
        self.bad: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in {"script", "iframe", "object", "embed", "link", "base", "img", "form"}:
            self.bad.append(tag)
        for name, value in attrs:
            fetches = name in {"src", "href", "xlink:href", "action", "background", "srcset"} and not (
                value or ""
            ).startswith("#")
            if name.startswith("on") or (fetches and not (value or "").startswith("data:")):
                self.bad.append(f"{tag} {name}={value}")


def test_files_with_hostile_texts(store, command, tmp_path):
    """What users and models wrote neither runs nor breaks a file."""

    def fail(text):
        raise RuntimeError(HOSTILE)

    rows = [{"id": HOSTILE.replace("\x00", ""), "input": HOSTILE.replace("\x00", ""), "expected": "x"}]
    evaluate(fail, rows, "equals", name="failing", progress=False)
    evaluate(lambda text: text, rows, "equals", name="echo", progress=False)
    page, markdown, junit = (tmp_path / name for name in ("report.html", "report.md", "report.xml"))

    status, out, err = command(
        "eval", "report", "failing", "--baseline", "echo", "--html", page, "--markdown", markdown
    )
    assert status == 0, out + err
    assert not {"\x1b[31m", "\x00", "\u202e"} & set(re.findall(r"\x1b\[31m|\x00|\u202e", out + err))
    text = page.read_text("utf-8")
    found = Page(text)
    assert found.bad == []
    assert "svg" in found.tags
    assert "http://example.com/x>" not in text
    assert not re.search(r"url\(|@import", text)
    plain = markdown.read_text("utf-8")
    assert "<script>" not in plain
    assert "<img" not in plain
    assert command("eval", "gate", "echo", "failing", "--junit", junit)[0] in (0, 1, 2)
    assert ET.parse(junit).getroot().tag in {"testsuites", "testsuite"}


def test_junit_and_markdown_say_what_failed(store, files, command):
    junit, markdown = files / "gate.xml", files / "gate.md"
    options = ("--junit", junit, "--markdown", markdown, "--slice", "topic")
    assert command("eval", "gate", files / "half.json", files / "none.json", *options)[0] == 1
    cases = {one.get("name"): one for one in ET.parse(junit).getroot().iter("testcase")}

    failed = [name for name, one in cases.items() if one.find("failure") is not None]
    assert failed
    assert all("right" in f"{name}{cases[name].get('classname')}" for name in failed)
    assert len(cases) >= 3
    text = markdown.read_text("utf-8")
    assert "worse" in text
    assert "right" in text
    assert "-0.4" in text.replace("−", "-")
    # An undecided gate is no failure of JUnit, and no silent pass either.
    assert command("eval", "gate", files / "half.json", files / "apart.json", "--junit", junit)[0] == 2
    suite = ET.parse(junit).getroot()
    assert not list(suite.iter("failure"))
    assert list(suite.iter("skipped")) or "undecided" in junit.read_text("utf-8")


@pytest.mark.thorough
def test_no_content_leaves_texts_out_of_the_page(store, command, tmp_path):
    rows = [{"id": "q1", "input": "the question", "expected": "the right answer"}]
    for name, output in (("before", "the right answer"), ("after", "the wrong answer")):
        evaluate(lambda text, output=output: output, rows, "equals", name=name, progress=False)
    page = tmp_path / "report.html"
    for option, has in (("--content", True), ("--no-content", False)):
        assert command("eval", "report", "after", "--baseline", "before", "--html", page, option)[0] == 0
        text = page.read_text("utf-8")
        assert [part in text for part in ("the question", "the right answer", "the wrong answer")] == [has] * 3
