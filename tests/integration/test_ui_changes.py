"""What a person changes by the page: scores from the keyboard, and replays that are shown, bounded and linked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_stores import call, now_ns, span, write_store
from real_browser import Tab, chromium, serve_page, settled, without_settings

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the driver

ROOT = Path(__file__).parents[2]
ITEMS = 50
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SETTINGS = {"LLMOPS_MODEL": "offline/echo", "LLMOPS_UI__REPLAY": "true"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def _traces(folder: Path) -> Path:
    made = []
    for number in range(1, ITEMS + 1):
        trace, start = f"{number:032x}", now_ns(number * 60)
        made.append(
            span(
                trace,
                1,
                start_ns=start,
                name="answer",
                kind="agent",
                session_id=f"talk {number % 5}",
                input={"question": f"question {number}"},
                output=f"answer {number}",
            )
        )
        made.append(call(trace, 2, f"question {number}", f"answer {number}", parent=1, start_ns=start + 1000))
    return write_store(folder / "store", made)


def _scores(store: Path, where: str = "true") -> list[tuple[Any, ...]]:
    sql = f"SELECT trace_id, name, value, source FROM scores WHERE value IS NOT NULL AND {where} ORDER BY trace_id"
    return llmops.query(sql, path=store).rows()


def _saved(page: Any) -> None:
    page.get_by_text("saving").wait_for(state="hidden")


def test_fifty_items_are_scored_by_keyboard_and_undo_takes_back(tmp_path: Path, browser: Any):
    store = _traces(tmp_path)
    with serve_page(store) as served:
        tab = Tab(browser, served).enter()
        page = tab.open("/queue?judge=quality&by=ada")
        page.get_by_text(f"1 of {ITEMS}").wait_for()
        for number in range(ITEMS):
            page.keyboard.press("12345yn"[number % 7])
        page.get_by_text(f"All {ITEMS} seen").wait_for()
        _saved(page)
        found = _scores(store)
        assert len({row[0] for row in found}) == len(found) == ITEMS
        assert {(row[1], row[3]) for row in found} == {("quality", "ui:ada")}
        assert {row[2] for row in found} == {1.0, 2.0, 3.0, 4.0, 5.0, 0.0}

        page.keyboard.press("u")
        page.get_by_text(f"{ITEMS} of {ITEMS}").wait_for()
        _saved(page)
        assert len(_scores(store)) == ITEMS - 1
        page.keyboard.press("k")
        page.keyboard.press("j")
        page.keyboard.press("3")
        _saved(page)
        assert len(_scores(store)) == ITEMS
        assert len(_scores(store, "value = 3")) == 8

        # After a reload nothing is left to score; another name has all of them.
        page = tab.open("/queue?judge=quality&by=ada")
        page.get_by_text("Nothing to annotate.").wait_for()
        page = tab.open("/queue?judge=quality&by=bob")
        page.get_by_text(f"1 of {ITEMS}").wait_for()
        assert tab.problems == []
        tab.context.close()
    # Another process, and after the server has ended.
    assert len(_scores(store)) == ITEMS


def test_spans_calls_and_sessions_are_judged_by_keyboard_too(tmp_path: Path, browser: Any):
    store = _traces(tmp_path)
    with serve_page(store) as served:
        tab = Tab(browser, served).enter()
        page = tab.open("/queue?judge=quality&by=ada")
        for target, label in (("spans", "Spans"), ("calls", "Calls to models"), ("sessions", "Sessions")):
            page.locator("label", has_text="Judge").locator("select").select_option(label=label)
            page.wait_for_url(f"**target={target}*")
            page.locator(".queue-item").wait_for()
            settled(page)
            page.keyboard.press("4")
            page.get_by_text("1 scored").first.wait_for()
            page.keyboard.press("u")
            page.keyboard.press("2")
            _saved(page)
            found = llmops.query("SELECT target, value FROM scores WHERE value IS NOT NULL ORDER BY time", path=store)
            assert found.rows()[-1] == ({"calls": "span"}.get(target, target.removesuffix("s")), 2.0)
        assert len(_scores(store)) == 2  # the newest span is the newest call
        assert tab.problems == []
        assert tab.violations() == []
        tab.context.close()


def test_read_only_page_takes_no_scores(tmp_path: Path, browser: Any):
    store = _traces(tmp_path)
    with serve_page(store, "--read-only") as served:
        tab = Tab(browser, served).enter()
        page = tab.open("/queue")
        page.get_by_text("read only").first.wait_for()
        page.keyboard.press("5")
        page = tab.open(f"/trace/{1:032x}")
        assert page.get_by_role("form", name="Score this trace").count() == 0
        assert tab.problems == []
        tab.context.close()
    assert _scores(store) == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    asked = {
        "attributes": {"gen_ai.tool.definitions": json.dumps([TOOL])},
        "request_model": "echo",
        "model": "echo",
    }
    trace, start = "a" * 32, now_ns(60)
    made = [
        span(trace, 1, start_ns=start, name="answer", kind="agent"),
        call(trace, 2, "the weather in Bonn", "rain", parent=1, start_ns=start, **asked),
    ]
    write_store(tmp_path / "store", made)
    return tmp_path


def test_replay_shows_its_cost_first_and_its_trace_is_linked(project: Path, browser: Any):
    with serve_page(project / "store", LLMOPS_STORE__PATH=str(project / "store"), **SETTINGS) as served:
        tab = Tab(browser, served).enter()
        page = tab.open(f"/trace/{'a' * 32}?span={2:016x}")
        page.get_by_role("link", name="Replay").click()
        button = page.get_by_role("button", name="Send 1 call to offline/echo, free")
        button.wait_for()
        sent = "SELECT count(*) FROM traces WHERE name = 'replay'"
        assert llmops.query(sent, path=project / "store").scalar() == 0
        assert tab.violations() == []
        button.click()
        answer = page.locator(".message.assistant", has_text="against the original").first
        answer.wait_for()
        assert answer.locator("ins").count() > 0
        assert answer.locator("del").count() > 0
        answer.get_by_role("link").first.click()
        page.locator(".waterfall").wait_for()
        assert tab.problems == []
        tab.context.close()
    sql = "SELECT links::VARCHAR FROM spans WHERE name = 'replay'"
    [(links,)] = llmops.query(sql, path=project / "store").rows()
    assert "a" * 32 in links


RECORDED = """
import json
import llmops_sdk as llmops

tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
talk = [
    {"role": "user", "content": "Is it warm in Bonn?"},
    {"role": "assistant", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain, 9 degrees"},
]
for _ in range(2):
    answer = llmops.chat(talk, model="cassette/weather", tools=[tool], temperature=0.2)
print(json.dumps([answer.trace_id, answer.span_id]))
"""
RECORDING = """
[models.scripted]
model = "offline/script"
options = { answers = ["No, it is cold and it rains.", "It is cold in Bonn."] }

[cassettes]
records = "scripted"

[ui]
replay = true
"""


def test_call_with_tools_is_replayed_from_its_cassette(tmp_path: Path, browser: Any):
    store = tmp_path / "store"
    settings = {"LLMOPS_CONFIG_FILE": str(tmp_path / "llmops.toml"), "LLMOPS_STORE__PATH": str(store)}
    (tmp_path / "llmops.toml").write_text(RECORDING)
    env = {**without_settings(), "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-c", RECORDED]
    done = subprocess.run(
        command, env={**env, "LLMOPS_CASSETTES__MODE": "record"}, cwd=tmp_path, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    trace, original = json.loads(done.stdout)
    with serve_page(store, **settings) as served:
        tab = Tab(browser, served).enter()
        page = tab.open(f"/replay/{trace}/{original}")
        button = page.get_by_role("button", name="Send 1 call to cassette/weather, free")
        button.wait_for()
        facts = page.locator("main .facts").inner_text()
        assert "temperature 0.2" in facts
        assert "Tools\n1" in facts
        button.click()
        answer = page.locator(".message.assistant", has_text="against the original").first
        answer.wait_for()
        # The cassette begins with its first recording; the original is the second one.
        assert "No," in answer.locator("ins").all_inner_texts()
        assert answer.locator("del").count() > 0
        answer.get_by_role("link").first.click()
        page.locator(".waterfall").wait_for()
        assert tab.problems == []
        tab.context.close()
    links = llmops.query("SELECT links::VARCHAR FROM spans WHERE name = 'replay'", path=store).scalar()
    assert trace in links
    assert original in links


def test_replay_is_refused_without_the_setting(project: Path, browser: Any):
    with serve_page(project / "store", LLMOPS_STORE__PATH=str(project / "store")) as served:
        tab = Tab(browser, served).enter()
        page = tab.open(f"/trace/{'a' * 32}?span={2:016x}")
        page.locator(".panel .facts").wait_for()
        assert page.get_by_role("link", name="Replay").count() == 0
        page = tab.open(f"/replay/{'a' * 32}/{2:016x}")
        page.get_by_text("Replays are off here.").wait_for()
        assert "[ui] replay = true" in page.locator(".empty").inner_text()
        page.get_by_role("heading", name="Original").wait_for()
        answered = tab.page.request.post(
            f"{served.origin}/api/v1/replay",
            data={"trace_id": "a" * 32, "span_id": f"{2:016x}", "max_cost": 1},
            headers={"X-LLMOps": "1", "Origin": served.origin},
        )
        assert answered.status == 403
        assert tab.problems == []
        tab.context.close()
