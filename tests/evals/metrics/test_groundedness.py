"""The groundedness of answers, and its model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_sdk.evals.metrics import groundedness
from llmops_sdk.grounding import Evidence, assess
from llmops_sdk.guardrails import GuardContext
from llmops_sdk.guardrails.detectors import GroundedDetector

DOCUMENTS = [
    "Ada Lovelace wrote her notes on the Analytical Engine in 1843. Charles Babbage never built the engine.",
    "A refund takes five working days. The fee is 1,250.50 dollars.",
]


def unsupported(answer, documents=DOCUMENTS, **options):
    return [one.text for one in groundedness(answer, documents, **options).unsupported]


@pytest.mark.parametrize(
    "answer",
    [
        "Ada Lovelace wrote her notes in 1843.",
        "Charles Babbage never built the engine.",
        "A refund takes 5 working days.",
        "The fee is 1250.50 dollars.",
        "Lov\u00e9lace wrote notes.",
        "Yes.",
        "",
    ],
)
def test_what_the_documents_say_is_supported(answer):
    assert unsupported(answer) == []


@pytest.mark.parametrize(
    "answer",
    [
        "Ada Lovelace wrote her notes in 1844.",
        "Grace Hopper wrote her notes in 1843.",
        "A refund does not take five working days.",
        "She moved to Paris.",
        "Babbage wrote the fee in dollars.",
    ],
)
def test_other_names_numbers_negations_and_mixtures_are_not(answer):
    assert unsupported(answer) == [answer]
    assert groundedness(answer, DOCUMENTS).score < groundedness("Ada Lovelace wrote her notes.", DOCUMENTS).score


def test_sentences_have_their_place_and_score():
    answer = "  Ada wrote her notes.\nShe moved to Paris in 1850! A refund takes five working days."
    found = groundedness(answer, DOCUMENTS)
    [one] = found.unsupported
    assert answer[one.start : one.end] == one.text == "She moved to Paris in 1850!"
    assert 0 <= one.score < found.score < 1
    assert groundedness("A refund takes five working days.", DOCUMENTS).score == 1


def test_a_question_counts_as_known():
    answer = "The insurance premium takes five working days."
    with_question = groundedness(answer, DOCUMENTS, "When is the insurance premium paid?")
    assert with_question.score > groundedness(answer, DOCUMENTS).score


def test_without_documents_everything_is_unsupported():
    for documents in ([], [""], ""):
        assert unsupported("Paris is large.", documents) == ["Paris is large."]


def test_threshold():
    assert unsupported("She moved to Paris.", threshold=0) == []
    assert unsupported("A refund takes five working days.", threshold=1) == ["A refund takes five working days."]
    with pytest.raises(ValueError, match="threshold"):
        groundedness("a", "b", threshold=1.5)


@pytest.mark.parametrize("arguments", [(None, "a"), ("a", None), ("a", ["b", None]), ("a", "b", 3)])
def test_missing_texts_are_typed_errors(arguments):
    with pytest.raises(TypeError):
        groundedness(*arguments)


def test_scripts_without_spaces_are_compared_by_character():
    assert (
        unsupported("\u9000\u6b3e\u9700\u8981\u4e94\u5929\u3002", ["\u9000\u6b3e\u9700\u8981\u4e94\u5929\u3002"]) == []
    )
    assert unsupported("\u4ed6\u642c\u5230\u5df4\u9ece\u3002", ["\u9000\u6b3e\u9700\u8981\u4e94\u5929\u3002"]) != []


texts = st.text(st.characters(codec=None) | st.sampled_from("ab not. 12 \ud800\u4e2d\n"), max_size=60)


@settings(max_examples=60)
@given(texts, st.lists(texts, max_size=3))
def test_every_score_is_from_0_to_1_and_places_are_right(answer, documents):
    found = groundedness(answer, documents, threshold=1)
    assert 0 <= found.score <= 1
    assert all(answer[one.start : one.end] == one.text and 0 <= one.score <= 1 for one in found.unsupported)
    assert groundedness(answer, [*documents, answer]).score == 1


@given(st.lists(st.sampled_from(DOCUMENTS), max_size=3), st.randoms())
def test_the_order_of_documents_does_not_count(documents, rng):
    answer = "Ada never took five dollars. Babbage wrote notes in 1843."
    shuffled = list(documents)
    rng.shuffle(shuffled)
    assert groundedness(answer, documents).score == pytest.approx(groundedness(answer, shuffled).score)


def test_a_long_text_is_cut_and_said_so():
    found = groundedness("not a. " * 150_000, ["not b. " * 150_000])
    assert found.truncated
    assert not groundedness("a", "b").truncated


def test_the_guard_gives_the_scores_of_the_same_model():
    answer = "Ada wrote notes in 1850. She moved to Paris."
    guard = GroundedDetector().detect(answer, GuardContext(rail="output", documents=tuple(DOCUMENTS)))
    model = assess(answer, Evidence(DOCUMENTS))
    assert guard.score == round(max(one.score for one in model.sentences), 3)
    assert groundedness(answer, DOCUMENTS).score == 1 - model.score
