"""The report as a page in a real browser: empty, full, and with hostile names, in both themes and two widths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from real_browser import Served, Tab, chromium
from weeks_of_calls import SINCE, Calls, alert, answer, check, two_weeks, week_report, write_rows

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the driver

LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 360)]
LONG = "https://models.example.com/" + "very-long-name-" * 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def _full(store: Path) -> None:
    calls = two_weeks()
    for number in range(40):
        calls.add(SINCE + timedelta(hours=number), model=f"{number}-{LONG}", prompt=LONG, user=LONG, error="E" * 200)
    calls.write(store)
    day = SINCE + timedelta(days=1)
    write_rows(
        store, alert("firing", day), alert("firing", day, rule="slow", alert_id="a2", labels=None),
        check("novelty", "drifted", day, slice=json.dumps({"model": LONG}).encode()), check("cost", "steady", day),
        check("latency", "not_enough_data", day), answer(day), answer(day, canary="second", status="error"),
    )  # fmt: skip
    llmops.configure(
        store={"path": store},
        slo={
            "answers": {"objective": 0.99},
            "speed": {"objective": 0.95, "sli": "latency", "threshold": 100.0},
            "helpful": {"objective": 0.9, "sli": "score:helpful", "basis": "events"},
        },
    )


def _empty(store: Path) -> None:
    Calls().write(store)


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
@pytest.mark.parametrize("fill", [_empty, _full])
def test_the_report_has_no_violation_and_fits(fill: Any, scheme: str, width: int, browser: Any, tmp_path: Path):
    fill(tmp_path / "store")
    page = week_report(tmp_path / "store", content=True, users=True).write(tmp_path / "report.html")
    tab = Tab(browser, Served(None, ""), color_scheme=scheme, viewport={"width": width, "height": 800})
    tab.expected = (page.as_uri(),)  # the only thing that it loads

    tab.page.goto(page.as_uri())

    assert tab.page.locator("main h1").count() == 1
    assert tab.page.locator("svg").count() == (0 if fill is _empty else 4)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.violations() == []
    assert tab.problems == []
    tab.page.evaluate("document.documentElement.removeAttribute('lang')")
    assert [one.split(":")[0] for one in tab.violations()] == ["html-has-lang"]  # so axe does look
    tab.context.close()
