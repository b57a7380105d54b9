"""Read the features of prompts: a vector, the form, and the buckets of their words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from llmops_sdk.embeddings import Embedder
from llmops_sdk.embeddings._vectors import numpy, unit_rows
from llmops_sdk.routing.features._asked import asked_text
from llmops_sdk.routing.features._form import form_of, words_of
from llmops_sdk.routing.features._terms import buckets_of

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["Features", "Prompt", "read_features"]

Prompt: TypeAlias = "str | Sequence[Mapping[str, Any]]"
_BATCH = 512
_CLOSE = 1e-4


@dataclass(frozen=True, slots=True)
class Features:
    """The features of some prompts, one row each."""

    vectors: NDArray[np.float32]
    forms: NDArray[np.float64]
    buckets: list[Counter[int]]

    def __len__(self) -> int:
        return len(self.buckets)

    def take(self, rows: NDArray[np.intp]) -> Features:
        """Return the features of some of the prompts."""
        return Features(self.vectors[rows], self.forms[rows], [self.buckets[row] for row in rows])


def read_features(embedder: Embedder, prompts: Sequence[Prompt]) -> Features:
    """Return the features of prompts, of what a person asks in each.

    Args:
        embedder: Turns texts into vectors.
        prompts: Texts, or messages in the OpenAI chat shape.
    """
    np = numpy()
    texts = [asked_text(prompt) for prompt in prompts]
    words = [words_of(text) for text in texts]
    parts: list[Any] = []
    for begin in range(0, len(texts), _BATCH):
        batch = texts[begin : begin + _BATCH]
        # An empty text says nothing, and not every embedder takes it: a word stands for it.
        rows = embedder.embed([one if one.strip() else "empty" for one in batch])
        # One row of unit length, as every embedder should give, needs no long check: that of a live call.
        if len(rows) != 1 or len(batch) != 1 or not abs(float(rows[0] @ rows[0]) - 1) < _CLOSE:
            rows = unit_rows(rows, source="router", rows=len(batch))
        parts.append(rows)
    return Features(
        (parts[0] if len(parts) == 1 else np.concatenate(parts)) if parts else np.zeros((0, 1), "float32"),
        np.array([form_of(text, some) for text, some in zip(texts, words, strict=True)], dtype=np.float64),
        [buckets_of(some) for some in words],
    )
