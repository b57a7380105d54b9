"""What the tests of routing share: offline models with prices, a routed model, and rows of the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import llmops_sdk as llmops

# Before numpy: on small matrices the threads of BLAS only wait for each other, which takes ten times the work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

Rows = Callable[[str], list[dict[str, Any]]]
Configure = Callable[..., Any]


@pytest.fixture
def rows() -> Rows:
    """Flush, and run SQL over the store of this test."""

    def query(sql: str) -> list[dict[str, Any]]:
        assert llmops.flush().pending == 0
        return llmops.query(sql).dicts()

    return query


@pytest.fixture
def configured() -> Configure:
    """Configure two priced models, `small` and `large`, and the routed model `auto` over them."""

    def configure(router: dict[str, Any] | None = None, *, models: dict[str, Any] | None = None, **more: Any) -> Any:
        two: dict[str, Any] = {
            "small": {"model": "offline/echo"},
            "large": {"model": "offline/script", "options": {"answers": ["from large"]}},
        }
        for name, entry in (models or {}).items():
            two[name] = {**two.get(name, {}), **entry}
        auto = {"route": ["small", "large"], "router": router or {}}
        prices = {"small": {"input": 1, "output": 1}, "large": {"input": 100, "output": 100}}
        return llmops.configure(models={**two, "auto": auto}, prices=prices, **more)

    return configure
