"""The grading itself: each problem of a call lowers its grade as far as it should."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fault_cases import CASES, Cell, want
from fault_grades import Outcome, grade, table, whole
from fault_server import CALLS, TEXT, Scene

CASE = {case.key: case for case in CASES}
RETRIED = Cell(case=CASE["5xx: 503"], setup="retry", way="chat", route="openai")
REFUSED = Cell(case=CASE["4xx: 401"], setup="alone", way="chat", route="openai")
BROKEN = Cell(case=CASE["cut mid-chunk: after some pieces"], setup="alone", way="stream", route="openai")
ANSWER = Outcome(text=TEXT, tokens=(11, 7))
DENIED = Outcome(error="AuthenticationError", typed=True, status=401)
CUT = Outcome(text="One two ", error="StreamInterruptedError", typed=True)


def seen(first: int, second: int = 0, **more: object) -> Scene:
    scene = Scene(**more)
    scene.asked.update(first=first, second=second)
    return scene


@pytest.mark.parametrize(
    ("cell", "outcome", "requests", "expected"),
    [
        (RETRIED, ANSWER, 2, "pass"),
        (RETRIED, ANSWER, 3, "fail"),
        (RETRIED, ANSWER, 1, "partial"),
        (RETRIED, replace(ANSWER, text=f"{TEXT}{TEXT}"), 2, "fail"),
        (RETRIED, replace(ANSWER, text=""), 2, "fail"),
        (RETRIED, replace(ANSWER, tokens=(22, 14)), 2, "partial"),
        (RETRIED, replace(ANSWER, tokens=(0, 0)), 2, "partial"),
        (RETRIED, Outcome(error="ServerError", typed=True, status=503), 2, "safe"),
        (RETRIED, Outcome(error="ServerError", typed=True, status=503), 1, "safe"),
        (RETRIED, Outcome(error="KeyError"), 2, "fail"),
        (REFUSED, DENIED, 1, "pass"),
        (REFUSED, DENIED, 2, "fail"),
        (REFUSED, replace(DENIED, status=500), 1, "partial"),
        (REFUSED, replace(DENIED, error="ServerError"), 1, "safe"),
        (REFUSED, ANSWER, 1, "fail"),
        (BROKEN, CUT, 1, "pass"),
        (BROKEN, replace(CUT, text="One two One two "), 1, "partial"),
        (BROKEN, replace(CUT, text=""), 1, "partial"),
        (BROKEN, replace(CUT, error="ProviderConnectionError"), 1, "safe"),
        (BROKEN, replace(CUT, error="RemoteProtocolError", typed=False), 1, "fail"),
        (BROKEN, replace(ANSWER, text="One two "), 1, "fail"),
        (BROKEN, ANSWER, 2, "fail"),
    ],
)
def test_each_outcome_gets_its_grade(cell: Cell, outcome: Outcome, requests: int, expected: str):
    verdict = grade(cell, outcome, seen(requests))

    assert verdict.grade == expected
    assert bool(verdict.reasons) is (expected != "pass")


def test_hang_fails_and_open_connection_is_partial():
    assert grade(RETRIED, ANSWER, seen(2, hung=True)).grade == "fail"
    assert grade(RETRIED, ANSWER, seen(2, held=1)).grade == "partial"
    assert grade(RETRIED, ANSWER, seen(2, held=1, gone=1)).grade == "pass"
    assert grade(RETRIED, ANSWER, seen(2), ["two spans"]).grade == "partial"


def test_answer_with_tools_needs_both_calls_in_order():
    cell = replace(RETRIED, tools=True)
    calls = tuple((name, json.dumps(arguments)) for name, arguments in CALLS)

    assert whole(Outcome(calls=calls), cell)
    for wrong in (calls[:1], (*calls, calls[1]), tuple(reversed(calls)), ((calls[0][0], "{"), calls[1])):
        assert not whole(Outcome(calls=wrong), cell)
    assert not whole(Outcome(calls=calls, text=TEXT), cell)


def test_no_case_passes_with_an_unrelated_error():
    for case in CASES:
        for setup in ("retry", "fallback", "alone"):
            cell = Cell(case=case, setup=setup, way="stream", route="openai")
            expected = want(cell)
            assert (expected.served is None) is bool(expected.errors)
            nothing = Outcome(error="SomeError", typed=True)
            assert grade(cell, nothing, seen(*expected.asked)).grade in {"safe", "fail"}


def test_table_shows_the_lowest_grade():
    rows = [{"fault": "429", "way": "chat", "grade": one} for one in ("pass", "safe", "partial", "pass")]

    assert table(rows) == {"429": {"chat": "safe"}}
