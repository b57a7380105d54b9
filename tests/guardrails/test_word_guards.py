"""Topics and profanity: whole words of a list, however they are written."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import DetectorGuard, GuardContext
from llmops_sdk.guardrails.detectors.words import _phrases
from llmops_sdk.guardrails.detectors.words._profanity import ProfanityDetector
from llmops_sdk.guardrails.detectors.words._topics import TopicsDetector

OUTPUT = GuardContext(rail="output")
TOPICS = TopicsDetector(
    deny=["Acme", "new york", "café", "C++", "北京", "Straße", "big deal"], allow=["acme valley", "new york times"]
)


def redacted(detector, text):
    return DetectorGuard(detector, "redact").check(text, OUTPUT).text or text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ACME sells", "[TOPIC] sells"),
        ("at acme's,", "at [TOPIC]'s,"),
        ("\uff21\uff23\uff2d\uff25!", "[TOPIC]!"),
        ("a\u200bc\u00adme", "[TOPIC]"),
        ("Ácmé", "[TOPIC]"),
        ("New  York, new\nyork, new-york", "[TOPIC], [TOPIC], [TOPIC]"),
        ("a CAFE or cafe\u0301", None),
        ("I know C++.", "I know [TOPIC]."),
        ("我在北京工作", "我在[TOPIC]工作"),
        ("STRASSE", "[TOPIC]"),
        ("😀 İ acme", "😀 İ [TOPIC]"),
    ],
)
def test_denied_words_are_found_however_they_are_written(text, left):
    new = redacted(TOPICS, text)
    assert "[TOPIC]" in new
    assert left is None or new == left


@pytest.mark.parametrize(
    "text",
    ["acmeville", "acm e", "Acme Valley", "the New York Times", "new. York", "c", "big ideal", "", "new    york"],
)
def test_other_words_pass(text):
    assert TOPICS.detect(text, OUTPUT).found is False


@pytest.mark.thorough
def test_the_time_does_not_grow_with_the_number_of_phrases():
    many = TopicsDetector([f"word{one} number{one}" for one in range(20_000)])
    text = "word1 word2 number2 and so on " * 33_000
    began = time.thread_time()
    assert len(many.detect(text, OUTPUT).findings) == 33_000
    # Seconds of this thread's own work; a pass for each phrase takes minutes.
    assert time.thread_time() - began < 8


def test_a_stream_waits_only_for_a_phrase_that_may_go_on():
    assert TOPICS.settled("It is good. ") == len("It is good. ")
    assert TOPICS.settled("I like New ") == len("I like ")
    assert TOPICS.settled("I like New Yo") == len("I like ")


def test_profanity_has_spellings_and_severity():
    detector = ProfanityDetector({"darn": 0.2, "blast it": 0.6})
    found = detector.detect("Daaaarn! d4rn? BLAST 1t, darning", OUTPUT)
    assert [(one.kind, one.score) for one in found.findings] == [("PROFANITY", one) for one in (0.2, 0.2, 0.6)]
    assert found.score == 0.6
    assert redacted(detector, "Oh dàrn.") == "Oh [PROFANITY]."
    nothing = ProfanityDetector(["ass"]).detect("as a class asks", OUTPUT)
    assert (nothing.found, nothing.score, nothing.reason) == (False, 0.0, "")


@pytest.mark.parametrize(
    "make",
    [
        TopicsDetector,
        lambda: TopicsDetector("acme"),
        lambda: TopicsDetector([" - "]),
        lambda: TopicsDetector([7]),
        lambda: TopicsDetector(["a"], allow="b"),
        ProfanityDetector,
        lambda: ProfanityDetector([]),
        lambda: ProfanityDetector({"a": 7}),
        lambda: ProfanityDetector({"a": "high"}),
    ],
)
def test_bad_lists_are_config_errors(make):
    with pytest.raises(ConfigError, match=r"deny|allow|words"):
        make()


LONG_WORDS = ["darn", "d4rn it", "ass", "c++", "new york", "new york city", "a", "4chan", "b2b", "new", "x_y", "boot"]
LONG_PIECES = (
    *(
        "darn",
        "d4rn",
        "daaarn",
        "DARN",
        "a55",
        "as5s",
        "sss",
        "c++",
        "c",
        "+",
        "#",
        " ",
        "  ",
        "new york",
        "new",
        "york",
    ),
    *(
        "city",
        "new_york",
        "a",
        "4chan",
        "achan",
        "b2b",
        "_",
        ".",
        "; ",
        "\n",
        "word",
        "boooot",
        "b00t",
        "x",
        " x y ",
        "1",
    ),
)


@pytest.mark.parametrize(
    "detector",
    [ProfanityDetector(LONG_WORDS), TopicsDetector(LONG_WORDS), TopicsDetector(["new york"], ["new york city"])],
)
@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(LONG_PIECES), max_size=60).map("".join))
def test_a_long_text_has_the_same_findings(detector: Any, text: str):
    whole = detector.detect(text, OUTPUT).findings
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(_phrases, "_LONG", 0)
        patch.setattr(_phrases, "_PART", 16)
        patch.setattr(_phrases, "_SPARSE", 1)
        assert detector.detect(text, OUTPUT).findings == whole
