"""The static embedder: its file, its vectors, its bounds."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmops_sdk
from llmops_sdk.embeddings import Embedder, StaticEmbedder, open_embedder, vocabulary
from llmops_sdk.embeddings._static import MAX_CHARACTERS, MAX_TOKENS
from llmops_sdk.embeddings._static_table import Header, Table, load, pack, unpack

STATIC = open_embedder("static")


def similarity(first: str, second: str) -> float:
    one, other = STATIC.embed([first, second])
    return float(one @ other)


@given(st.lists(st.text(st.characters(), max_size=30), max_size=5))
def test_rows_have_unit_length_and_depend_on_their_text_alone(texts: list[str]):
    rows = STATIC.embed(texts)

    assert rows.shape == (len(texts), 256)
    assert rows.dtype == np.float32
    assert np.allclose((rows * rows).sum(axis=1), 1, atol=1e-5)
    for row, text in zip(rows, texts, strict=True):
        assert np.array_equal(row, STATIC.embed([text])[0])


def test_similar_questions_are_near_and_others_are_not():
    assert similarity("Where is my card?", "where's my card") > 0.7
    assert similarity("Where is my card?", "How do I close my account?") < 0.6
    assert similarity("I lost my phone", "My phone was stolen") > 0.5


def test_identity_names_version_and_dimension():
    version = load().header.version

    assert STATIC.identity == f"static@{version}#256"
    assert STATIC.dimension == 256
    assert isinstance(STATIC, Embedder)
    assert open_embedder("static") is STATIC


def test_another_table_of_the_same_dimension_has_another_identity():
    table = load()
    other = StaticEmbedder(table._replace(header=dataclasses.replace(table.header, version="2.0")))

    assert other.dimension == STATIC.dimension
    assert other.identity != STATIC.identity


def test_the_vector_is_the_weighted_sum_of_the_tokens():
    table = load()
    places = [table.tokens.index(word) for word in ("lost", "card")]
    expected = sum(table.rows[place].astype("float64") * table.scales[place] for place in places)

    found = STATIC.embed(["lost card"])[0]
    assert np.allclose(found, expected / np.linalg.norm(expected), atol=1e-6)


def test_unknown_words_differ_from_each_other():
    assert similarity("🦖", "🦕") < 0.3
    assert similarity("🦖", "🦖 ") == pytest.approx(1)
    assert similarity("send 🦖", "send 🦕") < 0.9
    assert similarity("", "\n\u200b") == pytest.approx(1)
    assert abs(similarity("", "Where is my card?")) < 0.3
    assert similarity("x" * 101, "x" * 102) < 0.3


def test_common_words_weigh_less_than_rare_ones():
    assert similarity("the refund of the invoice", "refund invoice") > 0.85


def test_only_the_first_part_of_a_long_text_counts():
    long = "refund " * (MAX_CHARACTERS // 7 + 1)

    assert np.array_equal(*STATIC.embed([long, long + "card card"]))
    tokens = "card " * MAX_TOKENS
    assert np.array_equal(*STATIC.embed([tokens, tokens + "refund"]))
    assert not np.array_equal(*STATIC.embed([tokens, tokens[: 5 * (MAX_TOKENS - 1)] + "refund"]))


def test_threads_get_the_same_vectors():
    texts = [f"question {number} about card {number % 7}" for number in range(200)]
    expected = STATIC.embed(texts)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: STATIC.embed([text])[0], texts))
    assert np.array_equal(np.stack(found), expected)


@pytest.mark.parametrize("texts", ["one text", b"bytes", ["a", None], [b"a"]])
def test_texts_must_be_a_list_of_strings(texts):
    with pytest.raises(TypeError, match=r"texts"):
        STATIC.embed(texts)


def test_vocabulary_has_words():
    words = vocabulary()

    assert {"debt", "centre", "center", "prescription", "history", "receipt", "card"} <= words
    assert words.isdisjoint({"perscription", "invioce", "histroy", "##ing", "?", "a", "Card", "2023"})
    assert 18_000 < len(words) < 30_000


def test_file_is_small_and_its_version_is_its_digest():
    data = pack(load())

    assert len(data) <= 8_000_000
    again = unpack(data)
    assert again.header == load().header
    assert np.array_equal(again.rows, load().rows)
    assert not again.rows.flags.writeable
    assert not again.scales.flags.writeable
    assert not any(token.startswith("[") and len(token) > 1 for token in again.tokens)


SMALL = Table(
    Header(version="1", tokens=2, dimension=3, vocabulary_bytes=5, unknown_norm=1.0),
    ("ab", "##"),
    np.array([0.5, 2], "float32"),
    np.array([[1, -2, 3], [-128, 0, 127]], "int8"),
)


def test_a_file_is_read_as_it_was_written():
    read = unpack(pack(SMALL))

    assert read[:2] == SMALL[:2]
    assert np.array_equal(read.scales, SMALL.scales)
    assert np.array_equal(read.rows, SMALL.rows)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        pack(SMALL)[:-1],
        pack(SMALL) + b"\0",
        pack(SMALL).replace(b"static-1", b"static-2"),
        b"[]\n",
        b"\x80\n",
    ],
    ids=["empty", "no line", "cut", "longer", "another form", "a list", "not text"],
)
def test_other_files_are_refused(data: bytes):
    with pytest.raises(ValueError, match="install the package again"):
        unpack(data)


def test_embedding_imports_no_model_library():
    program = (
        "import sys, llmops_sdk.embeddings as e; before = set(sys.modules); assert 'numpy' not in before\n"
        "e.open_embedder('static').embed(['Where is my card?'])\n"
        "print(sorted({'litellm', 'openai', 'tokenizers', 'torch', 'usearch', 'tiktoken'} & set(sys.modules)))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": str(Path(llmops_sdk.__file__).parents[1])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout == "[]\n"


def test_token_rows_add_up_to_the_vector_of_the_text():
    embedder = open_embedder("static")
    for text in ("Where is my card?", "qzxj \u2603\u2603 refund", "", "a " * 6_000):
        rows = embedder.embed_tokens(text)
        assert rows.shape[1] == embedder.dimension
        if len(rows):
            total = rows.sum(axis=0)
            assert embedder.embed([text])[0] @ total / (total @ total) ** 0.5 > 0.9999
    assert len(embedder.embed_tokens("")) == 0
