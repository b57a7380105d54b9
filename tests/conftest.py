"""What holds for every test: a folder, an environment and a configuration of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from llmops_sdk._util._guard import raise_in_tests

# The same examples in every run, so that a red build is red again; and no deadline, since the machine may be busy.
hypothesis.settings.register_profile("llmops", deadline=None, derandomize=True)
hypothesis.settings.load_profile("llmops")

_OURS = ("LLMOPS_", "OTEL_")
_VENDORS = ("_API_KEY", "_API_BASE", "_BASE_URL")


# A job in the background of a shell is begun with SIGINT ignored, and so are the programs that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # After the shuffle: what is slow begins first, so that it does not run on alone at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, no setting from outside, and nothing left of the test before."""
    for name in list(os.environ):
        if name.startswith(_OURS) or name.endswith(_VENDORS):
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("cwd")
    monkeypatch.chdir(folder)
    # What the telemetry guard would log and count in an application is an error here.
    raise_in_tests(True)
    yield folder
    raise_in_tests(False)  # what fails while everything is torn down is not the test's matter
    for name in ("llmops_sdk.tracing.runtime._start", "llmops_sdk.config"):
        if name in sys.modules:
            sys.modules[name].reset()
    if budgets := sys.modules.get("llmops_sdk.resilience._budget"):
        budgets.forget_budgets()
