"""What the tests of data sets share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.datasets import Dataset


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    llmops.configure(store={"path": path, "compaction": "manual"}, model="offline/echo")
    return path


@pytest.fixture
def numbers() -> Callable[..., Dataset]:
    """Make a data set of so many items."""

    def make(count: int = 3, **more: Any) -> Dataset:
        return Dataset.from_rows([{"input": f"question {n}", "expected": f"answer {n}", **more} for n in range(count)])

    return make
