from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ui_page import Page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def open_page() -> Iterator:
    opened: list[Page] = []

    def open_one(folder: Path, **options) -> Page:
        opened.append(Page(folder, **options))
        return opened[-1]

    yield open_one
    for page in opened:
        page.close()


@pytest.fixture
def page(folder: Path, open_page) -> Page:
    return open_page(folder)
