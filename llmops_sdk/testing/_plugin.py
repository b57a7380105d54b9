"""The pytest plugin: fixtures, a temporary store, and cases of evaluations.

It imports only pytest until a test uses a fixture, is a case, or an option asks for more.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from llmops_sdk.testing import Traces
    from llmops_sdk.testing.cases._session import CaseSession

__all__ = ["llmops_traces"]


_STORE_VARIABLE = "LLMOPS_STORE__PATH"
_TEMPORARY_VARIABLE = "PYTEST_LLMOPS_STORE"
_CASE_FILES = (".eval.yaml", ".eval.yml", ".eval.jsonl")
_EVAL_CASE = "llmops_sdk.evals.cases._eval_case"
_WORDS = {"flaky": "f", "quarantined": "q"}
_session_key = pytest.StashKey["CaseSession"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the settings."""
    parser.addini(
        "llmops_store", 'The store of the tests: "temporary" (the default), or "project" for the configured one.',
        default="temporary",
    )  # fmt: skip
    parser.addini("llmops_quarantine", "A file of test ids, one a line: these cases never fail the run.", default="")
    group = parser.getgroup("llmops", "cases of evaluations (llmops-sdk)")
    group.addoption("--llmops-repeats", type=int, metavar="N", help="The most runs of each case.")
    group.addoption("--llmops-strict", action="store_true", help="Let flaky cases and an undecided gate fail the run.")
    group.addoption(
        "--llmops-gate", metavar="BASELINE",
        help="Fail if a score is worse than in this results file (.json) or experiment, beyond chance.",
    )  # fmt: skip
    group.addoption("--llmops-save", metavar="FILE", help="Write the results of the cases as JSON, e.g. as a baseline.")
    group.addoption("--llmops-markdown", metavar="FILE", help="Write a summary for a pull request.")


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
    os.environ[_STORE_VARIABLE] = os.environ[_TEMPORARY_VARIABLE] = folder


# --- cases of evaluations ---------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Check the options of cases, if there are any."""
    given = ("llmops_repeats", "llmops_gate", "llmops_save", "llmops_markdown")
    if any(config.getoption(name) is not None for name in given) or config.getini("llmops_quarantine"):
        _session(config)
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist reports to another process
        config.pluginmanager.register(_Reporter(config), "llmops-cases")


def _session(config: pytest.Config) -> CaseSession:
    from llmops_sdk.testing.cases._session import session_of

    found = config.stash[_session_key] = session_of(config)
    return found


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect `*.eval.yaml` and `*.eval.jsonl`."""
    if not file_path.name.endswith(_CASE_FILES):
        return None
    from llmops_sdk.testing.cases._collecting import CasesFile

    return CasesFile.from_parent(parent, path=file_path)  # pyright: ignore[reportUnknownMemberType]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Read the items of a function under `@eval_case`. There is none before its module is imported."""
    if _EVAL_CASE in sys.modules and collector.funcnamefilter(name):
        from llmops_sdk.testing.cases._collecting import prepare_function

        prepare_function(collector, name, obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test an item."""
    if _EVAL_CASE in sys.modules:
        from llmops_sdk.testing.cases._collecting import parametrize

        parametrize(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a case as often as its verdict needs."""
    if _EVAL_CASE not in sys.modules:
        return None
    from llmops_sdk.testing.cases._collecting import run_function, suite_of_function

    suite = suite_of_function(pyfuncitem.obj)
    if suite is None:
        return None
    run_function(pyfuncitem, suite)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the verdict of a case into its report."""
    report = yield
    if "llmops_sdk.testing.cases._session" in sys.modules:
        from llmops_sdk.testing.cases._session import complete_report

        complete_report(item, report)
    return report


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, Any] | None:
    """Call flaky and quarantined cases by their names."""
    word = report.__dict__.get("llmops_word")
    return None if word is None else (word, _WORDS[word], (word.upper(), {"yellow": True}))


class _Reporter:
    """Sums up the cases, in the process that reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict of a case."""
        if "llmops_case" in report.__dict__:
            _session(self._config).note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compare with the baseline, and write the files."""
        cases = self._config.stash.get(_session_key, None)
        if cases is None:
            return
        from llmops_sdk.testing.cases._ending import end_of_run

        if not end_of_run(cases) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write what people need to know about cases."""
        cases = self._config.stash.get(_session_key, None)
        if cases is not None:
            from llmops_sdk.testing.cases._ending import write_summary

            write_summary(cases, terminalreporter)


# --- fixtures ---------------------------------------------------------------------------------------------------------


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
