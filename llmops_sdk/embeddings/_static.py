"""The embedder in the package: the mean of a vector for each token, without a network and without a model library."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._public import public
from llmops_sdk.embeddings._static_table import Table, load
from llmops_sdk.embeddings._vectors import checked_texts, numpy
from llmops_sdk.embeddings._wordpiece import WordPieces

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["MAX_CHARACTERS", "MAX_TOKENS", "StaticEmbedder", "open_static", "vocabulary"]

MAX_CHARACTERS = 32_768
"""The embedder reads so many characters of a text, the first ones."""
MAX_TOKENS = 4_096
"""It uses so many tokens of them."""

_TOKENS_AT_ONCE = 128  # their rows fit into a fast cache, and the product is too small to be spread over threads


@public("llmops_sdk.embeddings")
class StaticEmbedder:
    """Adds up one vector for each token: about 20 µs for a short question, linear in the length.

    The vectors come from all-MiniLM-L6-v2. Word order does not count: "from savings to current" and "from current to
    savings" get the same vector. A word that the vocabulary cannot spell gets a vector made from its hash, so that
    two texts of unknown words are not alike unless the words are. The first 32,768 characters and 4,096 tokens count.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._pieces = WordPieces(table.tokens)
        self._numpy = numpy()

    @property
    def identity(self) -> str:
        """Return the name, version and dimension."""
        return f"static@{self._table.header.version}#{self.dimension}"

    @property
    def dimension(self) -> int:
        """Return the length of a vector."""
        return self._table.header.dimension

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return one row of unit length for each text.

        Args:
            texts: The texts; an empty list gives no rows.

        Raises:
            TypeError: `texts` is a string, or has something else than strings.
        """
        texts = checked_texts(texts)
        found = self._numpy.zeros((len(texts), self.dimension), "float32")
        for row, text in zip(found, texts, strict=True):
            self._fill(row, text)
        return found

    def embed_tokens(self, text: str, /) -> NDArray[np.float32]:
        """Return one row for each token of a text, in no unit length: the rows that `embed` adds up.

        A text without tokens and without words gives no rows. Words that have no tokens come last.

        Args:
            text: The text, cut like that of `embed`.
        """
        np, table = self._numpy, self._table
        tokens, unknown = self._pieces.split(text[:MAX_CHARACTERS], MAX_TOKENS)
        known = table.scales[tokens, None] * table.rows[tokens].astype("float32")
        return np.concatenate([known, *(self._hashed(word)[None] for word in unknown)])

    def _fill(self, row: Any, text: str) -> None:
        np, table = self._numpy, self._table
        tokens, unknown = self._pieces.split(text[:MAX_CHARACTERS], MAX_TOKENS)
        for begin in range(0, len(tokens), _TOKENS_AT_ONCE):
            part = tokens[begin : begin + _TOKENS_AT_ONCE]
            row += table.scales[part] @ table.rows[part].astype("float32")
        for word in unknown if tokens or unknown else ("",):
            row += self._hashed(word)
        length = float(np.dot(row, row)) ** 0.5
        if length < 1e-4:  # opposite vectors, which no text of words has
            row[:] = self._hashed(text[:MAX_CHARACTERS])
            length = table.header.unknown_norm
        row /= length

    def _hashed(self, word: str) -> Any:
        """Return a vector for a word that has no tokens, of the length that a rare token has."""
        np, header = self._numpy, self._table.header
        units = hashlib.shake_256(word.encode("utf-8", "surrogatepass")).digest(header.dimension)
        found = np.frombuffer(units, "int8").astype("float32")
        return found * np.float32(header.unknown_norm / float(np.dot(found, found)) ** 0.5)


@functools.cache
def open_static() -> StaticEmbedder:
    """Return the embedder of the table in the package; the table is read once."""
    return StaticEmbedder(load())


@functools.cache
def vocabulary() -> frozenset[str]:
    """Return the words that the static embedder knows as whole words: lower case, letters only, at least two.

    A word in it is spelled right, or a name, an abbreviation or a foreign word. A word that is missing can still be
    right: "refund" and "invoice" are, which the embedder spells with two tokens. Words have no accents.

    Raises:
        MissingDependencyError: numpy is not installed.

    Example:
        >>> from llmops_sdk.embeddings import vocabulary
        >>> [word in vocabulary() for word in ("receipt", "history", "histroy")]
        [True, True, False]
    """
    return frozenset(token for token in load().tokens if len(token) > 1 and token.isalpha())
