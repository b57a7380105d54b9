"""What cases did in earlier executions, so that a stable one runs once, and a flaky one is believed late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from llmops_sdk.evals.cases._repeats import CaseOutcome

__all__ = ["STABLE_RUNS", "CaseHistory"]

STABLE_RUNS = 10
"""Runs in a row that agree, after which a case that was flaky counts as stable: its rate is above 0.72 then (95 %)."""
_MOST_CASES = 50_000


class CaseHistory:
    """The outcomes of cases by test id.

    Args:
        stored: What `to_dict` returned, from a file that anybody may have written; what is not valid does not count.
    """

    def __init__(self, stored: object = None) -> None:
        self._cases: dict[str, dict[str, Any]] = {}
        if isinstance(stored, Mapping):
            for test, entry in cast("Mapping[Any, Any]", stored).items():
                if isinstance(test, str) and _is_entry(entry):
                    self._cases[test] = {name: entry[name] for name in ("outcome", "runs", "flaky")}

    def known(self, test: str) -> bool | None:
        """Return whether the case has always passed (True) or failed (False), or None if that is not known."""
        entry = self._cases.get(test)
        return None if entry is None or entry["flaky"] else entry["outcome"] == "pass"

    def is_flaky(self, test: str) -> bool:
        """Return whether its runs have disagreed, and not agreed often enough since."""
        entry = self._cases.get(test)
        return entry is not None and entry["flaky"]

    def runs_in_a_row(self, test: str) -> int:
        """Return the number of its latest runs that agree."""
        entry = self._cases.get(test)
        return 0 if entry is None else entry["runs"]

    def note(self, test: str, outcome: CaseOutcome, runs: int) -> None:
        """Note an execution.

        Args:
            test: The test's id.
            outcome: Its verdict.
            runs: The number of its runs.
        """
        before = self._cases.pop(test, None)  # the latest come last
        if outcome == "undecided":
            self._cases[test] = {"outcome": outcome, "runs": 0, "flaky": True}
            return
        same = before is not None and before["outcome"] == outcome
        agreeing = runs + (before["runs"] if before is not None and same else 0)
        flaky = before is not None and before["flaky"] and agreeing < STABLE_RUNS
        self._cases[test] = {"outcome": outcome, "runs": min(agreeing, 1_000_000), "flaky": flaky}

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return it as JSON values, with the latest 50,000 cases."""
        kept = list(self._cases.items())[-_MOST_CASES:]
        return dict(kept)


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, Mapping):
        return False
    found = cast("Mapping[str, Any]", entry)
    runs = found.get("runs")
    return (
        found.get("outcome") in ("pass", "fail", "undecided")
        and isinstance(runs, int)
        and runs >= 0
        and isinstance(found.get("flaky"), bool)
    )
