"""The detector of personal data: what it finds, behind which disguises, and where a stream can be cut."""

from __future__ import annotations

import time
from typing import Any

import pytest
from disguises import DISGUISES, PAIRS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from split_texts import assert_parts_are_the_whole, places
from stdnum import iban, luhn

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import GuardContext
from llmops_sdk.guardrails.detectors import _stretches
from llmops_sdk.guardrails.detectors.pii._pii import KINDS, PiiDetector

INPUT = GuardContext(rail="input")
ALL = PiiDetector(kinds=tuple(KINDS))
ADDRESS = "ada.lovelace@example.org"
IBAN = "DE" + iban.calc_check_digits("DE00" + "500105175407324931") + "500105175407324931"


def found(text: str, detector: PiiDetector = ALL) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in detector.detect(text, INPUT).findings]


def grouped(number: str) -> str:
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


@pytest.mark.parametrize(
    ("kind", "value", "around"),
    [
        ("EMAIL", ADDRESS, "write to {}, please"),
        ("EMAIL", "j\u00fcrgen@m\u00fcller.example", "an {} schreiben"),
        ("EMAIL", "ada @ example . org", "write to {} please"),
        ("EMAIL", "ada [at] example [dot] org", "write to {} please"),
        ("PHONE", "+1 212-555-0147", "see {} or not"),
        ("PHONE", "(212) 555-0147", "it is {} there"),
        ("PHONE", "555 0147", "call me at {} today"),
        ("PHONE", "+49 (0)30 901820", "or {} in Berlin"),
        ("PHONE", "020 7946 0958", "or {} in London"),
        ("IBAN", IBAN, "to {} now"),
        ("IBAN", grouped(IBAN), "to {} now"),
        ("IBAN", IBAN.lower(), "to {} now"),
        ("US_SSN", "536-22-1234", "her SSN {} is"),
        ("US_SSN", "536221234", "social security number {} is"),
        ("IP", "203.0.113.7", "from {} today"),
        ("IP", "2001:db8::8a2e:370:7334", "from {} today"),
        ("URL", "https://example.org/a?b=c", "see {}, or"),
        ("URL", "www.example.org", "see {}."),
        ("DATE_OF_BIRTH", "3 May 1980", "she was born on {} in Rome"),
        ("DATE_OF_BIRTH", "05/03/1980", "DOB: {}"),
        ("DATE_OF_BIRTH", "1980-05-03", "{} is my birthday"),
        ("ADDRESS", "14 Crown Street", "lives at {} in Leeds"),
        ("ADDRESS", "Hauptstra\u00dfe 12a", "wohnt {} in Bonn"),
        ("ADDRESS", "12 rue de la Paix", "habite {} \u00e0 Paris"),
        ("ADDRESS", "Calle Mayor 5", "vive en {} en Madrid"),
        ("NATIONAL_ID", "756.9217.0769.85", "AHV {} of"),
        ("NATIONAL_ID", "390.533.447-05", "CPF {} of"),
        ("NATIONAL_ID", "131052-308T", "hetu {} of"),
        ("NATIONAL_ID", "RCCMNL83S18D969H", "cf {} of"),
    ],
)
def test_each_kind_is_found(kind: str, value: str, around: str):
    assert found(around.format(value)) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "no data here",
        "version 10.0.0.1, logo@2x.png, 12:30:45, std::a::b",
        "on 2024-05-03 at 10:15:00 we had 1,234,567 rows of 99.95 %",
        "order 1234567890, ticket 20240503, in 3.14159265358979",
        "3 May 1980 was a Saturday",
        "GB99HXDO88167774656119",
        "git@github.com:a/b and a.b.c",
        "390.533.447-06",
        "000-12-3456",
    ],
)
def test_other_text_is_left_alone(text: str):
    assert found(text, PiiDetector()) == []


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_does_not_hide_an_address_or_a_card(name: str, card: str):
    for kind, value in (("EMAIL", ADDRESS), ("CARD", grouped(card))):
        hidden = DISGUISES[name](value)
        text = f"Please note {hidden} for later"
        ((found_kind, place),) = found(text, PiiDetector())
        assert found_kind == kind
        assert len(place) >= 0.9 * len(hidden)
        assert place in hidden


@pytest.mark.thorough
def test_most_pairs_of_disguises_do_not_hide_an_address_or_a_card(card: str):
    for kind, value in (("EMAIL", ADDRESS), ("CARD", grouped(card))):
        hidden = [DISGUISES[second](DISGUISES[first](value)) for first, second in PAIRS]
        seen = [kind in dict(found(f"Please note {text} for later", PiiDetector())) for text in hidden]
        assert sum(seen) >= 0.95 * len(PAIRS)


