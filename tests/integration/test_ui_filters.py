"""Filters of the page, its command and its SQL give the same traces; a search in a large store streams and stops."""

from __future__ import annotations

import json
import random
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from page_stores import call, now_ns, span, write_store
from real_browser import Tab, chromium, serve_page

import llmops_sdk as llmops
from llmops_sdk.cli._app import run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the driver

FILTERS = 200
TRACES = 160
USERS = ["ada", "o'brien", "ünï 漢", "-dash", 'qu"ote', "per%cent_"]
TAGS = ["shop", "a b", "--flag", "x;y"]
MODELS = ["script", "echo", "gpt-x"]
WORDS = ["refund", "it's", "100%", "card_1", "漢字", "--", "nothing-has-this"]


def _traces() -> list[dict[str, Any]]:
    random.seed(11)
    made = []
    for number in range(1, TRACES + 1):
        trace, start = f"{number:032x}", now_ns(number * 137 + 60)
        common: dict[str, Any] = {
            "user_id": random.choice(USERS),
            "session_id": f"s{number % 9}",
            "tags": random.sample(TAGS, number % 3),
        }
        failed = {"status": "error", "error_type": "TimeoutError"} if number % 7 == 0 else {}
        word = random.choice(WORDS[:-1])
        made.append(
            span(
                trace,
                1,
                start_ns=start,
                ms=number * 20,
                name=f"answer {number % 5}",
                kind="agent",
                input={"q": word},
                **common,
                **failed,
            )
        )
        model = random.choice(MODELS)
        asked = {"request_model": model, "model": model, "cost": number / 1e4}
        made.append(
            call(trace, 2, f"tell me about {word}", "no", parent=1, start_ns=start + 1000, **{**common, **asked})
        )
        if number % 4 == 0:
            made.append(span(trace, 3, parent=1, start_ns=start + 2000, name="search", kind="retriever", **common))
    return made


def _filter() -> dict[str, list[str]]:
    choices = {
        "since": ["1h", "3h", "6h", "2d"], "until": ["10m", "2h"], "user": USERS, "session": ["s1", "s4", "none"],
        "model": MODELS, "status": ["ok", "error"], "kind": ["agent", "llm", "retriever"], "search": WORDS,
        "min_cost": ["0.001", "0.01"], "min_duration": ["0.5", "2"], "name": ["answer 1", "search"],
    }  # fmt: skip
    names = random.sample(list(choices), random.choice([0, 1, 1, 2, 2, 3]))
    found = {name: [random.choice(choices[name])] for name in names}
    if random.random() < 0.2:
        found["tag"] = random.sample(TAGS, random.choice([1, 2]))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("filters") / "store", _traces())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def tab(store: Path, browser: Any) -> Iterator[Tab]:
    with serve_page(store) as served:
        yield Tab(browser, served).enter()


def _by_command(line: str, store: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    program, *arguments = shlex.split(line)
    assert program == "llmops"
    capsys.readouterr()
    assert run([*arguments, "--format=json", f"--store={store}"]) == 0, line
    return [row["trace_id"] for row in json.loads(capsys.readouterr().out or "[]")]


def _answered(tab: Tab, query: dict[str, list[str]]) -> tuple[list[str], str, str]:
    """Return the same from the answer that the page would show, which is quicker."""
    body = tab.page.request.get(f"{tab.served.origin}/api/v1/traces?limit=50&{urlencode(query, doseq=True)}").json()
    return [row["trace_id"] for row in body["data"]["rows"]], body["command"], body["sql"]


def _shown(tab: Tab, query: dict[str, list[str]]) -> tuple[list[str], str, str]:
    """Return the ids of the rows in the page, and the command and the SQL that its buttons copy."""
    page = tab.open(f"/traces?{urlencode(query, doseq=True)}")
    page.locator(".traces tbody tr, .empty").first.wait_for()
    ids = page.locator("tr[data-trace]").evaluate_all("(rows) => rows.map((row) => row.dataset.trace)")
    texts = []
    for name in ("Copy command", "Copy SQL"):
        page.get_by_role("button", name=name, exact=True).click()
        texts.append(page.evaluate("navigator.clipboard.readText()"))
    return ids, texts[0], texts[1]


@pytest.mark.timeout(1800)
def test_page_command_and_sql_give_the_same_traces(tab: Tab, store: Path, capsys: pytest.CaptureFixture[str]):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    random.seed(5)
    found_some = 0
    for number in range(FILTERS):
        query = _filter()
        searched = "search" in query
        ids, command, sql = (_shown if searched or number % 5 == 0 else _answered)(tab, query)
        by_command = _by_command(command, store, capsys)
        by_sql = [row[0] for row in llmops.query(f"SELECT trace_id FROM ({sql})", path=store).rows()]
        if searched:  # a search is in the order of what it finds
            assert set(ids) <= set(by_command) and set(ids) <= set(by_sql), (query, command, sql)  # noqa: PT018
            assert len(ids) == len(by_command) or len(ids) >= 50, query
        else:
            assert ids == by_command == by_sql, (query, command, sql)
        found_some += bool(ids)
    assert found_some > FILTERS / 4
    assert tab.problems == []


def test_brushing_the_histogram_selects_a_time(tab: Tab):
    page = tab.open("/traces")
    plot = page.locator(".histogram .u-over")
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 20, steps=5)
    page.mouse.up()
    page.get_by_label("From", exact=True).wait_for()
    assert "since=" in page.url
    assert "until=" in page.url
    assert tab.problems == []


