"""Reports hold the numbers, and no text of the data gets out of its cell."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from experiments import experiment
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals import Experiment, ItemResult, ScoreResult, gate, write_report
from llmops_sdk.evals.reports._html import html_report
from llmops_sdk.evals.reports._junit import JUnitCase, gate_cases, junit_xml
from llmops_sdk.evals.reports._markdown import comparison_markdown, summary_markdown

OLD = experiment("old", [1.0] * 60 + [0.0] * 40)
NEW = experiment("new", [1.0] * 40 + [0.0] * 60)
ATTACK = '"><script>alert(1)</script>|</td></table>\n](javascript:x) @team <!-- ]]> {{7*7}}\x00\ud800\u202e'


def test_markdown_has_the_gate_the_row_and_the_reason() -> None:
    comparison = OLD.compare(NEW)
    text = comparison_markdown(comparison, gate(comparison))
    assert "**Gate FAILED** (rule regression, margin 0, alpha 0.05)" in text
    assert re.search(
        r"\| exact \| 100 \| 0\.600 \| 0\.400 \| -0\.200 \\\[-0\.\d+, -0\.\d+\\\] \| \\< 0\.001 \| WORSE", text
    )
    assert "- exact: fail, worse by 0.2" in text


def test_markdown_of_an_experiment_is_its_summary() -> None:
    text = summary_markdown(OLD.name, OLD.summary())
    assert "| exact | 100 | 0.600 |" in text


def test_markdown_lists_items_of_one_side_briefly() -> None:
    more = Experiment(id="x", name="more", results=(*NEW.results, *(
        ItemResult(item_id=f"n{n}", status="ok") for n in range(12))), scorers=NEW.scorers)  # fmt: skip
    text = comparison_markdown(OLD.compare(more))
    assert "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more" in text


def test_hostile_names_stay_in_their_cell_of_markdown() -> None:
    old = experiment("old", {ATTACK: [1.0] * 10}, metadata=[{"part": ATTACK}] * 10)
    comparison = old.compare(experiment("new", {ATTACK: [0.0] * 10}), slices=["part"])
    text = comparison_markdown(comparison, gate(comparison))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {9}
    assert "<script" not in re.sub(r"\\<", "", text)
    assert "@team" not in text.replace("\\@", "")


@given(st.text(max_size=60), st.text(max_size=200))
def test_any_text_gives_valid_junit_xml(name: str, message: str) -> None:
    cases = [JUnitCase(suite=name, name=name, outcome=kind, message=message) for kind in ("pass", "fail", "error")]  # pyright: ignore[reportArgumentType]
    root = ET.fromstring(junit_xml([*cases, JUnitCase(suite="other", name="x", outcome="skipped")]).encode())
    assert root.attrib["tests"] == "4"
    assert (root.attrib["failures"], root.attrib["errors"], root.attrib["skipped"]) == ("1", "1", "1")


def test_a_gate_is_a_case_for_each_row() -> None:
    comparison = OLD.compare(NEW)
    root = ET.fromstring(junit_xml(gate_cases(gate(comparison), suite="new against old")))
    case = root.find("testsuite/testcase")
    assert case is not None
    assert case.attrib["name"] == "exact"
    assert case.find("failure") is not None


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def _tags(html: str) -> _Tags:
    parser = _Tags()
    parser.feed(html)
    return parser


def _hostile(name: str, value: float) -> Experiment:
    score = ScoreResult(scorer=ATTACK, status="ok", value=value)
    broken = ScoreResult(scorer="judge", status="error", error_type=ATTACK, error=ATTACK)
    results = tuple(
        ItemResult(item_id=f"{ATTACK}{n}", status="ok", input={"q": ATTACK, "n": 2**70}, output=ATTACK * 200,
                   metadata={"part": ATTACK}, scores={ATTACK: score, "judge": broken})
        for n in range(5)
    )  # fmt: skip
    scorers = {ATTACK: {"higher_is_better": True}, "judge": {"kind": "judge"}}
    return Experiment(id=name, name=ATTACK, results=results, scorers=scorers, dataset_version=ATTACK)


def test_html_has_no_script_and_nothing_of_the_data_becomes_markup() -> None:
    old, new = _hostile("old", 1.0), _hostile("new", 0.0)
    comparison = old.compare(new, slices=["part"])
    html = html_report(new, new.summary(), baseline=old, comparison=comparison, gate=gate(comparison))
    tags = _tags(html)
    assert tags.tags <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "span", "table", "thead", "tbody",
        "tr", "th", "td", "pre", "svg", "text", "line", "circle", "rect", "ul", "li",
    }  # fmt: skip
    assert not {name for name in tags.attributes if name.startswith("on") or name in ("src", "href", "style")}
    assert "default-src 'none'" in html
    html.encode()


def test_html_shows_scores_gate_plots_and_the_largest_losses() -> None:
    comparison = OLD.compare(NEW)
    html = html_report(NEW, NEW.summary(), baseline=OLD, comparison=comparison, gate=gate(comparison))
    assert 'Gate: <span class="fail">fail</span>' in html
    assert "largest losses first (20 of 20)" in html
    assert html.count("<svg") == 2
    assert 'class="worse"' in html
    assert "<td>i40</td>" in html


def test_content_stands_in_its_cells_as_it_is() -> None:
    old, new = (
        Experiment(
            id=name, name=name, scorers=OLD.scorers, results=tuple(
                ItemResult(
                    item_id=f"i{n}", status="ok", input="What?\nWhy?", output=f"{name} <b>", scores={
                        "exact": ScoreResult(scorer="exact", status="ok", value=value)
                    },
                ) for n in range(20)
            ),
        )
        for name, value in (("old", 1.0), ("new", 0.0))
    )  # fmt: skip
    html = html_report(new, new.summary(), baseline=old, comparison=old.compare(new), content=True)
    cells = ("What?\nWhy?", "old &lt;b&gt;", "new &lt;b&gt;")
    assert "".join(f"<td><pre>{text}</pre></td>" for text in cells) in html


def test_content_can_be_left_out_and_failures_are_listed() -> None:
    old, new = _hostile("old", 1.0), _hostile("new", 0.0)
    html = html_report(new, new.summary(), baseline=old, comparison=old.compare(new), content=False)
    assert "output before" not in html
    assert "Failures (5 of 5)" in html
    assert len(html) < 60_000


@pytest.mark.parametrize("count", [0, 1])
def test_an_experiment_with_little_or_nothing_has_a_report(count: int) -> None:
    run = Experiment(id="few", name="few", results=NEW.results[:count], scorers=NEW.scorers)
    html = html_report(run, run.summary(), comparison=OLD.compare(run))
    assert "Against old" in html


def test_a_report_is_written_by_the_ending_of_its_name(tmp_path) -> None:
    page = write_report(NEW, tmp_path / "new.html", baseline=OLD).read_text("utf-8")
    assert "<h1>new/" in page
    assert "WORSE" in page
    assert "Gate FAILED" in write_report(NEW, str(tmp_path / "new.md"), baseline=OLD).read_text("utf-8")
    assert "Gate" not in write_report(NEW, tmp_path / "alone.MD").read_text("utf-8")
    with pytest.raises(ConfigError, match=r"let it end with \.html or \.md"):
        write_report(NEW, tmp_path / "new.pdf")


def test_experiments_and_comparisons_print_as_tables_without_control_characters() -> None:
    old = experiment("old", {ATTACK: [1.0] * 10})
    comparison = old.compare(experiment("new", {ATTACK: [0.0] * 10}))
    assert re.search(r"^exact +100 +0\.6 +\[0\.\d+, 0\.\d+\] ", str(OLD), re.MULTILINE)
    assert re.search(r"^exact +100 +0\.6 +0\.4 +-0\.2 .* worse ", str(OLD.compare(NEW)), re.MULTILINE)
    assert (repr(OLD)[:15], repr(OLD.compare(NEW))[-13:]) == ("Experiment(old/", " exact worse)")
    for shown in (str(old), str(comparison)):
        assert "\x00" not in shown
        assert "\u202e" not in shown
    assert "<script>" not in old._repr_html_() + comparison._repr_html_()
