"""Results as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from llmops_sdk._documents import clean
from llmops_sdk.evals.comparing._gate import GateResult
from llmops_sdk.evals.reports._numbers import title

__all__ = ["JUnitCase", "gate_cases", "junit_xml"]

_LONGEST = 10_000  # characters of one message


@dataclass(frozen=True, slots=True, kw_only=True)
class JUnitCase:
    """One test as CI shows it.

    Attributes:
        suite: The group that it is in.
        name: Its name.
        outcome: `pass`, `fail`, `error` or `skipped`.
        message: Why.
        seconds: How long it took.
    """

    suite: str
    name: str
    outcome: Literal["pass", "fail", "error", "skipped"]
    message: str = ""
    seconds: float = 0.0


def gate_cases(gate: GateResult, *, suite: str) -> list[JUnitCase]:
    """Return a case for each row of a gate; an undecided row is skipped, as it proves nothing.

    Args:
        gate: The gate's result.
        suite: The group's name, such as that of the comparison.
    """
    outcomes: dict[str, Literal["pass", "fail", "skipped"]] = {"pass": "pass", "fail": "fail", "undecided": "skipped"}
    return [
        JUnitCase(suite=suite, name=title(row.scorer, row.slice), outcome=outcomes[row.outcome], message=row.reason)
        for row in gate.rows
    ]


def junit_xml(cases: Sequence[JUnitCase]) -> str:
    """Return cases as a JUnit XML document. Characters that XML cannot hold become question marks.

    Args:
        cases: The cases; those of one suite stay in their order.
    """
    suites: dict[str, list[JUnitCase]] = {}
    for case in cases:
        suites.setdefault(case.suite, []).append(case)
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f"<testsuites{_counts(cases)}>"]
    for name, members in suites.items():
        lines.append(f"  <testsuite name={_attribute(name)}{_counts(members)}>")
        lines += [_case(case) for case in members]
        lines.append("  </testsuite>")
    lines.append("</testsuites>")
    return "\n".join(lines) + "\n"


def _case(case: JUnitCase) -> str:
    head = f'    <testcase classname={_attribute(case.suite)} name={_attribute(case.name)} time="{case.seconds:.3f}"'
    if case.outcome == "pass":
        return f"{head}/>"
    element = {"fail": "failure", "error": "error", "skipped": "skipped"}[case.outcome]
    text = _clean(case.message)
    first = text.splitlines()[0] if text else ""
    inner = f"<{element} message={_attribute(first)}>{escape(text)}</{element}>"
    return f"{head}>\n      {inner}\n    </testcase>"


def _counts(cases: Sequence[JUnitCase]) -> str:
    number = {kind: sum(case.outcome == kind for case in cases) for kind in ("fail", "error", "skipped")}
    seconds = sum(case.seconds for case in cases)
    return (
        f' tests="{len(cases)}" failures="{number["fail"]}" errors="{number["error"]}" skipped="{number["skipped"]}"'
        f' time="{seconds:.3f}"'
    )


def _attribute(text: str) -> str:
    return quoteattr(_clean(text), {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})


def _clean(text: str) -> str:
    return clean(text[:_LONGEST])
