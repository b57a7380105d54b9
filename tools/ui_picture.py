"""Draw docs/images/ui.png: the list of traces of the drift demo's store, as Chromium shows it.

Run it with `make ui-picture`. It needs Chromium, and installs its driver as the browser tests do. Ids and times differ
from run to run; everything else stays the same.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from real_browser import Tab, chromium, serve_page, without_settings

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "ui.png"
MOST_BYTES = 200_000
SIZE = {"width": 1280, "height": 800}


def main() -> int:
    """Make the store, open the page, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        command = [sys.executable, "-m", "llmops_sdk", "demo", "--drift", "--store", str(store)]
        env = {**without_settings(), "PYTHONPATH": str(ROOT)}
        subprocess.run(command, check=True, cwd=folder, env=env, stdout=subprocess.DEVNULL)
        with serve_page(store) as served, chromium() as browser:
            tab = Tab(browser, served, viewport=SIZE, color_scheme="light").enter()
            page = tab.open("/traces?since=30d")
            page.wait_for_load_state("networkidle")
            page.mouse.move(0, 0)
            PICTURE.parent.mkdir(exist_ok=True)
            page.screenshot(path=str(PICTURE))
            if tab.problems:
                sys.exit(f"the page has problems: {tab.problems}")
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size:,} bytes")
    return 0 if size <= MOST_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
