"""Give every test its own folder, environment and configuration."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from llmops_sdk._util._guard import raise_in_tests

# The same examples in every run, so that failures repeat; no deadline, because the machine may be busy.
hypothesis.settings.register_profile("llmops", deadline=None, derandomize=True)
hypothesis.settings.load_profile("llmops")

_OURS = ("LLMOPS_", "OTEL_")
_VENDORS = ("_API_KEY", "_API_BASE", "_BASE_URL")


# A shell starts background jobs, and so their programs, with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # After the shuffle: slow tests start first, so that none runs alone at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    # The tests themselves are a million objects: no collection looks through them again.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def new_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield paths for new folders. `mktemp` would list the folders of all earlier tests to find the next number."""
    parent = tmp_path_factory.mktemp("cwd")
    return (parent / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_surroundings(new_folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run the test in an empty folder, without outer settings or state of an earlier test."""
    for name in list(os.environ):
        if name.startswith(_OURS) or name.endswith(_VENDORS):
            monkeypatch.delenv(name)
    folder = next(new_folders)
    folder.mkdir(mode=0o700)
    monkeypatch.chdir(folder)
    # Here the telemetry guard raises errors that it would log in an application.
    raise_in_tests(True)
    yield folder
    raise_in_tests(False)  # errors during teardown do not fail the test
    for name in ("llmops_sdk.tracing.runtime._start", "llmops_sdk.config"):
        if name in sys.modules:
            sys.modules[name].reset()
    if budgets := sys.modules.get("llmops_sdk.resilience._budget"):
        budgets.forget_budgets()
    if traffic := sys.modules.get("llmops_sdk.resilience.traffic._registry"):
        traffic.forget_traffic()
    if states := sys.modules.get("llmops_sdk.shared._open"):
        states.forget_states()
    if named := sys.modules.get("llmops_sdk.resilience._named_states"):
        named.forget_named_states()
