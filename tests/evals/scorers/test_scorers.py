"""Scorers in plain Python: what they may take and return, and the named ones."""

from __future__ import annotations

import importlib.util
import inspect

import numpy as np
import pytest

import llmops_sdk as llmops
from llmops_sdk.evals import Case, FunctionScorer, Score, Scorer, scorer
from llmops_sdk.evals.scorers._named import named_scorer, scorer_names, scorers_of

HAS_METRICS = importlib.util.find_spec("llmops_sdk.evals.metrics") is not None
needs_metrics = pytest.mark.skipif(not HAS_METRICS, reason="the metrics are not there yet")
CIRCULAR: dict = {}
CIRCULAR["itself"] = CIRCULAR
CASE = Case(item_id="i", input="in", output="Out", expected="Out", metadata={"k": 1}, repeat=2, trace_id="t")


def test_a_function_names_what_it_takes():
    @scorer
    def everything(output, expected, input, metadata, item_id, repeat, trace_id, case, extra=1, **more):
        """Say what it does."""
        return [output, expected, input, metadata, item_id, repeat, trace_id, case] == [
            "Out", "Out", "in", {"k": 1}, "i", 2, "t", CASE,
        ]  # fmt: skip

    assert isinstance(everything, Scorer)
    assert isinstance(everything, FunctionScorer)
    assert everything.score(CASE) == Score(value=1.0, passed=True)
    assert (everything.name, everything.__doc__, everything.higher_is_better) == (
        "everything", "Say what it does.", True,
    )  # fmt: skip


def test_a_scorer_can_still_be_called_as_a_function():
    @scorer(name="n")
    def double(output):
        return output * 2

    assert double(2) == 4
    assert repr(double) == "<scorer n>"


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (True, Score(value=1.0, passed=True)),
        (False, Score(value=0.0, passed=False)),
        (3, Score(value=3.0)),
        (0.5, Score(value=0.5)),
        (np.float32(0.5), Score(value=0.5)),
        (np.bool_(1), Score(value=1.0, passed=True)),
        ("good", Score(label="good")),
        (Score(value=1.0, passed=np.bool_(1)), Score(value=1.0, passed=True)),
        (Score(value=2, label="l"), Score(value=2.0, label="l")),
        (None, None),
    ],
)
def test_values_that_a_scorer_may_return(value, score):
    assert scorer(lambda output: value).score(CASE) == score


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (float("nan"), ValueError),
        (float("-inf"), ValueError),
        (Score(value=float("nan")), ValueError),
        (Score(), ValueError),
        ([1], TypeError),
        ({"value": 1}, TypeError),
        (object(), TypeError),
        (1j, TypeError),
        (10**400, ValueError),
        (Score(value=10**400), ValueError),
        (Score(value=1.0, label=5), TypeError),
        (Score(value=1.0, comment={"why": 1}), TypeError),
        (Score(value=1.0, passed="yes"), TypeError),
        (Score(value=1.0, metadata=None), TypeError),
        (Score(value=1.0, metadata={(1, 2): 3}), ValueError),
        (Score(value=1.0, metadata=CIRCULAR), ValueError),
    ],
)
def test_other_values_are_errors(value, error):
    with pytest.raises(error):
        scorer(lambda output: value).score(CASE)


@pytest.mark.parametrize(
    ("value", "higher", "passed"), [(0.5, True, True), (0.4, True, False), (0.5, False, True), (0.6, False, False)]
)
def test_a_threshold_says_what_passes(value, higher, passed):
    made = scorer(threshold=0.5, higher_is_better=higher)(lambda output: value)
    assert made.score(CASE).passed is passed


async def test_an_async_scorer_returns_an_awaitable():
    @scorer
    async def later(output):
        return 0.5

    value = later.score(CASE)
    assert inspect.isawaitable(value)
    assert await value == Score(value=0.5)
    assert later.is_async


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: scorer(lambda answer: 1.0), "has the argument 'answer'"),
        (lambda: scorer(lambda: 1.0), "takes nothing to score"),
        (lambda: scorer(lambda output, /: 1.0), "has the argument 'output'"),
        (lambda: scorer(name="")(lambda output: 1.0), "no name of a scorer"),
        (lambda: scorer(name="a\n")(lambda output: 1.0), "no name of a scorer"),
        (lambda: scorer(name="x")(3), "expects a function"),
    ],
)
def test_wrong_scorers_are_refused_where_they_are_made(make, says):
    with pytest.raises(llmops.ConfigError, match=says):
        make()


