"""The splitting of texts into tokens, against the library tokenizers."""

from __future__ import annotations

import time
import unicodedata
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from llmops_sdk.embeddings._static_table import load
from llmops_sdk.embeddings._wordpiece import _FOLDING, _REMEMBERED, WordPieces, split_words

# Characters that both know: newer ones are unassigned to one of them.
CHARACTERS = st.characters(codec="utf-8").filter(lambda char: unicodedata.ucd_3_2_0.category(char) != "Cn")
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=40),
    st.text(
        st.sampled_from("aAßéÉİςΣ1²½ \t\n\r\0\x0b\x1c\x85\u200b\u2028\ufffd.,-_$€’中가각힣が\u0301\u0344²ﬁ😀"),
        max_size=40,
    ),
    st.lists(st.sampled_from(load().tokens[::97]), max_size=8).map(" ".join),
    st.lists(st.sampled_from(load().tokens[::89]), max_size=4).map(lambda words: "".join(words).replace("##", "")),
)


@cache
def reference() -> Tokenizer:
    tokens = [*load().tokens, "[UNK]"]
    numbers = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


@cache
def pieces() -> WordPieces:
    return WordPieces(load().tokens)


@given(TEXTS)
def test_tokens_are_those_of_the_library(text: str):
    ids = reference().encode(text).ids
    tokens, unknown = pieces().split(text, 10_000)

    missing = len(load().tokens)
    assert tokens == [one for one in ids if one != missing]
    assert len(unknown) == ids.count(missing)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop!", ["don", "'", "t", "stop", "!"]),
        ("Café £5, naïve", ["cafe", "£5", ",", "naive"]),
        ("東京 tower", ["東", "京", "tower"]),
        ("a\x00b\u200bc", ["abc"]),
        (" \t\n", []),
        ("\ud800x", ["x"]),  # half of a pair
    ],
)
def test_words(text: str, words: list[str]):
    assert split_words(text) == words


def test_rare_words_are_split_from_the_left():
    tokens, unknown = pieces().split("unarchivable 🦖 " + "x" * 101, 100)

    assert [load().tokens[one] for one in tokens] == ["una", "##rch", "##iva", "##ble"]
    assert unknown == ["🦖", "x" * 101]


def test_tokens_are_limited():
    tokens, unknown = pieces().split("unarchivable 🦖 " * 50, 10)

    assert len(tokens) + len(unknown) <= 11
    assert len(tokens) <= 10


def test_characters_of_every_script_do_not_fill_the_memory():
    text = "".join(chr(code) for code in range(0x3400, 0x3400 + 40_000) if not 0xD800 <= code < 0xE000)
    split_words(text)

    assert len(_FOLDING) <= _REMEMBERED


@pytest.mark.parametrize(
    "text",
    ["x", "é", "\u0301\u0315", "\U0001d165\U0001d16d", "abcdefghij" * 9 + " ", "中"],
    ids=["one word", "accents", "marks", "musical marks", "words without tokens", "chinese"],
)
def test_crafted_texts_take_linear_time(text: str):
    text = (text * (32_768 // len(text) + 1))[:32_768]
    begin = time.thread_time()
    pieces().split(text, 4_096)

    assert time.thread_time() - begin < 5  # a quadratic step takes minutes; this takes 20 ms
