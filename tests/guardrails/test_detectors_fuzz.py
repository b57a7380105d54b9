"""Any text: a detector does not raise, its findings are in order, and a stream loses nothing at any split."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_sdk.guardrails import DetectorGuard, GuardContext
from llmops_sdk.guardrails.detectors._canary import CanaryDetector
from llmops_sdk.guardrails.detectors._grounded import GroundedDetector
from llmops_sdk.guardrails.detectors._json import JsonDetector
from llmops_sdk.guardrails.detectors._language import LanguageDetector
from llmops_sdk.guardrails.detectors._length import LengthDetector
from llmops_sdk.guardrails.detectors.links._exfiltration import ExfiltrationDetector
from llmops_sdk.guardrails.detectors.words._profanity import ProfanityDetector
from llmops_sdk.guardrails.detectors.words._topics import TopicsDetector

pytest.importorskip("json_repair")
pytest.importorskip("py3langid")

TOKEN = "q7w2xk4mzp"
CONTEXT = GuardContext(rail="output", documents=("Ada Lovelace wrote 42 notes in 1843.", ""))
PIECES: dict[str, tuple[Any, str]] = {
    "exfiltration": (
        ExfiltrationDetector(("good.io",)),
        """![ [ ] ( ) < > " ' ! : / \\ // https:// evil.io good.io ?q=c2VjcmV0LXRv #a2VuLTEyMzQ1 ]( ][ ]: [1]: ![1] <img
        src= href= <a on url( @import javascript: data:text/html, <script </script> www. mailto: &lt; &quot; &#10; &amp;
        = \u200b \uff1c a @ -- . style=""",
    ),
    "canary": (
        CanaryDetector((TOKEN,)),
        f"""{TOKEN} {TOKEN[:5]} {TOKEN[5:]} {TOKEN[::-1]} {TOKEN[:4:-1]} {TOKEN[4::-1]} q7 w2x k4m zp Q7W2 XK4MZP %71
        %37w2 {TOKEN.encode().hex()} 71377732 786b346d7a70 {base64.b64encode(TOKEN.encode()).decode()}
        cTd3MnhrNG 16enA= &#113;
        \\u0071 %2571 %25 %2 & &amp; &# \\u \u200b - . _ \uff51 q 7 \u00e9""",
    ),
    "length": (LengthDetector(max_chars=40, max_tokens=10, min_chars=2), "a be the \u00e9 \ud800"),
    "json": (JsonDetector(dict[str, int]), """{ } [ ] , : "a" 1 true ' ``` ```json \\ // \ud800 NaN -"""),
    "topics": (
        TopicsDetector(
            ["new york", "new york city hall", "caf\u00e9", "\u5317\u4eac", "c++", "york x"], ["new york city"]
        ),
        "new york city hall york x NEW new\u200b cafe\u0301 \u5317 \u4eac c c+ c++ + ne - . _ \u00df \u0301",
    ),
    "profanity": (
        ProfanityDetector({"darn": 0.2, "dar ned": 1}),
        "darn d4rn daaarn d4 rn dar ned n3d NED DARN a 4 - . \u200b \u00e0",
    ),
    "language": (LanguageDetector(), "where is my card wo ist meine karte ``` https:// @ \u5317 \ud800 \u00e9"),
    "grounded": (
        GroundedDetector(),
        'Ada Lovelace wrote notes in 1843 1,843 Bob . ! ? " ) \u3002 .a 1. \u0301 \u00e9 the',
    ),
}
SPACES = [" ", "\n", "\n\n", "\t"]


def texts(name):
    pieces = st.sampled_from([*PIECES[name][1].split(), *SPACES])
    return st.lists(pieces | st.text(max_size=3), max_size=24).map("".join)


def check_findings(text, found):
    places = [place for one in found.findings for place in (one.start, one.end)]
    assert places == sorted(places)
    assert all(one.start < one.end for one in found.findings)
    assert not places or (places[0] >= 0 and places[-1] <= len(text))
    assert not found.findings or found.found
    assert found.score is None or 0 <= found.score <= 1


@pytest.mark.parametrize("name", PIECES)
@settings(deadline=None)
@given(st.data())
def test_any_text_gives_findings_in_order(name, data):
    detector = PIECES[name][0]
    text = data.draw(texts(name) | st.text(st.characters(exclude_categories=())))
    check_findings(text, detector.detect(text, CONTEXT))


@pytest.mark.parametrize("name", [name for name, (detector, _) in PIECES.items() if hasattr(detector, "settled")])
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_settled_beginning_and_the_rest_give_the_same_as_the_whole(name, data):
    guard = DetectorGuard(PIECES[name][0], "redact")
    text = data.draw(texts(name))
    split = data.draw(st.integers(0, len(text)))
    place = guard.settled(text[:split])
    assert 0 <= place <= split

    def left(part):
        verdict = guard.check(part, CONTEXT)
        return part if verdict.text is None else verdict.text

    assert left(text[:place]) + left(text[place:]) == left(text)


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "\udfff\ud800 ", "\U0010ffff", "\u0130\u1e9e", "a" * 100_000])
def test_odd_texts_do_not_raise(name, text):
    detector = PIECES[name][0]
    check_findings(text, detector.detect(text, CONTEXT))
    if hasattr(detector, "settled"):
        assert 0 <= detector.settled(text) <= len(text)
