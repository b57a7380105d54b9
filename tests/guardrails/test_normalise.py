"""Views of a text behind its disguises map back to the text as written."""

from __future__ import annotations

import base64
import time

import pytest
from disguises import DISGUISES
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.guardrails.normalise import views

ADDRESS = "ada.lovelace@example.org"


def texts(text: str) -> list[str]:
    return [view.text for view in views(text)]


@pytest.mark.parametrize("text", ["", "a", "Plain words, and no more.", "x = {'a': [1, 2]}  # code", "5 May\n1 pm"])
def test_plain_ascii_has_one_view(text: str):
    assert texts(text) == [text]


@pytest.mark.parametrize("name", DISGUISES)
def test_a_view_shows_the_address_and_maps_it_to_the_disguised_one(name: str):
    hidden = DISGUISES[name](ADDRESS)
    text = f"(write to {hidden} please)"
    view = next(view for view in views(text) if ADDRESS in view.text)
    start = view.text.index(ADDRESS)
    begin, end = view.original(start, start + len(ADDRESS))
    # The range may leave out what is invisible at its end.
    assert text[begin:end].strip("\u200b\u00ad") in hidden
    assert end - begin >= len(hidden) - 2


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("caf&eacute; &#x40; &commat;", "caf\u00e9 @ @"),
        ("%C3%A9%40%2540", "\u00e9@@"),
        ("\\u0040 \\x40 \\\\u0040 \\/", "@ @ @ /"),
        ("\\ud835\\udc1a", "a"),
        ("&amp;#64; %2526%23", "@ &#"),
        ("4\u0417 1\u041e1 \u0417\u0430", "43 101 \u0417a"),
        ("\u0660\u0661\u0969\U0001d7d8", "0130"),
        ("a\u2013b\u2014c\u2212d", "a-b-c-d"),
    ],
    ids=ascii,
)
def test_characters_and_escapes_have_their_plain_reading(text: str, view: str):
    assert view in texts(text)


def test_base64_in_base64_is_read_and_deeper_ones_are_not():
    once = base64.b64encode(ADDRESS.encode()).decode()
    twice = base64.b64encode(once.encode()).decode()
    thrice = base64.b64encode(twice.encode()).decode()
    assert ADDRESS in texts(once)
    assert ADDRESS in texts(twice)
    assert ADDRESS not in texts(thrice)


def test_a_part_of_base64_maps_to_the_smallest_groups():
    code = base64.b64encode(b"Hello my dear, " + ADDRESS.encode()).decode()
    view = next(view for view in views(f"see {code}!") if view.is_decoded)
    assert view.original(0, 3) == (4, 8)
    assert view.original(3, 7) == (8, 16)
    assert view.original(0, len(view.text)) == (4, 4 + len(code))


@pytest.mark.parametrize("text", ["see you at home\nfoo.bar is a name", "a b c", "one, two\nthree"])
def test_separate_words_are_not_joined(text: str):
    assert not any(view.is_guess for view in views(text))


PIECES = [
    *(
        "a",
        "Z",
        "9",
        " ",
        "\n",
        "@",
        ".",
        "-",
        "%40",
        "%C3%A9",
        "%E4",
        "&#64;",
        "&commat;",
        "&amp;",
        "&",
        "\\u0040",
        "\\",
    ),
    *(
        "\u200b",
        "\u00ad",
        "\uff20",
        "\ufb01",
        "\u0430",
        "\u0417",
        "\U000e0041",
        "\U0001d41a",
        "\ud800",
        "\x00",
        "YWRhQGV4YW1wbGU",
    ),
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_every_range_maps_into_the_text_and_keeps_its_order(text: str):
    for view in views(text):
        places = [view.original(at, at + 1) for at in range(len(view.text))]
        assert all(0 <= start < end <= len(text) for start, end in places)
        assert places == sorted(places)
        if view.text:
            assert view.original(0, len(view.text)) == (places[0][0], places[-1][1])


@pytest.mark.parametrize(
    "piece",
    ["%41", "&#65;", "\\u0041", "a\u200b", "\\", "%25", "&amp;", "a ", "aB ", "a@ ", "AbC9", "\n", "\ud800", "aa\n"],
)
def test_half_a_megabyte_takes_linear_time(piece: str):
    text = piece * (500_000 // len(piece))
    began = time.thread_time()
    for _ in views(text):
        pass
    # Seconds of this thread's own work; what is quadratic takes minutes.
    assert time.thread_time() - began < 15
