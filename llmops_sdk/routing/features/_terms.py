"""Words and pairs of words as numbers of hash buckets: a saved router has no word of anybody's prompt."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

from llmops_sdk.embeddings._vectors import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["BUCKETS", "Terms", "buckets_of"]

BUCKETS = 1 << 18
"""How many buckets there are."""
_MOST_TERMS = 20_000
_LEAST_TEXTS = 2


def buckets_of(words: Sequence[str]) -> Counter[int]:
    """Return how often each bucket of words and pairs of neighbours occurs.

    Args:
        words: The words of a text, in order.
    """
    if not words:
        return Counter()
    # Words have no spaces. Lone surrogates have no encoding. Lists are counted faster than generators.
    encoded = " ".join(words).encode(errors="replace").split(b" ")
    pairs = [crc32(first + b" " + second) % BUCKETS for first, second in itertools.pairwise(encoded)]
    return Counter([crc32(word) % BUCKETS for word in encoded] + pairs)


class Terms:
    """The buckets that count, and the weight of each: rare ones weigh more (TF-IDF with unit length).

    Args:
        columns: The column of each bucket that counts.
        weights: The weight of each column.
    """

    def __init__(self, columns: dict[int, int], weights: NDArray[np.float64]) -> None:
        self.columns = columns
        self.weights = weights

    @classmethod
    def fit(cls, texts: Iterable[Counter[int]], count: int) -> Terms:
        """Choose the buckets that occur in the most texts, and at least in two.

        Args:
            texts: The buckets of each text.
            count: How many texts there are.
        """
        seen: Counter[int] = Counter()
        for buckets in texts:
            seen.update(buckets.keys())
        chosen = sorted(
            (one for one, times in seen.items() if times >= _LEAST_TEXTS), key=lambda one: (-seen[one], one)
        )
        chosen = chosen[:_MOST_TERMS]
        weights = numpy().array([math.log((1 + count) / (1 + seen[one])) + 1 for one in chosen])
        return cls({bucket: column for column, bucket in enumerate(chosen)}, weights)

    def row(self, buckets: Counter[int]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the columns of a text, and their values.

        Args:
            buckets: The buckets of the text.
        """
        np = numpy()
        known = [(self.columns[one], times) for one, times in buckets.items() if one in self.columns]
        columns = np.array([column for column, _ in known], dtype=np.intp)
        values = (1 + np.log(np.array([times for _, times in known], dtype=np.float64))) * self.weights[columns]
        length = float(np.sqrt(values @ values))
        return columns, values / length if length else values
