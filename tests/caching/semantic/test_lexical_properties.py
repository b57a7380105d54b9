"""What holds for every pair of texts, however they are made."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.caching.semantic.lexical import analyse, compare, compare_analysed
from llmops_sdk.caching.semantic.lexical._analyse import MAX_CHARACTERS, MAX_WORDS

PARTS = """
    how what why do i can the a my your not non- self- un from to in on off before after card cards order 5 five £50 7am
    7pm half past 14 days two weeks , ? ! and or please thanks is it open closed Paris PARIS us US one 2fa 12:30 archive
    unarchive don't what's e-mail naïve 中文 \u0301 \N{GRINNING FACE} # % -5 007 1,000.5 03/10/2026
"""
WORDS = st.sampled_from(PARTS.split())
TEXTS = st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=14).map(" ".join))
SIMILARITIES = st.floats(allow_nan=True, allow_infinity=True)
REAL = frozenset({"card", "order", "open", "archive"})


@given(TEXTS)
def test_a_text_is_the_same_as_itself(text: str):
    found = compare(text, text, similarity=1.0, vocabulary=REAL)

    assert (found.decision, found.reason) == ("same", "equal")


@given(TEXTS, TEXTS, SIMILARITIES)
def test_decision_does_not_depend_on_which_text_asks(one: str, other: str, similarity: float):
    there = compare(one, other, similarity=similarity, vocabulary=REAL)
    back = compare(other, one, similarity=similarity, vocabulary=REAL)

    assert there.decision == back.decision
    assert math.isclose(there.score, back.score, abs_tol=1e-9)


@given(TEXTS, TEXTS, SIMILARITIES)
def test_score_is_a_probability_and_no_decision_depends_on_the_similarity(one: str, other: str, similarity: float):
    found = compare(one, other, similarity=similarity)

    assert 0 <= found.score <= 1
    assert found.decision == compare(one, other, similarity=0.9).decision
    assert found.decision != "same" or found.score >= 0.75


@given(st.lists(WORDS, min_size=1, max_size=12), st.integers(0, 11), st.sampled_from(("3", "seven", "£9", "9am")))
def test_a_number_on_one_side_is_never_the_same(words: list[str], place: int, number: str):
    text, longer = " ".join(words), " ".join([*words[:place], "box", number, "box", *words[place:]])

    assert compare(text, longer, similarity=1.0).decision != "same"


@given(TEXTS)
def test_an_analysis_survives_pickling(text: str):
    analysed = analyse(text, vocabulary=REAL)

    assert pickle.loads(pickle.dumps(analysed)) == analysed


@pytest.mark.parametrize(
    "unit",
    ["a", "how ", "-", "'", "7:", "£", "non-", "\u0301", "\N{GRINNING FACE}", "ﷺ", "\x00", "1", "a'", "to x ", "½"],
)
def test_work_on_crafted_texts_is_bounded(unit: str):
    text = unit * (1_000_000 // len(unit))
    analysed = analyse(text)

    assert analysed.cut
    assert len(analysed.terms) <= MAX_WORDS
    assert len(analysed.plain) <= 3 * MAX_CHARACTERS
    assert compare_analysed(analysed, analyse(text + "b"), similarity=1.0).decision == "unsure"
    assert compare_analysed(analysed, analyse(text), similarity=0.0).decision == "same"


def test_long_texts_that_differ_after_the_cut_are_unsure():
    text = "what is the price of a card " * 200

    found = compare(text + "5", text + "6", similarity=1.0)

    assert (found.decision, found.reason) == ("unsure", "length")


def test_analysis_of_a_longer_text_holds_no_more_than_the_bound():
    words = [f"word{place}" for place in range(3 * MAX_WORDS)]

    assert len(analyse(" ".join(words)).terms) <= MAX_WORDS
