"""A store whose every text is hostile: nothing runs, no request leaves, and the page stays usable."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_stores import HOSTILE_TEXTS, call, hostile_spans, now_ns, write_store
from real_browser import Served, Tab, chromium, serve_page, settled

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the driver

LONG = list(HOSTILE_TEXTS).index("line") + 1
BIDI = list(HOSTILE_TEXTS).index("bidi") + 1
LINK = list(HOSTILE_TEXTS).index("link") + 1
LENGTHY = "5" * 32
ACTIVE = ", ".join(
    f"main {one}"
    for one in ("img", "script", "iframe", "object", "svg", "style", "a[href^=http]", "a[href^=javascript]")
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lengthy = call(LENGTHY, 1, "é" * 60_000 + "end", "short", start_ns=now_ns(3600))
    return write_store(tmp_path_factory.mktemp("hostile") / "store", [*hostile_spans(), lengthy])


@pytest.fixture(scope="module")
def served(hostile: Path) -> Iterator[Served]:
    with serve_page(hostile) as page:
        yield page


@pytest.fixture(scope="module")
def tab(served: Served) -> Iterator[Tab]:
    with chromium() as browser:
        yield Tab(browser, served).enter()


def _trace(number: int, span: int) -> str:
    return f"/trace/{number:032x}?span={span:016x}"


def _is_quiet(tab: Tab) -> None:
    assert tab.problems == []
    page = tab.page
    assert "pwned" not in page.title() or page.title().startswith(("<", "[", "</"))
    assert page.locator(ACTIVE).count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelectorAll('*').length") < 5_000


@pytest.mark.parametrize("span", [1, 2])
@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_span_with_hostile_text_is_shown_as_text(name: str, span: int, tab: Tab):
    page = tab.open(_trace(list(HOSTILE_TEXTS).index(name) + 1, span))
    page.locator(".panel .facts").wait_for()
    for details in page.locator(".panel details").all():
        details.evaluate("(element) => { element.open = true; }")
    _is_quiet(tab)
    shown = page.locator(".panel").inner_text()
    assert {"img": "<img src=x onerror=", "script": "<script>", "link": "javascript:", "ansi": "\\x1b[31m"}.get(
        name, ""
    ) in shown


def test_hidden_characters_are_shown_as_escapes(tab: Tab):
    page = tab.open(_trace(BIDI, 2))
    marked = page.locator(".message .escape").all_inner_texts()
    assert {"\\u202e", "\\u202c", "\\u200b", "\\ufeff", "\\u2066", "\\u2069", "\\u{e0041}"} <= set(marked)
    hidden = page.evaluate(
        "/[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\ufeff\\u{e0000}-\\u{e007f}]/u.test(document.body.innerText)"
    )
    assert not hidden


def test_address_of_a_link_is_text_with_a_copy_button(tab: Tab):
    page = tab.open(_trace(LINK, 2))
    address = page.locator(".message .address").first
    assert address.inner_text().startswith("javascript:")
    assert address.locator("button").get_attribute("aria-label") == "Copy address"


@pytest.mark.parametrize(
    "path", ["/traces", "/sessions", "/calls", "/errors", "/metrics", "/cache", "/guards", "/queue"]
)
def test_lists_of_hostile_texts_are_quiet(path: str, tab: Tab):
    tab.open(path)
    _is_quiet(tab)


def test_line_of_five_megabytes_is_shown_in_pieces_and_the_page_stays_usable(tab: Tab):
    page = tab.open(_trace(LONG, 2))
    section = page.locator(".conversation", has=page.get_by_role("heading", name="Input"))
    assert len(section.inner_text()) < 30_000
    section.get_by_role("button", name="Show all").click()
    section.get_by_text(re.compile(r"All 5,000,\d{3} characters are shown")).wait_for(timeout=180_000)
    # Two frames come within a second: the layout is not blocked.
    took = page.evaluate("""async () => {
        const before = performance.now();
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        return performance.now() - before;
    }""")
    assert took < 1_000
    assert section.evaluate("(element) => element.textContent.length") > 5_000_000
    _is_quiet(tab)


def test_exported_html_is_quiet_without_scripts(hostile: Path, tab: Tab, tmp_path: Path):
    file = tmp_path / "trace.html"
    command = [
        sys.executable,
        "-m",
        "llmops_sdk",
        "show",
        f"{1:032x}",
        "--html",
        "--output",
        str(file),
        "--store",
        str(hostile),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    context = tab.context.browser.new_context(java_script_enabled=False)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert page.title() != "pwned"
    assert page.locator("script, iframe, object, img[src^='http'], a[href^='javascript']").count() == 0
    context.close()


def test_session_with_a_hostile_id_opens(tab: Tab):
    page = tab.open("/sessions")
    page.locator("main table a").first.click()
    settled(page)
    _is_quiet(tab)


def test_rest_of_a_long_message_is_shown(tab: Tab):
    page = tab.open(f"/trace/{LENGTHY}?span={1:016x}")
    message = page.locator(".message.user").first
    message.get_by_role("button", name="Show all").click()
    message.get_by_text("All 60,003 characters are shown").wait_for(timeout=60_000)
    text = message.evaluate(
        "(element) => [...element.querySelectorAll('.raw, .markdown')].map((one) => one.textContent).join('')"
    )
    assert text.endswith("end")
    assert text.count("é") == 60_000
    _is_quiet(tab)
