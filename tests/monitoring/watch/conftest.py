"""A store, and calls that are written into it at chosen times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from watched_store import Calls


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def calls(store: Path) -> Iterator[Calls]:
    calls = Calls(store)
    yield calls
    calls.close()
