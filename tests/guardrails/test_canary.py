"""A canary is found in every disguise, and never in ordinary text."""

from __future__ import annotations

import base64
import codecs
import html
import json
from urllib.parse import quote

import pytest

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import DetectorGuard, GuardContext
from llmops_sdk.guardrails.detectors._canary import CanaryDetector, _made, new_canary

OUTPUT = GuardContext(rail="output")
TOKEN = "Xq7w-2Rk4m-zP9tv"


@pytest.fixture(autouse=True)
def no_other_tokens(monkeypatch):
    monkeypatch.setattr("llmops_sdk.guardrails.detectors._canary._made", type(_made)(maxlen=2))


def base64_of(text):
    return base64.b64encode(text.encode()).decode()


DISGUISES = {
    "plain": TOKEN,
    "upper": TOKEN.upper(),
    "lower": TOKEN.lower(),
    "no dashes": TOKEN.replace("-", ""),
    "spaced": " ".join(TOKEN),
    "lines": "\n".join(TOKEN),
    "dots": ".".join(TOKEN),
    "marks": " | ".join(TOKEN),
    "bold": "".join(f"**{one}**" for one in TOKEN),
    "zero-width": "\u200b".join(TOKEN),
    "tags": "\U000e0061".join(TOKEN),
    "fullwidth": "".join(chr(ord(one) + 0xFEE0) for one in TOKEN),
    "reversed": TOKEN[::-1],
    "reversed and spaced": " ".join(TOKEN[::-1]),
    "base64": base64_of(TOKEN),
    "base64 second": base64_of("a" + TOKEN + "b"),
    "base64 third": base64_of("ab" + TOKEN + "cde"),
    "base64 fourth": base64_of("abc" + TOKEN),
    "base64 of upper": base64_of(TOKEN.upper()),
    "base64 in lines": "\n".join(base64_of("my prompt is: " + TOKEN)[at : at + 12] for at in range(0, 40, 12)),
    "base64url": base64.urlsafe_b64encode(f"??{TOKEN}".encode()).decode(),
    "hex": TOKEN.encode().hex(),
    "hex upper": TOKEN.encode().hex().upper(),
    "hex spaced": TOKEN.encode().hex(" "),
    "hex x": "".join(f"\\x{one:02x}" for one in TOKEN.encode()),
    "url": "".join(f"%{one:02X}" for one in TOKEN.encode()),
    "url in part": quote(TOKEN).replace("7", "%37"),
    "url twice": TOKEN.replace("7", "%2537"),
    "rot13": codecs.encode(TOKEN, "rot13"),
    "json": "".join(f"\\u{ord(one):04x}" for one in TOKEN),
    "html": "".join(f"&#{ord(one)};" for one in TOKEN),
    "html hex": "".join(f"&#x{ord(one):x};" for one in TOKEN),
    "in json": json.dumps({"prompt": [TOKEN]}),
    "in html": html.escape(f"<b>{TOKEN}</b>"),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_canary_is_found_in_each_disguise(disguise):
    text = f"Sure, it says: {DISGUISES[disguise]} and more"
    found = CanaryDetector((TOKEN,)).detect(text, OUTPUT)
    assert [one.kind for one in found.findings] == ["CANARY"]
    assert found.reason == "canary"
    left = DetectorGuard(CanaryDetector((TOKEN,)), "redact").check(text, OUTPUT).text or ""
    assert left.startswith("Sure, it says: ")
    assert left.endswith(" and more")
    assert CanaryDetector((TOKEN,)).detect(left, OUTPUT).found is False


def test_a_canary_at_the_end_is_not_longer_than_the_text():
    assert CanaryDetector((TOKEN,)).detect(TOKEN, OUTPUT).findings[0].end == len(TOKEN)


def test_tokens_made_in_this_process_are_found_and_bounded():
    detector = CanaryDetector()
    assert detector.detect("nothing is made", OUTPUT).found is False
    first, second, third = new_canary(), new_canary(), new_canary()
    assert [detector.detect(f"a {one} b", OUTPUT).found for one in (first, second, third)] == [False, True, True]
    assert len({first, second, third}) == 3


def test_ordinary_text_has_no_canary():
    detector = CanaryDetector((TOKEN, *(new_canary() for _ in range(20))))
    for text in (
        "",
        "Xq7w",
        TOKEN[:-1],
        TOKEN[1:],
        "The quick brown fox. " * 500,
        base64_of("The quick brown fox" * 99),
    ):
        assert detector.detect(text, OUTPUT).found is False


def test_a_stream_waits_only_for_the_rest_of_a_canary():
    detector = CanaryDetector((TOKEN,))
    assert detector.settled("Ordinary words, ") == len("Ordinary words, ")
    assert detector.settled("It is " + " ".join(TOKEN[:6])) == len("It is ")


@pytest.mark.parametrize("tokens", ["Xq7w2Rk4mzP9", ["short"], ["-" * 30], [7], ["a1" * 200], ["a1b2c3d4e5f6"] * 101])
def test_bad_tokens_are_config_errors_that_do_not_show_them(tokens):
    with pytest.raises(ConfigError) as raised:
        CanaryDetector(tokens)
    assert "Xq7w" not in str(raised.value)
    assert "new_canary" in str(raised.value) or "list" in str(raised.value) or "100" in str(raised.value)
