"""Every page over the demo's store, in both themes and two widths: quiet, accessible, not too wide."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_stores import call, now_ns, write_store
from real_backends import free_port, serving
from real_browser import Served, Tab, chromium, serve_page, settled, without_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the driver

ROOT = Path(__file__).parents[2]
PLAIN = ("traces", "sessions", "calls", "errors", "metrics", "attempts", "cache", "guards", "routes", "traffic")
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 360)]
AXE = [("light", 1280), ("dark", 360)]  # its rules see no difference in the other two
SHOTS = os.environ.get("UI_SCREENSHOTS")
"""A folder for a picture of every page, to look at."""


def llmops(*words: str, cwd: Path) -> str:
    env = {**without_settings(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "llmops_sdk", *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    llmops("demo", "--store", str(folder / "store"), cwd=folder)
    return folder / "store"


@pytest.fixture(scope="module")
def served(demo: Path) -> Iterator[Served]:
    with serve_page(demo) as page:
        yield page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def signed_in(browser: Any, served: Served) -> Any:
    """The cookie of the one browser that used the token."""
    return Tab(browser, served).enter().context.storage_state()


def _paths(served: Served, tab: Tab) -> list[str]:
    def ask(name: str) -> Any:
        return tab.page.request.get(f"{served.origin}/api/v1/{name}").json()["data"]

    listed = [page["path"] for page in ask("pages")["pages"] if "{" not in page["path"]]
    a, b = (row["trace_id"] for row in ask("traces?limit=2")["rows"])
    [session] = ask("sessions?limit=1")["rows"]
    [call] = ask("queue?target=calls&judge=none&limit=1")["rows"]
    return [
        *listed,
        f"/trace/{a}",
        f"/session/{session['session_id']}",
        f"/compare?a={a}&b={b}",
        f"/replay/{call['trace_id']}/{call['span_id']}",
        "/traces?search=card",
        "/traces?user=nobody",
        "/queue?target=calls",
        "/queue?target=sessions",
        "/sql?q=SELECT+name,+count(*)+FROM+spans+GROUP+BY+1",
    ]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_every_page_is_quiet_accessible_and_fits(scheme: str, width: int, served: Served, browser: Any, signed_in: Any):
    tab = Tab(browser, served, color_scheme=scheme, viewport={"width": width, "height": 800}, storage_state=signed_in)
    found = {}
    paths = _paths(served, tab)
    for path in paths:
        page = tab.open(path)
        page.wait_for_load_state("networkidle")
        if SHOTS:
            name = path.strip("/").replace("/", "_").replace("?", "_")[:40]
            page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=True)
        too_wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        source = page.locator(".source").inner_text()
        seen = tab.violations() if (scheme, width) in AXE else []
        problems = [*tab.problems, *seen, *(["wider than the window"] if too_wide else [])]
        problems += [] if "Command" in source and "SQL" in source else ["no command or SQL"]
        tab.problems.clear()
        if problems:
            found[path] = problems
    assert found == {}
    assert len(paths) > len(PLAIN)
    tab.context.close()


def test_empty_store_says_what_to_do(tmp_path: Path, browser: Any):
    store = tmp_path / "empty"
    store.mkdir()
    with serve_page(store) as served:
        tab = Tab(browser, served).enter()
        for path in ("/traces", "/sessions", "/calls", "/errors", "/metrics", "/datasets"):
            page = tab.open(path)
            assert page.locator(".empty").count() > 0, path
        assert tab.problems == []
        assert "llmops demo" in tab.open("/traces").locator(".empty").inner_text()
        tab.context.close()


def test_unknown_parameter_is_named_and_the_page_opens_without_it(served: Served, browser: Any, signed_in: Any):
    tab = Tab(browser, served, storage_state=signed_in)
    page = tab.open("/traces?statu=error&since=30d")
    assert 'did you mean "status"?' in page.get_by_role("alert").inner_text()
    assert tab.violations() == []
    page.get_by_role("link", name="Open the page without it").click()
    page.locator(".row-link").first.wait_for()
    assert page.url.endswith("/traces?since=30d")
    page.go_back()
    page.get_by_role("alert").wait_for()
    page.get_by_role("link", name="Metrics").click()
    page.locator(".chart").first.wait_for()
    assert tab.problems == []
    tab.context.close()


def test_back_restores_filters_and_scroll(served: Served, browser: Any, signed_in: Any):
    tab = Tab(browser, served, storage_state=signed_in)
    page = tab.open("/traces?status=ok")
    page.get_by_role("button", name="Load more").click()
    page.get_by_text("100 shown").wait_for()
    row = page.locator(".row-link").nth(80)
    row.scroll_into_view_if_needed()
    place = page.evaluate("new Promise((done) => setTimeout(() => done(scrollY), 300))")
    assert place > 1_000
    row.click()
    page.locator(".waterfall").wait_for()
    assert page.evaluate("scrollY") == 0
    page.go_back()
    page.locator(".row-link").nth(80).wait_for()
    page.get_by_role("button", name="status ok: remove this filter").wait_for()
    for _ in range(100):
        if abs(page.evaluate("scrollY") - place) < 5:
            break
        page.wait_for_timeout(50)
    assert abs(page.evaluate("scrollY") - place) < 5
    assert tab.problems == []
    tab.context.close()


def test_keyboard_alone_leads_from_the_list_to_a_score(demo: Path, served: Served, browser: Any, signed_in: Any):
    tab = Tab(browser, served, storage_state=signed_in)
    page = tab.open("/traces")
    keys = page.keyboard
    keys.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    keys.press("Enter")
    for _ in range(3):
        keys.press("j")
    focused = page.evaluate("document.activeElement.closest('tr').dataset.trace")
    keys.press("Enter")
    page.locator(".waterfall").wait_for()
    assert page.url.endswith(f"/trace/{focused}")
    button = page.get_by_role("form", name="Score this trace").get_by_role("button", name="Score 4 of 5")
    for _ in range(80):
        if button.evaluate("(element) => element === document.activeElement"):
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        keys.press("Tab")
    assert outline != "none"
    keys.press("Enter")
    page.get_by_role("form", name="Score this trace").get_by_text("quality: 4").wait_for()
    sql = f"SELECT name, value FROM scores WHERE trace_id = '{focused}'"
    assert json.loads(llmops("sql", sql, "--format=json", "--store", str(demo), cwd=demo.parent)) == [
        {"name": "quality", "value": 4.0}
    ]
    assert tab.problems == []
    tab.context.close()


def test_seven_tabs_answer_while_they_are_live(served: Served, browser: Any, signed_in: Any):
    tab = Tab(browser, served, storage_state=signed_in)
    pages = [tab.context.new_page() for _ in range(7)]
    for page in pages:
        page.goto(f"{served.origin}/traces?live=1")
        settled(page)
        page.get_by_role("button", name="Live", exact=True).wait_for()
    # Streams that are open count as connections of the browser: six to a host.
    for page in pages:
        page.goto(f"{served.origin}/calls")
        settled(page)
        page.locator("table").first.wait_for()
    assert tab.problems == []
    tab.context.close()


def _write_span(name: str, store: Path) -> None:
    code = f"import llmops_sdk as llmops\nwith llmops.span({name!r}):\n    pass\nllmops.flush()"
    env = {**without_settings(), "PYTHONPATH": str(ROOT), "LLMOPS_STORE__PATH": str(store)}
    subprocess.run([sys.executable, "-c", code], env=env, cwd=store.parent, check=True, timeout=60)


def test_new_trace_appears_live_in_each_tab_over_one_stream(demo: Path, served: Served, browser: Any, signed_in: Any):
    tab = Tab(browser, served, storage_state=signed_in)
    streams: list[str] = []
    tab.context.on("request", lambda asked: streams.append(asked.url) if "/api/v1/live" in asked.url else None)
    pages = [tab.page, tab.context.new_page(), tab.context.new_page()]
    for page in pages:
        page.goto(f"{served.origin}/traces?live=1")
        settled(page)
        page.get_by_role("button", name="Live", exact=True).wait_for()
    _write_span("appears live", demo)
    for page in pages:
        page.get_by_role("link", name="appears live").wait_for(timeout=10_000)
    assert len(streams) == 1
    # The tab with the stream goes; another one goes on where it was.
    pages.pop(0).close()
    _write_span("appears later", demo)
    for page in pages:
        page.get_by_role("link", name="appears later").wait_for(timeout=10_000)
    assert len(streams) == 2
    assert tab.problems == []
    tab.context.close()


MOUNTED = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from llmops_sdk.ui import app

service = Starlette(routes=[Mount("/ops/llmops", app(auth="host", path=sys.argv[1]))])
uvicorn.run(service, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""


def test_page_works_where_a_service_mounts_it(demo: Path, browser: Any, tmp_path: Path):
    program, port = tmp_path / "mounted.py", free_port()
    program.write_text(MOUNTED)
    origin = f"http://127.0.0.1:{port}"
    environ = {"PYTHONPATH": str(ROOT)}
    with serving([sys.executable, str(program), str(demo), str(port)], f"{origin}/ops/llmops/traces", environ):
        served = Served(None, f"{origin}/ops/llmops/")
        tab = Tab(browser, served).enter()
        page = tab.page
        page.locator(".row-link").first.click()
        page.locator(".waterfall").wait_for()
        assert page.url.startswith(f"{origin}/ops/llmops/trace/")
        page.get_by_role("link", name="Metrics").click()
        page.locator(".chart").first.wait_for()
        page.go_back()
        page.locator(".waterfall").wait_for()
        assert tab.problems == []
        tab.context.close()


def test_text_of_a_pruned_user_leaves_the_open_pages(tmp_path: Path, browser: Any):
    store = write_store(
        tmp_path / "store",
        [
            call(
                f"{number:032x}",
                1,
                f"secret of {user}",
                "no",
                start_ns=now_ns(number),
                name=f"asked by {user}",
                user_id=user,
            )
            for number, user in enumerate(("ada", "bob"), 1)
        ],
    )
    with serve_page(store) as served:
        tab = Tab(browser, served).enter()
        listed, opened = tab.page, tab.context.new_page()
        listed.goto(f"{served.origin}/traces?live=1")
        listed.get_by_role("link", name="asked by ada").wait_for()
        opened.goto(f"{served.origin}/trace/{1:032x}?span={1:016x}")
        opened.locator(".message", has_text="secret of ada").wait_for()
        tab.expected = ("404",)  # the open trace is gone
        llmops("prune", "--user", "ada", "--yes", "--store", str(store), cwd=tmp_path)
        for page in (listed, opened):
            page.get_by_text("ada").first.wait_for(state="hidden", timeout=5_000)
            assert "secret of ada" not in page.content()
        listed.get_by_role("link", name="asked by bob").wait_for()
        assert tab.problems == []
        tab.context.close()


def _png() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + b"\x20\x60\xc0" * 8 for _ in range(8)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_stored_image_is_shown_and_that_of_an_address_is_not(tmp_path: Path, browser: Any):
    content = _png()
    name = f"{hashlib.sha256(content).hexdigest()}.png"
    uris = [f"blobs/{name}", "https://images.example/x.png", f"blobs/../{name}"]
    parts = [{"type": "uri", "modality": "image", "uri": uri} for uri in uris]
    asked = {"input_messages": [{"role": "user", "parts": parts}]}
    store = write_store(tmp_path / "store", [call("1" * 32, 1, "", "a square", start_ns=now_ns(1), **asked)])
    (store / "blobs").mkdir(exist_ok=True)
    (store / "blobs" / name).write_bytes(content)
    with serve_page(store) as served:
        tab = Tab(browser, served).enter()
        page = tab.open(f"/trace/{'1' * 32}?span={1:016x}")
        image = page.get_by_role("img", name="Stored image")
        image.scroll_into_view_if_needed()
        image.evaluate("(element) => element.decode()")
        assert image.evaluate("(element) => element.naturalWidth") == 8
        assert page.locator("main img").count() == 1
        assert tab.problems == []
        tab.context.close()


def test_theme_button_changes_the_theme_and_is_remembered(served: Served, browser: Any, signed_in: Any):
    tab = Tab(browser, served, storage_state=signed_in, color_scheme="light")
    page = tab.open("/traces")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Theme: system. Change to light.").click()
    page.get_by_role("button", name="Theme: light. Change to dark.").click()
    dark = page.evaluate(background)
    assert dark != light
    assert tab.open("/calls").evaluate(background) == dark
    tab.context.close()
