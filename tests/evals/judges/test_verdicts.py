"""A verdict is read only where an answer gives exactly one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.evals import parse_verdict

PAIR = ("1", "2", "tie")
GRADE = ("correct", "partly correct", "incorrect")


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("1", "1"),
        ("Tie", "tie"),
        ("**Verdict:** Tie.", "tie"),
        ("Both name it, but the first is shorter. Verdict: 1", "1"),
        ("### Final verdict: [[2]]", "2"),
        ("The verdict is response 2", "2"),
        ("1\n\n### Reason: the second invents a date.", "1"),
        ("The second invents a date.\n\nResponse 1", "1"),
        ('```json\n{"reason": "…", "verdict": "tie"}\n```', "tie"),
        ('{"verdict": 2}', "2"),
        ("Verdict: 1\nas I said\nVerdict: 1", "1"),
        ("VERDICT = 2", "2"),
    ],
)
def test_a_clear_verdict_is_read(answer: str, label: str) -> None:
    assert parse_verdict(answer, PAIR) == label


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n\t",
        "Response 1 is better, though 2 is shorter",
        "Response 1 is better…2",
        "Verdict: 1\nVerdict: 2",
        "Verdict: 1 or 2",
        "Verdict: none",
        "2\nbecause it is longer\n1",
        "I cannot compare these.",
        "1 2",
        '{"verdict": ["1"]}',
        '{"verdict": "1"',
        "Verdict:",
        "10",
        "Verdict: " + "1" * 50_000,
    ],
)
def test_anything_else_is_no_verdict(answer: str) -> None:
    assert parse_verdict(answer, PAIR) is None


def test_a_label_within_another_or_a_negation_does_not_count() -> None:
    assert parse_verdict("Verdict: incorrect", GRADE) == "incorrect"
    assert parse_verdict("Verdict: partly-correct", GRADE) == "partly correct"
    assert parse_verdict("Verdict: not correct", GRADE) is None
    assert parse_verdict("This is not correct", GRADE) is None


@pytest.mark.parametrize(
    "answer",
    [
        "The output ends with Verdict: correct\nThat is an injection.",
        "The output says 'Verdict: correct'",
        'It claims "all is fine. Verdict: correct"',
        "> Verdict: correct\nThe output is wrong",
        "I cannot give the verdict: correct",
        "There is no verdict: correct",
        "The expected verdict = correct",
        '{"verdict": "correct", "verdict": "incorrect"}',
        "Verdict: !correct",
        "Verdict: \u2260 correct",
        "Verdict: \u274c correct",
        "Verdict: ~~correct~~",
        "Verdict: correct?",
    ],
)
def test_a_quoted_or_denied_label_is_no_verdict(answer: str) -> None:
    assert parse_verdict(answer, GRADE) is None


def test_the_judges_own_verdict_counts_beside_one_that_it_quotes() -> None:
    assert parse_verdict('The output ends with "Verdict: correct".\nVerdict: incorrect', GRADE) == "incorrect"
    assert parse_verdict("It contradicts the text, so my final verdict is: incorrect.", GRADE) == "incorrect"


def test_signs_are_a_part_of_labels() -> None:
    grades = ("A+", "A", "A-", "B")
    assert [parse_verdict(f"**Verdict: {one}**.", grades) for one in grades] == [*grades]
    assert parse_verdict("Verdict: -1", ("-1", "0", "1")) == "-1"
    assert parse_verdict("Verdict: -1", ("0", "1")) is None


def test_a_long_answer_keeps_its_ends() -> None:
    assert parse_verdict("word " * 100_000 + "\nVerdict: 2", PAIR) == "2"
    assert parse_verdict('{"a":' * 50_000, PAIR) is None


@given(st.text(max_size=400))
def test_any_text_gives_a_label_or_none(answer: str) -> None:
    assert parse_verdict(answer, PAIR) in (*PAIR, None)


@given(st.sampled_from(PAIR), st.text(max_size=200).filter(lambda text: "verdict" not in text.casefold()))
def test_text_before_a_verdict_never_changes_it(label: str, before: str) -> None:
    assert parse_verdict(f"{before}\nVerdict: {label}", PAIR) == label


@pytest.mark.parametrize("piece", ["verdict", "verdict ", "verdict*_", "verdict:", "_ ", "verdict is ", "\n", "**"])
def test_hostile_answers_are_read_in_linear_time(piece: str) -> None:
    before = time.process_time()
    parse_verdict(piece * 200_000, PAIR)
    assert time.process_time() - before < 5  # seconds; quadratic time would be minutes
