"""What embedders share that ask something foreign for vectors: every answer is checked, and the dimension stays."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from llmops_sdk.embeddings._vectors import checked_texts, numpy, unit_rows

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["CheckedEmbedder"]

_PROBE = "dimension"


class CheckedEmbedder(ABC):
    """Checks the vectors of a subclass, which asks for them in `_ask`.

    The dimension is that of the first vectors. Who asks for `dimension` or `identity` before has one short text
    embedded.

    Args:
        name: The name that begins the identity.
        batch: The most texts to ask for at once.
    """

    def __init__(self, name: str, *, batch: int) -> None:
        self._name = name
        self._batch = batch
        self._dimension: int | None = None
        self._lock = threading.Lock()
        numpy()  # what is not installed is found here, not at the first text

    @property
    def identity(self) -> str:
        """Return the name and the dimension."""
        return f"{self._name}#{self.dimension}"

    @property
    def dimension(self) -> int:
        """Return the length of a vector."""
        if self._dimension is None:
            self.embed([_PROBE])
        assert self._dimension is not None
        return self._dimension

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return one row of unit length for each text.

        Args:
            texts: The texts; an empty list gives no rows.

        Raises:
            EmbeddingError: The vectors are not usable.
            TypeError: `texts` is a string, or has something else than strings.
        """
        return self._joined([self._checked(self._ask(part), len(part)) for part in self._parts(texts)])

    @abstractmethod
    def _ask(self, texts: list[str]) -> Any:
        """Return the vectors of some texts, unchecked."""

    def _parts(self, texts: Sequence[str]) -> Iterator[list[str]]:
        found = checked_texts(texts)
        return (found[begin : begin + self._batch] for begin in range(0, len(found), self._batch))

    def _checked(self, vectors: Any, rows: int) -> NDArray[np.float32]:
        found = unit_rows(vectors, source=self._name, rows=rows, dimension=self._dimension)
        with self._lock:
            first, self._dimension = self._dimension is None, self._dimension or found.shape[1]
        # Another thread may have been first, with vectors of another length.
        return found if first else unit_rows(found, source=self._name, rows=rows, dimension=self._dimension)

    def _joined(self, parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        np = numpy()
        return np.concatenate(parts) if parts else np.zeros((0, self._dimension or 0), "float32")
