"""One search of a whole text finds the same as reading each stretch of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from disguises import DISGUISES
from hypothesis import given, settings
from hypothesis import strategies as st
from split_texts import places

from llmops_sdk.guardrails import DetectorGuard, GuardContext
from llmops_sdk.guardrails.detectors import PiiDetector, SecretsDetector, _secrets_detector, _signs, _stretches
from llmops_sdk.guardrails.detectors.pii import _pii
from llmops_sdk.guardrails.normalise import Decoding, Read, views
from llmops_sdk.guardrails.normalise._plain import plain_view
from llmops_sdk.guardrails.normalise._quick_search import _likely_runs, reading
from llmops_sdk.guardrails.normalise._torn import _lines_with_signs, _torn_gaps
from llmops_sdk.guardrails.normalise._view import View

OUTPUT = GuardContext(rail="output")
KEY = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
VALUES = ("ada@example.org", "4242 " * 3 + "4242", KEY, "+1 212 555 0147")
PIECES = [
    *(
        " ",
        "  ",
        "\n",
        "word",
        "a",
        "x",
        "task-force",
        "KeyError",
        "some words of prose that go on and on for a while ",
    ),
    *("@", "example", ".org", "born", "3 May 1980", "call", "14", "Crown", "Street", "Bearer", "password=", "sk-", '"'),
    *("%40", "&#64;", "\\n", "\\", "&", "%", "\u200b", "\u3002", "\u0417", "5", "\u0301", "\ud800", "\u2013", "(", ")"),
    *VALUES,
    *(DISGUISES[name](value) for name in DISGUISES for value in VALUES[:3]),
]
PROSE = "The app says it is on its way, but not where. Please tell me how to change it and whether shops take it. "
TEXTS = st.lists(st.sampled_from(PIECES), max_size=16).map("".join) | st.lists(
    st.sampled_from(PIECES), max_size=16
).map(" ".join)
DETECTORS = {"pii": PiiDetector(), "secrets": SecretsDetector()}


def _read_all(text: str, *rest: Any) -> Read | None:
    return partial(views, decoding=rest[-1])


@pytest.mark.parametrize("name", DETECTORS)
@settings(deadline=None, max_examples=30)
@given(TEXTS)
def test_a_quick_search_loses_nothing(name: str, text: str):
    detector = DETECTORS[name]
    quick = places(detector, text)
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(_pii, "reading", _read_all)
        patch.setattr(_secrets_detector, "reading", _read_all)
        assert places(detector, text) == quick


@pytest.mark.parametrize("name", DETECTORS)
def test_a_long_text_is_read_in_parts(name: str):
    text = PROSE * 120 + f"{VALUES[0]} and {KEY} too. " + PROSE * 120
    ((_, start, end, _),) = places(DETECTORS[name], text)
    assert text[start:end] in (VALUES[0], KEY)


@pytest.mark.parametrize("name", DETECTORS)
@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(["words", "and", "see", ".", "\n", *VALUES]), max_size=12).map(" ".join))
def test_a_redacted_text_has_no_finding_of_the_same_kind(name: str, text: str):
    verdict = DetectorGuard(DETECTORS[name], "redact").check(text, OUTPUT)
    again = places(DETECTORS[name], text if verdict.text is None else verdict.text)
    assert not {one[0] for one in again} & {one.kind for one in verdict.findings}


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([*PIECES, "aB3", "d4", "12", "@ex ample.org", "%4 0", PROSE]), max_size=24).map(" ".join)
)
def test_torn_tokens_are_in_the_lines_that_have_a_sign(text: str):
    for is_decoded in (False, True):
        lines = list(_lines_with_signs(text.encode("utf-8", "replace"), is_decoded=is_decoded))
        found = list(_torn_gaps(text, lines, is_decoded=is_decoded))
        assert found == list(_torn_gaps(text, [(0, len(text))], is_decoded=is_decoded))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([*PIECES, PROSE, "KeyError\n", "x = 12\n"]), max_size=24).map(" ".join))
def test_stretches_without_a_sign_hold_nothing(text: str):
    detector = DETECTORS["pii"]
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(_signs, "_SPARSE", 0)  # however many places there are
        quick = places(detector, text)
        patch.setattr(_pii, "reading", _read_all)
        assert places(detector, text) == quick


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from([*PIECES, PROSE, "b", "c,", "x-ray", "(a", "office", "@", "averyveryverylongword", "?", "\t"]),
        max_size=24,
    ).map(" ".join)
)
def test_all_stretches_at_once_are_those_found_one_by_one(text: str):
    for detector, rules in ((_pii, PiiDetector()), (_secrets_detector, SecretsDetector())):
        read = partial(views, decoding=Decoding())
        with pytest.MonkeyPatch().context() as patch:
            patch.setattr(_stretches, "_LEAST_AT_ONCE", 0)
            at_once = list(detector._STRETCHES._stretches(text, rules._spans, read))
            patch.setattr(_stretches, "_MOST_AT_ONCE", 0)
            assert at_once == list(detector._STRETCHES._stretches(text, rules._spans, read))


@pytest.mark.parametrize("end", ["", "=", "=="])
def test_a_text_that_is_one_long_run_of_base64_is_found_as_such(end: str):
    run = b"QUJD" * 1024
    assert _likely_runs(run + end.encode(), is_nested=False) == [run]
    assert _likely_runs(run + b"." + run, is_nested=False) == [run, run]
    assert _likely_runs(b"abcd" * 1024, is_nested=False) == []


def test_a_torn_token_elsewhere_does_not_make_each_stretch_read(monkeypatch: pytest.MonkeyPatch):
    detector = PiiDetector()
    read: list[str] = []
    in_stretch = detector._in_stretch
    monkeypatch.setattr(detector, "_in_stretch", lambda text, *rest: read.append(text) or in_stretch(text, *rest))
    text = f"See MA-262 3rd edition. {PROSE * 3}It fails in line 12 (KeyError: 'x'). {PROSE * 3}Ask {VALUES[0]} or so."
    assert [one[0] for one in places(detector, text)] == ["EMAIL"]
    assert len(read) == 1
    assert VALUES[0] in read[0]


def test_long_text_in_base64_is_told_as_cut():
    code = DISGUISES["base64"]("Caf\u00e9, 100 % of it. " * 60_000)
    assert SecretsDetector().detect(code, OUTPUT).truncated


def test_each_of_two_same_runs_of_base64_is_found():
    code = DISGUISES["base64"](VALUES[0])
    assert [one[1] for one in places(PiiDetector(), f"{code}, {code}")] == [0, len(code) + 2]


def test_too_much_base64_is_told():
    code = DISGUISES["base64"]("Write to ada@example.org, my dear. " * 1000)
    found = PiiDetector().detect(f"{code} " * 40, OUTPUT)
    assert found.truncated
    assert found.found
    assert not PiiDetector().detect(code, OUTPUT).truncated


def test_what_is_in_a_long_run_of_base64_is_found():
    code = DISGUISES["base64"]("Words that tell nothing, and go on. " * 500 + VALUES[0] + " is here. " * 500)
    for detector in (PiiDetector(),):
        ((kind, start, end, _),) = places(detector, f"data:text/plain;base64,{code}")
        assert kind == "EMAIL"
        assert end - start <= 32


@pytest.mark.parametrize(
    "text", ["caf\u00e9 \u2019 \u4e2d", "a\u0301b", "\uff21" * 40, "\u0430\u200b" * 40, "\ud800\u0417 5"]
)
def test_a_translated_text_maps_back(text: str):
    view = plain_view(View(text))
    assert [text[slice(*view.original(at, at + 1))] != "" for at in range(len(view.text))] == [True] * len(view.text)
    order = [view.original(at, at + 1) for at in range(len(view.text))]
    assert order == sorted(order)


def test_a_text_without_a_sign_is_not_read():
    assert reading("Plain words, and no more.", lambda _, data: b"@" in data, Decoding()) is None
    assert reading("ada%40example", lambda _, data: b"@" in data, Decoding()) is not None
