"""Turn texts into vectors, and find the nearest of many: offline with a table in the package, or with a model.

numpy is needed, which the extra `embeddings` installs, and imported at the first use.

Doors for other packages: `_vectors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.embeddings._callable import CallableEmbedder
    from llmops_sdk.embeddings._index import Match, VectorIndex
    from llmops_sdk.embeddings._open import open_embedder
    from llmops_sdk.embeddings._protocol import AsyncEmbedder, Embedder
    from llmops_sdk.embeddings._provider_embedder import ProviderEmbedder
    from llmops_sdk.embeddings._sentence_transformers import SentenceTransformersEmbedder
    from llmops_sdk.embeddings._static import StaticEmbedder, vocabulary

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_callable": "CallableEmbedder",
        "_index": "Match VectorIndex",
        "_open": "open_embedder",
        "_protocol": "AsyncEmbedder Embedder",
        "_provider_embedder": "ProviderEmbedder",
        "_sentence_transformers": "SentenceTransformersEmbedder",
        "_static": "StaticEmbedder vocabulary",
    },
)

__all__ = [
    "AsyncEmbedder",
    "CallableEmbedder",
    "Embedder",
    "Match",
    "ProviderEmbedder",
    "SentenceTransformersEmbedder",
    "StaticEmbedder",
    "VectorIndex",
    "open_embedder",
    "vocabulary",
]
