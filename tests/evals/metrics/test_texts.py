"""Metrics of texts: their values on small cases, their bounds, and what they do with hostile input."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_sdk.errors import ConfigError, EmbeddingError, MissingDependencyError
from llmops_sdk.evals.metrics import (
    BertScore,
    TokenVectors,
    bert_score,
    bleu,
    chrf,
    exact_match,
    levenshtein,
    mover_score,
    rouge,
    semantic_similarity,
    squad_normalised,
    ter,
    token_f1,
)

ALL = (exact_match, token_f1, bleu, chrf, ter, rouge, levenshtein, semantic_similarity, bert_score, mover_score)
FROM_0_TO_1 = (exact_match, token_f1, levenshtein)
# With characters outside ASCII, control characters and lone surrogates.
texts = st.text(st.characters(codec=None) | st.sampled_from("ab the.\n\ud800\u4e2d\u00e9\0"), max_size=25)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The U.S.  Senate!", "us senate"),
        ("an apple a day", "apple day"),
        ("theatre", "theatre"),
        ("\u00c9t\u00e9 \u2013 1,000", "\u00e9t\u00e9 \u2013 1000"),
        ("", ""),
    ],
)
def test_squad_normalisation(text, expected):
    assert squad_normalised(text) == expected


def test_exact_match_takes_the_best_reference():
    assert exact_match(["Bern", "x"], [["Berne", "bern."], "y"]) == 0.5
    assert exact_match("Bern", ["Berne", "Bern"]) == 1.0
    assert exact_match(["Bern", "x"], ["bern", "x"], normalise=False, each=True) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("given_text", "wanted", "expected"),
    [
        ("a b c", "b c d", 0.8),
        ("x x y", "x y y", 2 / 3),
        ("", "", 1.0),
        ("", "x", 0.0),
        ("the", "", 1.0),
        ("x", "y", 0),
    ],
)
def test_token_f1(given_text, wanted, expected):
    assert token_f1(given_text, wanted) == pytest.approx(expected)


def test_levenshtein_measures():
    assert levenshtein("kitten", "sitting", measure="edits") == 3
    assert levenshtein("kitten", "sitting", measure="distance") == pytest.approx(3 / 7)
    assert levenshtein(["", "ab"], ["", ["xx", "ab"]], each=True) == [1.0, 1.0]
    with pytest.raises(ValueError, match="measure"):
        levenshtein("a", "b", measure="other")


def test_more_references_need_not_be_as_many_for_each():
    assert bleu(["a b c d e", "x y z w v"], [["q", "a b c d e"], "x y z w v"]) == pytest.approx(100)
    assert rouge(["one two", "x"], [["two", "one two"], "y"])["rouge1"] == 0.5


def test_rouge_gives_each_pair():
    [first] = rouge("the card is blocked", "the card was blocked", each=True, types=["rouge1"])
    assert tuple(first["rouge1"]) == (0.75, 0.75, 0.75)
    with pytest.raises(ValueError, match="types"):
        rouge("a", "b", types=["rouge9"])
    with pytest.raises(ValueError, match="types"):
        rouge("a", "b", types="rouge1")


def test_unknown_options_are_errors():
    with pytest.raises(ValueError, match="tokenizer"):
        bleu("a", "b", tokenize="nope")
    with pytest.raises(ValueError, match="word_order"):
        chrf("a", "b", word_order=-1)


@pytest.mark.parametrize("metric", ALL)
def test_bad_lists_are_typed_errors(metric):
    with pytest.raises(ValueError, match="2 predictions and 1 references"):
        metric(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="empty"):
        metric([], [])
    with pytest.raises(ValueError, match="empty"):
        metric(["a"], [[]])
    with pytest.raises(TypeError, match=r"predictions\[1\] is NoneType"):
        metric(["a", None], ["a", "b"])
    with pytest.raises(TypeError, match="references"):
        metric(["a"], [None])
    with pytest.raises(TypeError, match="references"):
        metric(["a"], [["a", 3]])
    with pytest.raises(TypeError):
        metric(None, None)


@pytest.mark.parametrize("metric", ALL)
def test_hostile_texts_give_finite_numbers(metric):
    hard = ["", " \n", "\ud800", "\udfff a", "\0", "\u4e2d\u6587", "a" * 2_000, "\u0301" * 50, "\U0001f600"]
    for value in metric(hard, list(reversed(hard)), each=True):
        numbers = value.values() if isinstance(value, dict) else [value]
        assert all(
            math.isfinite(number) for number in np.ravel(list(map(list, numbers)) if isinstance(value, dict) else value)
        )
        assert numbers


@pytest.mark.parametrize("metric", [exact_match, token_f1, bleu, semantic_similarity])
def test_a_megabyte_is_read(metric):
    text = "refund of 3 days, " * 55_000
    assert metric(text, text) == pytest.approx(100 if metric is bleu else 1)


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (ter, "a b " * 500),
        (rouge, "card " * 3_000),
        (levenshtein, "ab" * 100_000),
        (chrf, "a" * 1_000_001),
        (bleu, "a" * 1_000_001),
    ],
)
def test_what_would_take_too_long_is_refused(metric, text):
    with pytest.raises(ValueError, match="cut it"):
        metric(text, text)


def test_rouge_without_the_table_takes_long_texts():
    assert rouge("card " * 50_000, "card " * 50_000, types=["rouge1"]) == {"rouge1": 1.0}


@settings(max_examples=40)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.randoms())
def test_bounds_symmetry_and_order(pairs, rng):
    given_texts, wanted = map(list, zip(*pairs, strict=True))
    for metric in FROM_0_TO_1:
        value = metric(given_texts, wanted)
        assert 0 <= value <= 1
        assert value == pytest.approx(metric(wanted, given_texts))
        assert metric(wanted, wanted) == pytest.approx(1)
        assert value == pytest.approx(sum(metric(given_texts, wanted, each=True)) / len(pairs))
    order = list(range(len(pairs)))
    rng.shuffle(order)
    for metric in (bleu, chrf):
        value = metric(given_texts, wanted)
        assert 0 <= value <= 100 + 1e-9
        shuffled = metric([given_texts[one] for one in order], [wanted[one] for one in order])
        assert value == pytest.approx(shuffled)


# Four tokens; two are alike.
PLACES = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [3.0, 4.0], "z": [-1.0, 0.0]}


def token_table(texts):
    return [np.array([PLACES[one] for one in text.split()]) for text in texts]


def test_bert_score_of_hand_computed_tables():
    found = bert_score("a c", "b c", embedder=token_table)
    # cosines: a-b 0, a-c .6, c-b .8, c-c 1
    assert found == pytest.approx(BertScore(0.8, 0.9, 2 * 0.8 * 0.9 / 1.7))
    assert bert_score("a", "z", embedder=token_table) == pytest.approx(BertScore(-1, -1, 0))
    assert bert_score(["a", "a"], ["a", "b"], embedder=token_table) == pytest.approx(BertScore(0.5, 0.5, 0.5))
    assert bert_score("a", ["z", "a"], embedder=token_table).f1 == 1


def test_tokens_that_do_not_count_can_still_be_found():
    def with_ends(given_texts):
        tables = [np.array([PLACES["b"], *map(PLACES.__getitem__, text.split())]) for text in given_texts]
        return [TokenVectors(table, [False] + [True] * (len(table) - 1)) for table in tables]

    assert bert_score("b", "a", embedder=with_ends) == pytest.approx(BertScore(1, 0, 0))
    assert tuple(bert_score("", "a", embedder=with_ends)) == (0, 0, 0)


@pytest.mark.parametrize("metric", [bert_score, mover_score])
def test_vectors_that_are_not_usable_are_errors(metric):
    for bad in ([[0.0, 0.0]], [[math.nan, 1.0]], [1.0, 2.0], [[[1.0]]]):
        with pytest.raises(EmbeddingError):
            metric("a", "b", embedder=lambda texts, bad=bad: [bad for _ in texts])
    with pytest.raises(EmbeddingError, match="0 tables"):
        metric("a", "b", embedder=lambda _: [])
    with pytest.raises(EmbeddingError, match="marks"):
        metric("a", "b", embedder=lambda texts: [TokenVectors([[1.0]], [True, True]) for _ in texts])
    for name in ("litellm:x", "sentence-transformers:", "sentence-transformers:/no/such/folder"):
        with pytest.raises(ConfigError):
            metric("a", "b", embedder=name)


def test_mover_score_is_the_cheapest_assignment():
    rng = np.random.default_rng(5)
    for size in (1, 2, 3, 5):
        tables = [rng.normal(size=(size, 3)) for _ in range(2)]
        one, other = (table / np.linalg.norm(table, axis=1)[:, None] for table in tables)
        costs = np.linalg.norm(one[:, None] - other[None], axis=2)
        best = min(
            sum(costs[row, column] for row, column in enumerate(order)) for order in itertools.permutations(range(size))
        )
        found = mover_score("x", "y", embedder=lambda _, tables=tables: tables)
        assert found == pytest.approx(1 - best / size)


def test_mover_score_splits_weights():
    # Half of "a" stays, half moves to "b": the root of two.
    assert mover_score("a", "a b", embedder=token_table) == pytest.approx(1 - math.sqrt(2) / 2)
    assert mover_score("a a b", "a b", embedder=token_table) == pytest.approx(1 - math.sqrt(2) / 6)
    assert mover_score(["a", ""], ["a", "a"], embedder=token_table, each=True) == [1.0, 0.0]


words = st.lists(st.sampled_from("abcz"), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=40)
@given(words, words)
def test_similarities_are_symmetric_and_bounded(one, other):
    first, second = bert_score(one, other, embedder=token_table), bert_score(other, one, embedder=token_table)
    assert first == pytest.approx(BertScore(second.recall, second.precision, second.f1))
    assert all(-1 - 1e-9 <= value <= 1 + 1e-9 for value in first[:2])
    moved = mover_score(one, other, embedder=token_table)
    assert moved == pytest.approx(mover_score(other, one, embedder=token_table))
    assert -1 - 1e-9 <= moved <= 1
    assert mover_score(one, one, embedder=token_table) == 1


def test_static_vectors_are_the_default():
    assert semantic_similarity("Refund my order", "refund my order") == pytest.approx(1)
    assert bert_score("Refund my order", "refund my order").f1 == pytest.approx(1)
    assert semantic_similarity(["", "x"], ["x", " "], each=True) == [0.0, 0.0]
    assert semantic_similarity(
        "a", "b", embedder=lambda texts: [[1.0, 0.0] if one == "a" else [0.6, 0.8] for one in texts]
    ) == (pytest.approx(0.6))


@pytest.mark.parametrize(
    ("metric", "module"),
    [(bleu, "sacrebleu"), (chrf, "sacrebleu"), (ter, "sacrebleu"), (rouge, "rouge_score"), (levenshtein, "rapidfuzz")],
)
def test_a_missing_library_names_the_extra(monkeypatch, metric, module):
    import importlib

    real = importlib.import_module

    def without(name, *arguments):
        if name.split(".")[0] == module:
            raise ModuleNotFoundError(name=name)
        return real(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingDependencyError, match=r"llmops-sdk\[evals\]"):
        metric("a", "b")
