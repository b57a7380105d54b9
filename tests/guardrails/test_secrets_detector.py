"""The detector of secrets: the formats of the redaction, behind disguises, and where a stream can be cut."""

from __future__ import annotations

import email
import time
from pathlib import Path

import pytest
from disguises import DISGUISES, PAIRS
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_secrets import PlantedSecret, planted_secrets
from split_texts import assert_parts_are_the_whole

from llmops_sdk.guardrails import GuardContext
from llmops_sdk.guardrails.detectors import _stretches
from llmops_sdk.guardrails.detectors._secrets_detector import SecretsDetector

INPUT = GuardContext(rail="input")
SECRETS = planted_secrets()
DETECTOR = SecretsDetector()
KEY = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in DETECTOR.detect(text, INPUT).findings]


@pytest.mark.parametrize("planted", SECRETS, ids=lambda planted: planted.name)
def test_each_format_is_found(planted: PlantedSecret):
    for around in ("{}", "see {} now", "line\n{}\nnext", "\u00e9 ({})"):
        text = around.format(planted.text)
        ((kind, place),) = found(text)
        assert kind == "SECRET", around
        assert DETECTOR.detect(text, INPUT).reason == f"1 {planted.kind}", around
        assert planted.core in place, around


def test_the_formats_are_of_many_vendors():
    assert len({planted.kind for planted in SECRETS}) >= 25


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_does_not_hide_a_key(name: str):
    hidden = DISGUISES[name](KEY)
    ((kind, place),) = found(f"Please note {hidden} for later")
    assert kind == "SECRET"
    assert len(place) >= 0.9 * len(hidden)


def test_most_pairs_of_disguises_do_not_hide_a_key():
    hidden = [DISGUISES[second](DISGUISES[first](KEY)) for first, second in PAIRS]
    assert sum(bool(found(f"Please note {text} for later")) for text in hidden) >= 0.95 * len(PAIRS)


def test_ordinary_code_and_text_have_no_secret():
    library = Path(email.__file__).parents[1]
    docs = Path(__file__).parents[2] / "docs"
    lines = 0
    for path in [*sorted(library.glob("*.py"))[:40], *docs.glob("*.md")]:
        text = path.read_text("utf-8")
        lines += text.count("\n")
        assert found(text) == [], path.name
    assert lines > 10_000


def test_the_reason_does_not_quote_the_text():
    detection = DETECTOR.detect(f"{KEY} and {KEY}", INPUT)
    assert (detection.found, detection.reason) == (True, "2 github_token")


PIECES = [
    *(
        " ",
        "\n",
        "word",
        "a",
        "x",
        "of",
        "task-force",
        "\u200b",
        "%20",
        "\\n",
        "=",
        '"',
        ": ",
        "12",
        "aB3",
        "-----BEGIN PRIVATE KEY-----",
    ),
    *(
        KEY,
        KEY[:20],
        KEY[20:],
        "sk-",
        "Bearer",
        "authorization:",
        '"password": "',
        "-----END PRIVATE KEY-----",
        "\u2026",
        "\ud800",
    ),
    *(planted.text for planted in SECRETS[::6]),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join) | st.lists(
    st.sampled_from(PIECES), max_size=25
).map("".join)


@given(TEXTS)
@settings(max_examples=15)
def test_a_text_can_be_cut_where_it_is_settled_at_every_split(text: str):
    assert_parts_are_the_whole(DETECTOR, text, [*range(min(len(text), 250)), len(text)])


@given(TEXTS, st.integers(0, 2))
@settings(max_examples=15)
def test_a_long_text_can_be_cut_where_it_is_settled(text: str, kind: int):
    piece = (text or "1")[:250]
    filler = [f"{piece} ", piece.replace(" ", ",").replace("\n", ";"), f"{piece} and then no more words "][kind]
    whole = filler * (900 // len(filler) + 1)
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(_stretches, "LONGEST_STRETCH", 320)
        patch.setattr(_stretches, "_EDGE", 16)
        assert_parts_are_the_whole(DETECTOR, whole, range(0, len(whole) + 1, 37))


@pytest.mark.parametrize(
    "piece", ["a.", "1-", "@", "sk-", "-----BEGIN PRIVATE KEY----- ", "\\", "AbC9", '"password": "', "Bearer "]
)
def test_half_a_megabyte_takes_linear_time(piece: str):
    text = piece * (500_000 // len(piece))
    began = time.thread_time()
    DETECTOR.detect(text, INPUT)
    DETECTOR.settled(text)
    # Seconds of this thread's own work; what is quadratic takes hours.
    assert time.thread_time() - began < 20
