"""Run SQL over the store of a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import llmops_sdk as llmops

Rows = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def rows() -> Rows:
    """Flush, and run SQL over the store of this test."""

    def query(sql: str) -> list[dict[str, Any]]:
        report = llmops.flush()
        assert report.pending == 0
        result = llmops.query(sql)
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows()]

    return query