def test_a_telephone_number_right_before_a_card_is_found(card: str):
    text = f"+1 212 555 0147 {grouped(card)}"
    assert found(text) == [("PHONE", "+1 212 555 0147"), ("CARD", grouped(card))]


def test_kinds_and_regions_are_options():
    text = f"{ADDRESS} or call 020 7946 0958"
    assert found(text, PiiDetector(kinds=("email",))) == [("EMAIL", ADDRESS)]
    assert found("it is 020 7946 0958 there", PiiDetector(regions=("us",))) == []
    assert PiiDetector().version != PiiDetector(regions=("US",)).version
    for wrong in ({"kinds": ("EMAILS",)}, {"kinds": "EMAIL"}, {"regions": ("USA",)}, {"regions": "US"}):
        with pytest.raises(ConfigError):
            PiiDetector(**wrong)


def test_the_reason_does_not_quote_the_text():
    detection = ALL.detect(f"{ADDRESS} and {ADDRESS}, 203.0.113.7", INPUT)
    assert (detection.found, detection.reason) == (True, "2 EMAIL, 1 IP")


PIECES = [
    *(
        " ",
        "  ",
        "\n",
        "word",
        "a",
        "I",
        "x",
        "of",
        "well-known",
        "word.",
        "(see",
        "\u043c\u0438\u0440",
        "\u6211\u4eec\u3002",
        "\u2019s",
    ),
    *(ADDRESS, "ada", "@", "example", ".org", "born", "on", "3 May 1980", "call", "555 0147", "+1 212 555 0147", IBAN),
    *(
        "14",
        "Crown",
        "Street",
        "4242",
        "203.0.113.7",
        "%40",
        "\u200b",
        "\u00a0",
        "&#64;",
        "YWRhQGV4YW1wbGUub3Jn",
        "1",
        "-",
    ),
    *("\ud800", "https://example.org", "averyveryverylongword", "l", "i", "\\u0040", "536-22-1234"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=20).map(lambda pieces: " ".join(pieces)) | st.lists(
    st.sampled_from(PIECES), max_size=20
).map("".join)


@given(TEXTS)
@example(f"a l i c e @ e x a m p l e . o r g today {ADDRESS}")
@example(f"I am born today. On 3 May 1980 I was {ADDRESS}, and\nthe address 14 Crown Street is x y")
@settings(max_examples=15)
def test_a_text_can_be_cut_where_it_is_settled_at_every_split(text: str):
    assert_parts_are_the_whole(ALL, text, range(len(text) + 1))


@given(TEXTS, st.integers(0, 3))
@settings(max_examples=15)
def test_a_long_text_can_be_cut_where_it_is_settled(text: str, kind: int):
    piece = (text or "1")[:200]
    filler = [
        f"{piece} ",
        f"{piece}\n",
        piece.replace(" ", ",").replace("\n", ";"),
        f"{piece} and then no more words ",
    ][kind]
    whole = filler * (700 // len(filler) + 1)
    patched = pytest.MonkeyPatch()
    with patched.context() as patch:
        patch.setattr(_stretches, "LONGEST_STRETCH", 320)
        patch.setattr(_stretches, "_EDGE", 16)
        assert_parts_are_the_whole(ALL, whole, range(0, len(whole) + 1, 37))


def test_prose_is_released_after_few_words():
    text = "Well, here is some prose of words that tell nothing at all, and goes on"
    assert len(text[ALL.settled(text) :].split()) <= 3
    text = f"Write to {ADDRESS} today or tomorrow, or never, if you like that better"
    assert len(text[ALL.settled(text) :].split()) <= 3


@given(st.text(max_size=200))
def test_it_takes_any_text(text: str):
    order = [place for one in places(ALL, text) for place in one[1:3]]
    assert order == sorted(order)
    assert all(0 <= place <= len(text) for place in order)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "piece",
    ["a.", "1-", "@", "a@", "1 ", "a ", "{", "%41", "a\u200b", "\\", ":", "AbC9", "+12125550147 ", "\x00", "\ud800"],
)
def test_half_a_megabyte_takes_linear_time(piece: str):
    text = piece * (500_000 // len(piece))
    began = time.thread_time()
    ALL.detect(text, INPUT)
    ALL.settled(text)
    # Seconds of this thread's own work; what is quadratic takes hours.
    assert time.thread_time() - began < 20


def test_a_card_stays_a_card_at_every_place_of_a_long_table(card: str):
    rows = "".join(f"{number},name{number}@example.org,{card}\n" for number in range(2000))
    kinds: list[Any] = [one.kind for one in PiiDetector(kinds=("EMAIL", "CARD")).detect(rows, INPUT).findings]
    assert kinds == ["EMAIL", "CARD"] * 2000
    assert luhn.is_valid(card)
