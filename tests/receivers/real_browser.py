"""The local page in Debian's Chromium: a served store, a page, and every problem that the browser reports."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from real_backends import environment

__all__ = ["Served", "Tab", "chromium", "serve_page", "settled", "without_settings"]

_ROOT = Path(__file__).parents[2]
_SAY = """
addEventListener('securitypolicyviolation', (event) => console.error('policy', event.effectiveDirective));
addEventListener('unhandledrejection', (event) => console.error('unhandled', String(event.reason)));
"""


class Served:
    """A running `llmops ui`."""

    def __init__(self, process: subprocess.Popen[str] | None, address: str) -> None:
        self.process = process
        self.address = address  # with the token, which opens one browser
        self.origin = f"http://{urlsplit(address).netloc}"


def without_settings() -> dict[str, str]:
    """Return the environment without settings of the SDK, which a store under test must not see."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LLMOPS_", "OTEL_"))}


@contextlib.contextmanager
def serve_page(store: Path, *options: str, cwd: Path | None = None, **environ: str) -> Iterator[Served]:
    """Run `llmops ui` on a free port."""
    command = [sys.executable, "-m", "llmops_sdk", "ui", "--store", str(store), *options]
    env = {**without_settings(), "PYTHONPATH": str(_ROOT), **environ}
    process = subprocess.Popen(
        command, env=env, cwd=cwd or store.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://\S+", line):
                yield Served(process, found[0])
                break
        else:
            raise AssertionError("".join(said))
    finally:
        process.terminate()
        process.communicate(timeout=20)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium; skip the test where it is not installed."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    packages = (
        environment("browser").parent / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    )
    if str(packages) not in sys.path:
        sys.path.append(str(packages))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage", "--enable-precise-memory-info"]
        )
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """One tab, and what went wrong in it.

    Args:
        browser: The browser.
        served: The server.
        options: Options of the browser's context, as `viewport` and `color_scheme`.
    """

    def __init__(self, browser: Any, served: Served, **options: Any) -> None:
        self.served = served
        self.problems: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "timezone_id": "UTC", **options}
        )
        self.context.add_init_script(_SAY)
        self.context.on("page", self._watch)
        self.page = self.context.new_page()

    def _watch(self, page: Any) -> None:
        page.on(
            "console",
            lambda said: self._note(f"{said.type}: {said.text}") if said.type in {"error", "warning"} else None,
        )
        page.on("pageerror", lambda error: self._note(f"error: {error}"))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((self.served.origin, "data:")) else self._note(asked.url),
        )
        page.on("dialog", lambda dialog: self._note(f"dialog: {dialog.message}"))

    def _note(self, problem: str) -> None:
        if not any(word in problem for word in self.expected):
            self.problems.append(problem)

    def enter(self) -> Tab:
        """Open the address with the token."""
        self.page.goto(self.served.address)
        settled(self.page)
        return self

    def open(self, path: str) -> Any:
        """Open a page, and wait until it shows what it loaded."""
        self.page.goto(self.served.origin + path)
        settled(self.page)
        return self.page

    def violations(self) -> list[str]:
        """Return what axe finds, in a tab of its own: its script breaks the page's policy."""
        from axe_playwright_python.sync_playwright import Axe

        before = list(self.problems)
        results = Axe().run(self.page, options={"preload": False})
        self.problems[:] = before
        found = results.response["violations"]
        return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def settled(page: Any) -> None:
    """Wait until the page has its heading and loads nothing."""
    page.locator("main h1").first.wait_for(timeout=30_000)
    page.locator(".loading, [aria-busy=true]").first.wait_for(state="hidden", timeout=60_000)