def test_the_identity_names_the_version_the_threshold_and_the_code():
    def judge(output):
        return 1.0

    base = scorer(judge).identity
    assert scorer(judge).identity == base
    assert scorer(version="2")(judge).identity != base
    assert scorer(threshold=0.5)(judge).identity != base
    assert scorer(name="judge")(lambda output: 0.0).identity != base


@pytest.mark.parametrize(
    ("text", "output", "expected", "value"),
    [
        ("equals", {"a": 1}, {"a": 1}, 1.0),
        ("equals", "a", None, None),
        ("contains", "the Cat sat", "Cat", 1.0),
        ("contains", {"a": "Cat"}, "dog", 0.0),
        ("not_empty", "  ", None, 0.0),
        ("not_empty", [1], None, 1.0),
        ("json", '{"a": 1}', None, 1.0),
        ("json", "{a", None, 0.0),
        ("json", {"a": 1}, None, 1.0),
        ("max_length:3", "abcd", None, 0.0),
        ("max_length:3", "abc", None, 1.0),
        pytest.param("exact_match", "The Cat", "the cat", 1.0, marks=needs_metrics),
        pytest.param("exact_match", "the cat", ["dog", "the cat"], 1.0, marks=needs_metrics),
        pytest.param("token_f1", "a cat", "a dog", 0.0, marks=needs_metrics),
        pytest.param("levenshtein:0.5", "cat", "cat", 1.0, marks=needs_metrics),
        pytest.param("bleu", "the cat sat on the mat", "the cat sat on the mat", 100.0, marks=needs_metrics),
        pytest.param("chrf", "cat", "cat", 100.0, marks=needs_metrics),
        pytest.param("rouge", "the cat", "the cat", 1.0, marks=needs_metrics),
        pytest.param("semantic_similarity", "the cat", "the cat", 1.0, marks=needs_metrics),
        pytest.param("groundedness", "Ada wrote notes.", "Ada wrote notes in 1843.", 1.0, marks=needs_metrics),
        pytest.param("regex:^O", "Out", None, 1.0, marks=needs_metrics),
        pytest.param("regex:u.$", "Out", None, 1.0, marks=needs_metrics),
        pytest.param("regex:^u", "Out", None, 0.0, marks=needs_metrics),
    ],
)
def test_named_scorers(text, output, expected, value):
    score = named_scorer(text).score(Case(item_id="i", input="", output=output, expected=expected))
    if value is None:
        assert score is None
    else:
        assert score.value == pytest.approx(value, abs=1e-5)


def test_names_are_columns_and_parameters_are_in_the_identity():
    assert [one.name for one in scorers_of(["equals", "max_length:3", "judge:tone"])] == [
        "equals", "max_length:3", "tone",
    ]  # fmt: skip
    assert named_scorer("max_length:3").identity != named_scorer("max_length:4").identity
    assert named_scorer("equals").identity == named_scorer("equals").identity
    assert {"equals", "judge", "regex", "token_f1"} <= set(scorer_names())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", 'no scorer "nothing"'),
        ("max_length", "needs a parameter"),
        ("equals:x", "is no number.*look for a text with regex:PATTERN"),
        ("max_length:x", "is no number"),
        pytest.param("regex:(", "regular expression", marks=needs_metrics),
    ],
)
def test_a_wrong_name_is_refused_with_what_to_do(text, says):
    with pytest.raises(llmops.ConfigError, match=says):
        named_scorer(text)


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(
        llmops.ConfigError, match=r'no scorer "exact_macth"; did you mean "exact_match"\? The names are '
    ) as caught:
        named_scorer("exact_macth")
    assert caught.value.nearest == "exact_match"
    with pytest.raises(llmops.ConfigError, match=r'no scorer "zzz"\. The names are '):
        named_scorer("zzz")
