"""The pytest plugin: two fixtures, and a temporary store. It imports only pytest until a test uses a fixture."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmops_sdk.testing import Traces

__all__ = ["llmops_traces"]


_STORE_VARIABLE = "LLMOPS_STORE__PATH"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `llmops_store`."""
    parser.addini(
        "llmops_store", 'The store of the tests: "temporary" (the default), or "project" for the configured one.',
        default="temporary",
    )  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Give the tests, and the processes that they start, a temporary store, unless the environment names one."""
    chosen = early_config.getini("llmops_store")
    if chosen not in ("temporary", "project"):
        raise pytest.UsageError(f'llmops_store = {chosen!r}: use "temporary" or "project"')
    if chosen == "project" or os.environ.get(_STORE_VARIABLE):
        return
    folder = tempfile.mkdtemp(prefix="llmops-tests-")
    # Functions at exit run in reverse order: the SDK's own, which writes the last spans, comes before this one.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_STORE_VARIABLE] = folder


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
