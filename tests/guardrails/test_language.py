"""Texts in another language are found, with a probability; what is too short to tell passes."""

from __future__ import annotations

import time

import pytest

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import GuardContext
from llmops_sdk.guardrails.detectors._language import LanguageDetector

pytest.importorskip("py3langid")

INPUT = GuardContext(rail="input")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Where is my card? I lost it yesterday.", False),
        ("FULL CAPITALS IN AN ENGLISH SENTENCE", False),
        ("Das ist ein Satz in deutscher Sprache.", True),
        ("¿Dónde está mi tarjeta de crédito?", True),
        ("これは日本語の文章です。とても長い文章です。", True),
        ("Guten Tag", False),
        ("", False),
        ("Run this:\n```\nfür jede Zeile die Ausgabe schreiben und lesen\n```", False),
        ("Ask https://example.org/das/ist/ein/langer/deutscher/pfad", False),
    ],
)
def test_another_language_is_found(text, found):
    result = LanguageDetector().detect(text, INPUT)
    assert (result.found, result.threshold) == (found, 0.5)
    assert result.findings == ()
    assert result.score is None or (result.score >= 0.5) is found


def test_several_languages_may_be_allowed():
    text = "Das ist ein Satz in deutscher Sprache."
    assert LanguageDetector(("en", "de")).detect(text, INPUT).found is False
    assert LanguageDetector(("fr",), threshold=1.0).version != LanguageDetector(("fr",)).version


def test_a_long_text_is_read_in_part_and_says_so():
    began = time.thread_time()
    for piece in ("The card is lost. ", "a", "@", "a@", "`", "\ud800", "a."):
        assert LanguageDetector().detect(piece * (1_000_000 // len(piece)), INPUT).truncated
    # Seconds of this thread's own work; what is quadratic takes minutes.
    assert time.thread_time() - began < 8


@pytest.mark.parametrize(
    "make",
    [
        lambda: LanguageDetector("en"),
        lambda: LanguageDetector(("english",)),
        lambda: LanguageDetector(()),
        lambda: LanguageDetector(threshold=0),
    ],
)
def test_bad_options_are_config_errors(make):
    with pytest.raises(ConfigError, match=r"allow|threshold"):
        make()