def test_facet_turns_a_filter_on_and_off(tab: Tab):
    page = tab.open("/traces")
    value = page.get_by_role("group", name="Status").get_by_role("button", name="error")
    value.click()
    page.get_by_role("button", name="status error: remove this filter").wait_for()
    assert "status=error" in page.url
    page.get_by_role("group", name="Status").get_by_role("button", name="error").click()
    page.get_by_role("button", name="status error: remove this filter").wait_for(state="hidden")
    assert tab.problems == []


def test_filter_gets_a_name_and_comes_back(tab: Tab, store: Path):
    name = "<b onmouseover=alert(1)>slow ones"
    page = tab.open("/traces?status=error&tag=shop&live=1")
    page.get_by_text("Saved filters").click()
    page.get_by_text("No filter is saved.").wait_for()
    page.get_by_label("Name of the present filter").fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name=name, exact=True).wait_for()
    assert tab.violations() == []
    page = tab.open("/calls?user=ada")
    page.set_viewport_size({"width": 360, "height": 800})
    page.get_by_text("Saved filters").click()
    box = page.locator(".saved-list").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    page.get_by_role("button", name=name, exact=True).click()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="status error: remove this filter").wait_for()
    assert page.url.endswith("/calls?tag=shop&status=error")
    page.get_by_text("Saved filters").click()
    page.get_by_role("button", name=f"Remove {name}").click()
    page.get_by_text("No filter is saved.").wait_for()
    assert tab.problems == []


def test_selection_becomes_a_data_set(tab: Tab, store: Path):
    page = tab.open("/traces?status=ok")
    boxes = page.get_by_role("checkbox")
    for number in range(3):
        boxes.nth(number).check()
    page.get_by_role("button", name="Make a data set").click()
    page.get_by_label("Name", exact=True).fill("picked")
    page.get_by_role("button", name="Create").click()
    page.get_by_text("Data set picked").wait_for()
    [(items,)] = llmops.query("SELECT count(*) FROM dataset_items WHERE dataset = 'picked'", path=store).rows()
    assert items == 3
    assert tab.problems == []


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A million spans of 30 days, made as the benchmarks do, and one more span at their beginning."""
    import store_files

    folder = tmp_path_factory.mktemp("million")
    ideal, store_files._write_ideal = store_files._write_ideal, lambda *_: None  # this test compares with no ideal file
    try:
        first = store_files.write_first(folder, 20_000, days=store_files.DAYS / 50)
        store, _ = store_files.build(folder, first, 50, 20_000)
    finally:
        store_files._write_ideal = ideal
    [(oldest,)] = llmops.query("SELECT min(start_ns) FROM spans", path=store).rows()
    needle = span("feed" + "0" * 28, 1, start_ns=oldest + 10**9, name="needle", input={"q": "qzx-needle-qzx"})
    lines = folder / "needle.jsonl"
    lines.write_text(json.dumps(needle) + "\n")
    assert run(["import", str(lines), f"--store={store}"]) == 0
    return store


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_rare_text_is_found_in_a_million_spans_and_a_search_stops_at_once(large: Path, browser: Any):
    with serve_page(large) as served:
        tab = Tab(browser, served).enter()
        page = tab.page
        began = time.monotonic()
        page.goto(f"{served.origin}/traces?search=qzx-needle-qzx")
        page.get_by_text("Searched back to").wait_for(timeout=60_000)
        progress = time.monotonic() - began
        page.get_by_role("link", name="needle").wait_for(timeout=120_000)
        print(f"progress after {progress:.1f} s, found after {time.monotonic() - began:.1f} s")

        page.goto(f"{served.origin}/traces?search=qzx-nowhere-qzx")
        page.get_by_text("Searched back to").wait_for(timeout=60_000)
        clicked = time.monotonic()
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Continue").wait_for()
        print(f"stopped after {(time.monotonic() - clicked) * 1000:.0f} ms")
        assert time.monotonic() - clicked < 5
        # The query ends too: soon the server uses no processor.
        for _ in range(50):
            before = _cpu_seconds(served.process.pid)
            page.wait_for_timeout(400)
            if _cpu_seconds(served.process.pid) - before < 0.05:
                break
        else:
            raise AssertionError("the server still works for a search that was stopped")
        print(f"the server is idle {time.monotonic() - clicked:.1f} s after the click")
        assert time.monotonic() - clicked < 10
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("The whole range was searched").wait_for(timeout=120_000)
        assert tab.problems == []
