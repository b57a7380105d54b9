"""The pytest plugin: two fixtures. It imports only pytest until a test uses one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmops_sdk.testing import Traces

__all__ = ["llmops_traces"]


@pytest.fixture
def llmops_traces() -> Iterator[Traces]:
    """Capture the spans that the test records, in memory: `.spans`, `.one(name)`, `.sql("SELECT …")`, `.clear()`."""
    from llmops_sdk.testing import capture_traces

    with capture_traces() as traces:
        yield traces


@pytest.fixture(name="block_real_calls")
def _block_real_calls() -> Iterator[None]:
    """Block calls to real models in this test; set `usefixtures = block_real_calls` for all tests."""
    from llmops_sdk.testing import block_real_calls

    with block_real_calls():
        yield
