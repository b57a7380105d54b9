"""Grade how a call with a fault went.

Standard library only, like fault_cases.py.

- pass: it met the criterion, with the answer or the right typed error.
- partial: it met the criterion, but something else is missing or wrong, or there were too few requests.
- safe: a typed error instead of an answer, or the wrong typed error.
- fail: a wrong answer, a hang, an untyped error, or more requests than configured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fault_cases import Cell, Want, want
from fault_server import CALLS, TEXT, Scene

GRADES = ("pass", "partial", "safe", "fail")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The caller's result.

    Attributes:
        text: The text, or its part before an error.
        calls: The tool calls, or their parts before an error, as names and JSON texts.
        error: The name of the error's class, or None.
        typed: Whether the library under test defines that class.
        message: The error's message.
        status: The HTTP status on the error.
        seconds: Duration.
        tokens: Input and output tokens, or None if unknown.
        more: Further results of the library under test.
    """

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    error: str | None = None
    typed: bool = False
    message: str = ""
    status: int | None = None
    seconds: float = 0.0
    tokens: tuple[int, int] | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A grade, and the reasons against a better one."""

    grade: str
    reasons: tuple[str, ...] = ()


def whole(outcome: Outcome, cell: Cell) -> bool:
    """Tell whether the outcome is the right answer."""
    if not cell.tools:
        return outcome.text == TEXT and not outcome.calls
    return not outcome.text and _parsed(outcome) == list(CALLS)


def _parsed(outcome: Outcome) -> list[tuple[str, Any]]:
    try:
        return [(name, json.loads(text)) for name, text in outcome.calls]
    except ValueError:
        return []


def begun(outcome: Outcome, cell: Cell) -> bool:
    """Tell whether the outcome is a proper beginning of the right answer, without repetitions."""
    if cell.case.fault == "drip":  # the server itself repeats its last piece
        return bool(outcome.text or outcome.calls)
    if not cell.tools:
        return bool(outcome.text) and TEXT.startswith(outcome.text) and outcome.text != TEXT
    right = all(
        name == CALLS[n][0] and json.dumps(CALLS[n][1]).startswith(text) for n, (name, text) in enumerate(outcome.calls)
    )
    return bool(outcome.calls) and right and not whole(outcome, cell)


def grade(cell: Cell, outcome: Outcome, scene: Scene, beside: Iterable[str] = ()) -> Verdict:
    """Grade the outcome of a cell.

    Args:
        cell: The call.
        outcome: The caller's result.
        scene: The server's observations.
        beside: Problems other than the outcome itself.
    """
    wanted = want(cell)
    if cell.case.readable and cell.streaming and whole(outcome, cell) and sum(scene.asked.values()) == 1:
        return Verdict(grade="pass")
    wrong = tuple(_failures(cell, outcome, scene, wanted))
    if wrong:
        return Verdict(grade="fail", reasons=wrong)
    if wanted.served is not None and outcome.error is not None:
        return Verdict(grade="safe", reasons=(f"{outcome.error} instead of an answer: {outcome.message}",))
    if wanted.served is None and outcome.error not in wanted.errors:
        return Verdict(grade="safe", reasons=(f"{outcome.error}, not {_any(wanted.errors)}: {outcome.message}",))
    lesser = (*_lesser(cell, outcome, scene, wanted), *beside)
    return Verdict(grade="partial" if lesser else "pass", reasons=lesser)


def _failures(cell: Cell, outcome: Outcome, scene: Scene, wanted: Want) -> Iterator[str]:
    if scene.hung:
        yield "it hung until the server released it"
    if outcome.error is not None and not outcome.typed:
        yield f"an untyped error: {outcome.error}: {outcome.message}"
    if outcome.error is None and not whole(outcome, cell):
        yield f"a wrong answer: {outcome.text!r} {outcome.calls}"
    if wanted.served is None and outcome.error is None:
        yield f"an answer instead of {_any(wanted.errors)}"
    if scene.asked["first"] > wanted.asked[0] or scene.asked["second"] > wanted.asked[1]:
        yield _requests(scene, wanted)


def _requests(scene: Scene, wanted: Want) -> str:
    return f"requests {scene.asked['first'], scene.asked['second']}, not {wanted.asked}"


def _lesser(cell: Cell, outcome: Outcome, scene: Scene, wanted: Want) -> Iterator[str]:
    if (scene.asked["first"], scene.asked["second"]) != wanted.asked:
        yield _requests(scene, wanted)
    if wanted.served is None and cell.ending.delivered and not begun(outcome, cell):
        yield f"the pieces that came: {outcome.text!r} {outcome.calls}"
    if wanted.served is None and outcome.status not in cell.ending.statuses:
        yield f"status {outcome.status} on the error, not {_any(map(str, cell.ending.statuses))}"
    if scene.gone != scene.held:
        yield f"{scene.held - scene.gone} connections still open"
    if wanted.served is not None and outcome.tokens is not None:
        counted = (0, 0) if cell.case.uncounted and outcome.tokens == (0, 0) else (11, 7)
        if outcome.tokens != counted:
            yield f"tokens {outcome.tokens}"


def _any(errors: Iterable[str]) -> str:
    return " or ".join(sorted(errors))


def worst(grades: Iterable[str]) -> str:
    """Return the lowest grade."""
    return max(grades, key=GRADES.index)


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the lowest grade of each fault in each way of calling."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        ways = found.setdefault(row["fault"], {})
        ways[row["way"]] = worst([row["grade"], ways.get(row["way"], "pass")])
    return found


def row_of(cell: Cell, outcome: Outcome, scene: Scene, verdict: Verdict) -> dict[str, Any]:
    """Return a cell's row in the machine-readable table."""
    return {
        "fault": cell.case.fault,
        "case": cell.case.name,
        "criterion": cell.case.criterion,
        "setup": cell.setup,
        "way": cell.way,
        "route": cell.route,
        "tools": cell.tools,
        "grade": verdict.grade,
        "reasons": list(verdict.reasons),
        "error": outcome.error,
        "requests": [scene.asked["first"], scene.asked["second"]],
        "seconds": round(outcome.seconds, 3),
    }
