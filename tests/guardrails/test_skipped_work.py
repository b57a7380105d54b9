"""What detectors skip because a cheap test says so: the long way finds the same."""

from __future__ import annotations

import base64
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.us import ssn

from llmops_sdk.guardrails.detectors import _card_runs
from llmops_sdk.guardrails.detectors._cards import find_cards
from llmops_sdk.guardrails.detectors.links._url_scan import scan
from llmops_sdk.guardrails.detectors.pii import _pii_numbers, _pii_words
from llmops_sdk.guardrails.normalise import _base64_runs, _quick_search, not_ascii

SIGNS = st.text("ada.b-+_@ ()[]{}AT4:/\nw", max_size=60)
LOCAL = "a" * 70


@settings(max_examples=300)
@given(SIGNS.map(lambda text: f"{text} {'words and ' * 30}") | SIGNS)
def test_addresses_are_found_from_their_signs_as_by_a_search_of_the_text(text: str):
    plain, spaced = _pii_words._at_signs(text)
    assert [one.span() for one in plain] == [one.span() for one in _pii_words._EMAIL.finditer(text)]
    if not _pii_words._BRACKETS_AT.search(text):
        assert [one.span() for one in spaced] == [one.span() for one in _pii_words._SPACED_EMAIL.finditer(text)]


@pytest.mark.parametrize("size", [1, 63, 64, 65, 66, 67, 70])
def test_the_longest_address_is_found_from_its_sign(size: int):
    text = f"see {LOCAL[:size]}@example.org or {LOCAL[:size]}  @ example.org now"
    plain, spaced = _pii_words._at_signs(text)
    assert len(plain) == (size <= 64)
    assert len(spaced) == 2 * (size <= 64)


@given(st.from_regex(r"[0-9]{3}([- ]?)[0-9]{2}\1[0-9]{4}", fullmatch=True))
def test_numbers_of_social_security_are_valid_as_by_stdnum(number: str):
    assert _pii_numbers._is_us_ssn(number) == ssn.is_valid(number.replace(" ", "-"))


@pytest.mark.parametrize(
    "number", ["078-05-1120", "457-55-5462", "219-09-9999", "000-12-3456", "666-12-3456", "987-65-4321", "123-00-4567"]
)
def test_a_number_that_nobody_has_is_no_number_of_social_security(number: str):
    assert not _pii_numbers._is_us_ssn(number)
    assert not ssn.is_valid(number)


@settings(max_examples=300)
@given(st.text("0123456789 \t-_.x", max_size=80))
def test_runs_that_are_long_enough_for_a_card_are_those_of_a_search_of_all(text: str):
    long_enough = [
        one.span() for one in _card_runs.RUN.finditer(text) if one.end() - one.start() >= _card_runs.SHORTEST
    ]
    found = [one.span() for one in _card_runs.ASCII_RUN.finditer(text)]
    assert [one for one in found if one[1] - one[0] >= _card_runs.SHORTEST] == long_enough


@given(st.text("4242 -", max_size=60))
def test_a_card_in_ascii_is_found_as_in_another_text(text: str):
    assert find_cards(text) == find_cards(text + "\u00e9")


@given(st.text("[]()!:/\\ .wWmMailtohps\n\u0131", max_size=60))
def test_brackets_that_lead_nowhere_have_no_places(text: str):
    assert sorted(scan(text, is_finished=True).places) == sorted(scan(text).places)


@given(st.binary(min_size=6, max_size=80))
def test_base64_whose_first_byte_begins_no_text_holds_none(data: bytes):
    body = base64.b64encode(data).decode().rstrip("=")
    expected = None
    try:
        text = data.decode()
        expected = None if _base64_runs.UNPRINTABLE.search(text) else text
    except UnicodeDecodeError:
        pass
    assert _base64_runs.text_of(body) == expected


@pytest.mark.parametrize("alphabet", [b"+/", b"-_"])
@pytest.mark.parametrize("size", [3000, 4608, 5001])
@pytest.mark.parametrize(
    "text", ["", "ask ada@example.org " * 26, "ask ada@example.org " * 120, "caf\u00e9 " * 420], ids=len
)
def test_text_between_bytes_in_a_long_run_is_told_by_its_letters(alphabet: bytes, size: int, text: str):
    data = random.Random(size).randbytes(size)
    data += text.encode() + data[: size // 2 + 1]
    run = base64.b64encode(data, alphabet).rstrip(b"=")
    data = data[: len(run) // 4 * 3]
    expected = None
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        size_of_block = _quick_search._BLOCK
        blocks = [data[at : at + size_of_block] for at in range(0, len(data), size_of_block)]
        if any(map(_quick_search._is_text, blocks)):
            expected = data.translate(_quick_search._ASCII_ONLY, _quick_search._CONTINUATION).decode()
    assert _quick_search._text_in(run) == expected
    assert expected is not None or len(text) < 2000


@given(st.text())
def test_characters_that_are_not_ascii_are_told(text: str):
    assert not_ascii(text) == "".join(re.findall(r"[^\x00-\x7f]", text))
