"""One test run: runs its cases, and sums up their verdicts at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from llmops_sdk.datasets import Item
from llmops_sdk.evals.cases._case_results import case_results
from llmops_sdk.evals.cases._details import describe_case
from llmops_sdk.evals.cases._history import STABLE_RUNS, CaseHistory
from llmops_sdk.evals.cases._repeats import CaseVerdict
from llmops_sdk.evals.cases._suite import CaseSuite
from llmops_sdk.testing.cases._options import CaseOptions, read_options
from llmops_sdk.testing.cases._store import project_store, temporary_store

__all__ = ["CaseFailedError", "CaseRunner", "CaseSession", "complete_report", "session_of"]

_CACHE = "llmops/cases"
_RECORD = "llmops_case"
_WORD = "llmops_word"
_session_key = pytest.StashKey["CaseSession"]()


class CaseFailedError(AssertionError):
    """A case did not pass."""


class CaseSession:
    """The cases of one test run, in the process that runs them and in the one that reports.

    Args:
        config: Of pytest.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options: CaseOptions = read_options(config)
        self.started = time.time()
        self.ending: list[str] = []
        self.records: dict[str, dict[str, Any]] = {}
        cache = getattr(config, "cache", None)
        self.history = CaseHistory(None if cache is None else cache.get(_CACHE, None))

    @property
    def is_worker(self) -> bool:
        """Return whether this is a process of pytest-xdist that runs tests for another one."""
        return hasattr(self.config, "workerinput")

    def store(self) -> Path | None:
        """Return the folder of the project's store, or None if it is in force."""
        return project_store(temporary_store())

    def note(self, report: pytest.TestReport) -> None:
        """Take the verdict out of a report.

        Args:
            report: Of the call of a test.
        """
        record = json.loads(report.__dict__[_RECORD])
        self.records[record["test"]] = record

    def save_history(self) -> None:
        """Write the outcomes into pytest's cache."""
        cache = getattr(self.config, "cache", None)
        if cache is None:
            return
        # Another run may have written meanwhile.
        history = CaseHistory(cache.get(_CACHE, None))
        for test, record in self.records.items():
            history.note(test, record["outcome"], record["runs"])
        self.history = history
        cache.set(_CACHE, history.to_dict())

    def is_stable_again(self, test: str) -> bool:
        """Return whether a quarantined case has passed so often in a row that it may leave the quarantine."""
        return self.history.known(test) is True and self.history.runs_in_a_row(test) >= STABLE_RUNS


def session_of(config: pytest.Config) -> CaseSession:
    """Return the session of a test run; the first use makes it.

    Raises:
        UsageError: An option is not valid.
    """
    found = config.stash.get(_session_key, None)
    if found is None:
        found = config.stash[_session_key] = CaseSession(config)
    return found


class CaseRunner:
    """Runs the case of one test.

    Args:
        session: Of the test run.
        test: The test.
        suite: Its suite.
    """

    def __init__(self, session: CaseSession, test: pytest.Item, suite: CaseSuite) -> None:
        self._session = session
        self._test = test
        self._suite = suite

    def run(self, item: Item, fixtures: Mapping[str, Any]) -> None:
        """Run the case until its verdict is clear, and leave the verdict on the test.

        Args:
            item: The item.
            fixtures: The fixtures of the function.

        Raises:
            CaseFailedError: It did not pass.
        """
        session, name = self._session, self._test.nodeid
        quarantined = session.options.is_quarantined(name)
        verdict, errors = self._suite.run_item(
            item,
            repeats=session.options.repeats,
            known=None if quarantined else session.history.known(name),
            thorough=quarantined or session.history.is_flaky(name),
            fixtures=fixtures,
            is_failure=_is_failure,
        )
        details = describe_case(item.id, verdict, self._suite.rule, note=self._note())
        self._test.stash[_verdict_key] = _Judged(
            verdict=verdict,
            details=details,
            error=next((errors[number] for number in sorted(errors)), None),
            record={
                "test": name,
                "outcome": verdict.outcome,
                "runs": len(verdict.runs),
                "summary": verdict.summary,
                "details": details,
                "quarantined": quarantined,
                "results": case_results(name, verdict),
                "scorers": self._suite.identities(),
            },
        )
        self._test.user_properties.append(("llmops_outcome", verdict.outcome))
        self._test.user_properties.append(("llmops_pass_rate", round(verdict.pass_rate, 4)))
        fails = verdict.outcome == "fail" or (verdict.outcome == "undecided" and session.options.strict)
        if fails and not quarantined:
            raise CaseFailedError(details)

    @staticmethod
    def _note() -> str:
        if temporary_store() is None:
            return ""
        return '(the store of the tests is temporary: set llmops_store = "project" to keep the traces)'


class _Judged:
    """What a test leaves for its report."""

    def __init__(
        self, *, verdict: CaseVerdict, details: str, error: BaseException | None, record: dict[str, Any]
    ) -> None:
        self.verdict = verdict
        self.details = details
        self.error = error
        self.record = record


_verdict_key = pytest.StashKey[_Judged]()


def _is_failure(error: BaseException) -> bool:
    """Return whether an exception of a function is a failure of a run, and not of the test run or a skip."""
    if isinstance(error, pytest.exit.Exception):
        return False
    if isinstance(error, pytest.xfail.Exception):
        return False
    return isinstance(error, Exception | pytest.fail.Exception)


def complete_report(test: pytest.Item, report: pytest.TestReport) -> None:
    """Put the verdict of a case into the report of its call.

    Args:
        test: The test.
        report: The report.
    """
    judged = test.stash.get(_verdict_key, None)
    if judged is None or report.when != "call":
        return
    # pytest-xdist carries further attributes of a report to the process that reports.
    report.__dict__[_RECORD] = json.dumps(judged.record)
    if report.passed and judged.verdict.outcome != "pass":
        report.__dict__[_WORD] = "quarantined" if judged.record["quarantined"] else "flaky"
    if report.failed:
        text = judged.details
        if judged.error is not None:
            raised = cast("Any", pytest.ExceptionInfo).from_exception(judged.error)
            shown = test.repr_failure(raised)
            text = f"{text}\n\n{shown}"
        report.longrepr = text
