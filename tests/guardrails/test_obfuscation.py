"""Ways to hide an address, a card and a key: the detectors find each, and redaction replaces just what hides it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from disguises import DISGUISES
from stdnum import luhn

from llmops_sdk.guardrails import DetectorGuard, GuardContext
from llmops_sdk.guardrails.detectors import PiiDetector, SecretsDetector

INPUT = GuardContext(rail="input")
_NAMES = {"@": "&commat;", ".": "&period;", "_": "&lowbar;", "-": "&hyphen;", " ": "&nbsp;"}
MORE: dict[str, Callable[[str], str]] = {
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(one):x};" for one in text),
    "html, names": lambda text: "".join(_NAMES.get(one, one) for one in text),
    "percent twice": lambda text: quote(quote(text, safe="").replace("_", "%5F")),
    "bytes of Python": lambda text: "".join(f"\\x{ord(one):02x}" for one in text),
    "combining marks": "\u0301".join,
    "variation selectors": "\ufe0f".join,
    "bidirectional controls": lambda text: "\u202a\u202c".join(text),
    "circled": lambda text: "".join(chr(0x24D0 + ord(one) - 97) if "a" <= one <= "z" else one for one in text),
    "sans-serif digits": lambda text: "".join(chr(0x1D7E2 + int(one)) if one.isdigit() else one for one in text),
    "html in percent": lambda text: quote("".join(f"&#{ord(one)};" for one in text)),
}
WAYS = {**DISGUISES, **MORE}
CARD = "4242 4242 4242 424" + luhn.calc_check_digit("424242424242424")
VALUES: dict[str, tuple[Any, str]] = {
    "EMAIL": (PiiDetector(), "ada.lovelace@example.org"),
    "CARD": (PiiDetector(), CARD),
    "SECRET": (SecretsDetector(), "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("way", WAYS)
def test_redaction_replaces_what_hides_a_value_and_nothing_else(way: str, kind: str):
    detector, value = VALUES[kind]
    hidden = WAYS[way](value)
    around = [("Please note ", " for later"), ("(", ")"), ("first line\n", "\nlast line")]
    if kind == "CARD" and "line break" in way:
        around.pop()  # two lines of digits alone are columns of a table
    for before, after in around:
        verdict = DetectorGuard(detector, "redact").check(before + hidden + after, INPUT)
        # What is invisible at the end of a value may stay.
        assert verdict.text is not None
        left = verdict.text.removeprefix(f"{before}[{kind}]").removesuffix(after)
        assert len(left) <= 2, (before, len(left))
        assert not any(one.isalnum() for one in left)
