"""Fuzz the readings of a text and the search of streams with atheris. It is no part of the test suite.

    pip install atheris
    python tests/fuzz/fuzz_scanner.py -max_total_time=300

An input is a list of pieces of text. For each, these must hold, or the fuzzer stops with the text:

- Each place of each reading maps into the text, in order.
- The quick search of a whole text finds the same as reading each stretch.
- A text that is cut where it is settled has the same findings as the whole.
- Redaction leaves no finding of a kind that it found.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import atheris

sys.path.append(str(Path(__file__).parents[1] / "receivers"))

with atheris.instrument_imports(include=["llmops_sdk.guardrails"]):
    from llmops_sdk.guardrails import DetectorGuard, GuardContext
    from llmops_sdk.guardrails.detectors import PiiDetector, SecretsDetector, _secrets_detector
    from llmops_sdk.guardrails.detectors.pii import _pii
    from llmops_sdk.guardrails.normalise import Decoding, Read, reading, views

from disguises import DISGUISES

CONTEXT = GuardContext(rail="output")
KEY = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
VALUES = ("ada@example.org", "4242 " * 3 + "4242", KEY, "+1 212 555 0147", "203.0.113.7", "536-22-1234")
PIECES = (
    *(" ", "  ", "\n", "\t", "word ", "words of prose ", "a ", "x", "task-force ", "KeyError", "SG.", "AKIA", "eyJ"),
    *("@", "example", ".org", ".", "born ", "3 May 1980 ", "call ", "14 ", "Crown ", "Street ", "Bearer ", "sk-", '"'),
    *("password=", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "(", ")", "-", "_", "=", "1", "42"),
    *("%40", "%25", "%", "&#64;", "&amp;", "&", ";", "\\u0040", "\\n", "\\", "YWRhQGV4YW1wbGUub3Jn", "QUJD"),
    *("\u200b", "\u0301", "\u00ad", "\uff20", "\u3002", "\u0417", "\u041e", "\u2013", "\u2019", "\ud800", "\U000e0041"),
    *VALUES,
    *(DISGUISES[name](value) for name in DISGUISES for value in VALUES[:3]),
)
DETECTORS = (PiiDetector(), SecretsDetector())


def _places(detector: Any, text: str, offset: int = 0) -> list[tuple[str, int, int]]:
    found = detector.detect(text, CONTEXT).findings
    return [(one.kind, one.start + offset, one.end + offset) for one in found]


def _read_all(text: str, *rest: Any) -> Read | None:
    return partial(views, decoding=rest[-1] if isinstance(rest[-1], Decoding) else None)


def check(text: str, split: int) -> None:
    """Check one text.

    Args:
        text: The text.
        split: Where a stream has got to.
    """
    for view in views(text):
        mapped = [view.original(at, at + 1) for at in range(len(view.text))]
        assert mapped == sorted(mapped), ("order", text)
        assert all(0 <= start < end <= len(text) for start, end in mapped), ("range", text)
    for detector in DETECTORS:
        found = _places(detector, text)
        bounds = [place for _, start, end in found for place in (start, end)]
        assert bounds == sorted(bounds), ("overlap", detector.name, text)
        cut = detector.settled(text[:split])
        parts = _places(detector, text[:cut]) + _places(detector, text[cut:], cut)
        assert parts == found, ("settled", detector.name, split, text)
        _pii.reading = _secrets_detector.reading = _read_all
        slow = _places(detector, text)
        _pii.reading = _secrets_detector.reading = reading
        assert slow == found, ("quick", detector.name, text)
        guard = DetectorGuard(detector, "redact")
        left = guard.check(text, CONTEXT).text
        again = {kind for kind, _, _ in _places(detector, left)} if left is not None else set[str]()
        if again & {kind for kind, _, _ in found}:
            REDACTED_TWICE.add(text)


REDACTED_TWICE: set[str] = set()
"""Texts with two findings of one kind of which the first hid the second. They are told, and do not stop the fuzzer."""


def one_input(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    pieces: list[str] = []
    while provider.remaining_bytes() > 2 and len(pieces) < 60:
        choice = provider.ConsumeIntInRange(0, len(PIECES) + 7)
        pieces.append(PIECES[choice] if choice < len(PIECES) else provider.ConsumeUnicode(3))
    text = "".join(pieces)
    check(text, provider.ConsumeIntInRange(0, len(text)))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
