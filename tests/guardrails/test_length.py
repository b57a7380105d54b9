"""Texts that are too long or too short are found, at exactly the bound."""

from __future__ import annotations

import pytest

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import DetectorGuard, GuardContext
from llmops_sdk.guardrails.detectors import _length
from llmops_sdk.guardrails.detectors._length import LengthDetector

OUTPUT = GuardContext(rail="output")


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        ({"max_chars": 3}, "abc", ""),
        ({"max_chars": 3}, "abcd", "more characters than max_chars"),
        ({"max_chars": 1}, "😀", ""),
        ({"min_chars": 3}, "abc", ""),
        ({"min_chars": 3}, "ab", "fewer characters than min_chars"),
        ({"max_tokens": 5}, "Where is my card?", ""),
        ({"max_tokens": 4}, "Where is my card?", "more tokens than max_tokens"),
        ({"max_tokens": 1000}, "word " * 20_000, "more tokens than max_tokens"),
        ({"max_chars": 4, "max_tokens": 1}, "a b c d e", "more tokens than max_tokens"),
    ],
)
def test_a_text_is_found_beyond_a_bound_only(options, text, reason):
    found = LengthDetector(**options).detect(text, OUTPUT)
    assert (found.found, found.reason, found.findings) == (bool(reason), reason, ())


def test_fix_cuts_a_text_and_keeps_other_bounds():
    assert DetectorGuard(LengthDetector(max_chars=3), "fix").check("abcd", OUTPUT).text == "abc"
    assert (
        DetectorGuard(LengthDetector(max_chars=9, max_tokens=1), "fix").check("a b c d e f", OUTPUT).action == "block"
    )
    assert DetectorGuard(LengthDetector(min_chars=3), "fix").check("a", OUTPUT).action == "block"


def test_a_long_text_is_not_counted_beyond_the_bound(monkeypatch):
    counted = []
    monkeypatch.setattr(_length, "count_tokens", lambda text: counted.append(len(text)) or len(text))
    assert LengthDetector(max_tokens=10).detect("a" * 1_000_000, OUTPUT).found
    assert sum(counted) <= 5000


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_chars": 0},
        {"max_chars": True},
        {"max_tokens": "9"},
        {"min_chars": -1},
        {"max_chars": 1, "min_chars": 2},
    ],
)
def test_bad_bounds_are_config_errors(options):
    with pytest.raises(ConfigError):
        LengthDetector(**options)
