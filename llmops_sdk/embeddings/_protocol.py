"""The interface of every embedder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from llmops_sdk._util._public import public

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["AsyncEmbedder", "Embedder"]


@public("llmops_sdk.embeddings")
@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors whose inner products say how similar the texts are.

    Many threads may call one embedder at once.
    """

    @property
    def identity(self) -> str:
        """Return the name, version and dimension, as in "static@1.7c31f0aa#256".

        Vectors are comparable only if their identities are equal. It belongs into every key under which vectors or
        decisions about them are stored.
        """
        ...

    @property
    def dimension(self) -> int:
        """Return the length of a vector."""
        ...

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return one row of unit length for each text.

        Args:
            texts: The texts; an empty list gives no rows.

        Raises:
            EmbeddingError: The vectors are not usable.
            ProviderError: A model could not be called.
        """
        ...


@public("llmops_sdk.embeddings")
@runtime_checkable
class AsyncEmbedder(Embedder, Protocol):
    """An embedder that waits for a network and can do so without blocking the event loop."""

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return one row of unit length for each text, async; see `embed`."""
        ...
