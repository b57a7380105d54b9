"""The card guard finds disguised card numbers and ignores other numbers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from llmops_sdk.guardrails import CardGuard, GuardContext
from llmops_sdk.guardrails.detectors._cards import _ISSUERS, find_cards

INPUT = GuardContext(rail="input")
ISSUED = [(first, length) for first, _, lengths in _ISSUERS for length in lengths]
SEPARATORS = [
    " ",
    "-",
    "\u00a0",
    "\u2009",
    "\u202f",
    "\u3000",
    "\u2010",
    "\u2013",
    "\u2014",
    "\u2212",
    "\uff0d",
    "\t",
    "_",
]
INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", " \u200b", "\u200b-\u200b"]


def made(prefix, length, filler="3141592653589793238"):
    body = (prefix + filler)[: length - 1]
    return body + luhn.calc_check_digit(body)


@pytest.mark.parametrize(("prefix", "length"), ISSUED)
def test_cards_of_every_issuer_and_length_are_found(prefix, length):
    number = made(prefix, length)
    assert find_cards(f"pay {number} now") == [(4, 4 + length, number)]


@pytest.mark.parametrize(("prefix", "length"), ISSUED)
def test_a_wrong_check_digit_is_not_a_card(prefix, length):
    number = made(prefix, length)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert find_cards(wrong) == []


@pytest.mark.parametrize("gap", [*SEPARATORS, *INVISIBLE], ids=ascii)
def test_separators_between_digits_do_not_hide_a_card(card, gap):
    for text in (gap.join(card[n : n + 4] for n in range(0, 16, 4)), gap.join(card)):
        assert CardGuard().check(f"No: {text}, thanks", INPUT).text == "No: [CARD], thanks"


@pytest.mark.parametrize("zero", ["\uff10", "\u0660", "\u0966", "\U0001d7ce"], ids=ascii)
def test_cards_in_digits_of_other_scripts_are_found(card, zero):
    text = "".join(chr(ord(zero) + int(digit)) for digit in card)
    assert find_cards(f"x {text} y") == [(2, 18, card)]


def test_redaction_hits_the_original_text(number):
    one, other = number("4"), number("37", 15)
    text = f"ﬁ é {one[:4]}\u200b {one[4:]} 😀 {other}."
    verdict = CardGuard().check(text, INPUT)
    assert verdict.text == "ﬁ é [CARD] 😀 [CARD]."
    assert [text[one.start : one.end].strip() for one in verdict.findings] == [f"{one[:4]}\u200b {one[4:]}", other]
    assert verdict.reason == "2 card numbers"
    assert one not in repr((verdict.reason, verdict.text))


def test_keep_last4_and_block(card):
    assert CardGuard(keep_last4=True).check(card, INPUT).text == f"[CARD {card[-4:]}]"
    blocked = CardGuard("block").check(card, INPUT)
    assert (blocked.action, blocked.text, blocked.reason) == ("block", None, "1 card number")
    with pytest.raises(ValueError, match="redact"):
        CardGuard("drop")


def test_surrounding_text_does_not_hide_a_card(card):
    for text in (
        f"card{card}",
        f"{card}x",
        f"no.{card}",
        f"({card})",
        f"{card}.",
        f"{card},00",
        f"\n{card}\n",
        f"{card} 12/27 123",
    ):
        assert card not in CardGuard().check(text, INPUT).text, text
    assert CardGuard().check(f"2026 {card} 7", INPUT).text == "2026 [CARD] 7"
    assert CardGuard().check(f"{card} {card}", INPUT).text == "[CARD] [CARD]"


@pytest.mark.parametrize(
    "text",
    ["", "no digits", "2026-11-23 10:11:12.123456", "1700000000000000000", "tel. +49 151 23456789", "10.0.0.1"],
)
def test_other_numbers_are_left_alone(text):
    assert CardGuard().check(text, INPUT).action == "pass"


def test_fractions_and_longer_numbers_are_not_cards(card):
    for text in (f"0.{card}", f"-3.{card}e-5", f"1,{card}", f"{card}{card}", f"7{card}", f"1234567{card}"):
        assert find_cards(text) == [], text


def test_an_international_telephone_number_is_not_a_card():
    assert find_cards("+" + made("49", 13)) == []
    assert find_cards(made("49", 13)) != []


@given(st.text(alphabet=st.sampled_from("0123456789 -.\u200b\uff14ax+,"), max_size=200))
def test_it_never_crashes_and_spans_are_in_order(text):
    cards = find_cards(text)
    places = [place for start, end, _ in cards for place in (start, end)]
    assert places == sorted(places)
    for start, end, digits in cards:
        assert 12 <= len(digits) <= 19
        assert luhn.is_valid(digits)
        assert text[start].isdecimal()
        assert text[end - 1].isdecimal()


@given(st.text(alphabet="ab .,\n", max_size=20), st.text(alphabet="ab .\n", max_size=20), st.sampled_from(ISSUED))
def test_a_card_is_found_at_any_position(before, after, issued):
    number = made(*issued)
    assert find_cards(before + number + after) == [(len(before), len(before) + len(number), number)]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "piece", ["1-", "4-", "a.", "@", "4 ", "41", "4\u200b", "4111-", "3 7-", "\u200b", " ", "4111 1111 "]
)
def test_a_megabyte_takes_linear_time(piece):
    text = piece * (1_000_000 // len(piece))
    began = time.thread_time()
    find_cards(text)
    # Seconds of this thread's own work; what is quadratic takes hours.
    assert time.thread_time() - began < 8
