"""A model behind a provider as an embedder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._public import public
from llmops_sdk.config import ResolvedModel, Timeout
from llmops_sdk.embeddings._checked import CheckedEmbedder
from llmops_sdk.providers import Provider, Request

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["ProviderEmbedder"]

_BATCH = 256  # texts of one request; OpenAI takes 2,048, others fewer


@public("llmops_sdk.embeddings")
class ProviderEmbedder(CheckedEmbedder):
    """Asks a model for vectors, up to 256 texts at a time. It does not retry and is not traced.

    Args:
        resolved: The model with its settings.
        provider: The provider that serves it.
        timeout: Time limits of one request in seconds, or None for those of the model.
    """

    def __init__(self, resolved: ResolvedModel, provider: Provider, *, timeout: Timeout | None = None) -> None:
        super().__init__(_name(resolved), batch=_BATCH)
        self._provider = provider
        self._request = Request(model=resolved.model, messages=(), timeout=timeout)

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return one row of unit length for each text, async; see `embed`."""
        parts: list[NDArray[np.float32]] = []
        for part in self._parts(texts):
            answer = await self._provider.aembed(part, self._request)
            parts.append(self._checked(answer.vectors, len(part)))
        return self._joined(parts)

    def close(self) -> None:
        """Release connections; further calls may fail."""
        self._provider.close()

    def _ask(self, texts: list[str]) -> Any:
        return self._provider.embed(texts, self._request).vectors


def _name(resolved: ResolvedModel) -> str:
    """Return the model, and a digest of the server and the options if there are any: they can change the vectors."""
    rest = sorted((key, repr(value)) for key, value in resolved.options.items())
    if not rest and resolved.base_url is None:
        return f"litellm:{resolved.model}"
    digest = hashlib.sha256(repr((resolved.base_url, rest)).encode("utf-8", "replace")).hexdigest()[:12]
    return f"litellm:{resolved.model}@{digest}"
