"""Open the embedder of a specification."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from llmops_sdk.config import current, resolve_model
from llmops_sdk.embeddings._protocol import Embedder
from llmops_sdk.errors import ConfigError

__all__ = ["open_embedder"]

_FORMS = ("static", "litellm", "sentence-transformers")
_EXAMPLES = '"static", "litellm:openai/text-embedding-3-small" or "sentence-transformers:FOLDER"'


def open_embedder(
    spec: str | Embedder | Callable[[list[str]], Sequence[Sequence[float]] | Any] = "static",
    *,
    name: str | None = None,
) -> Embedder:
    """Return the embedder that a specification names.

    Opening sends no request.

    Args:
        spec: "static", the table in the package; "litellm:MODEL", where MODEL is a model as in `llmops.embed`;
            "sentence-transformers:FOLDER"; a function that returns a vector for each text of a list; or an embedder,
            which is returned as it is.
        name: A name for a function, which must change whenever its vectors do; see `CallableEmbedder`.

    Raises:
        ConfigError: There is no such embedder, or it cannot be set up like this.
        MissingDependencyError: numpy or the embedder's library is not installed.

    Example:
        >>> from llmops_sdk.embeddings import open_embedder
        >>> embedder = open_embedder("static")
        >>> question, same, other = embedder.embed(["Where is my card?", "where's my card", "Close my account"])
        >>> bool(question @ same > 0.6 > question @ other)
        True
    """
    if not isinstance(spec, str):
        if _is_embedder(spec):
            return _unnamed(cast("Embedder", spec), name)
        if not callable(spec):
            raise ConfigError(
                f"an embedder is {_EXAMPLES} or a function, not {type(spec).__name__}", key="embedder", value=repr(spec)
            )
        from llmops_sdk.embeddings._callable import CallableEmbedder

        return CallableEmbedder(spec, name)
    form, _, rest = spec.partition(":")
    if spec == "static":
        from llmops_sdk.embeddings._static import open_static

        return _unnamed(open_static(), name)
    if form == "litellm" and rest:
        from llmops_sdk.embeddings._provider_embedder import ProviderEmbedder
        from llmops_sdk.providers import open_provider

        resolved = resolve_model(current(), rest)
        return _unnamed(ProviderEmbedder(resolved, open_provider(resolved)), name)
    if form == "sentence-transformers" and rest:
        from llmops_sdk.embeddings._sentence_transformers import SentenceTransformersEmbedder

        return _unnamed(SentenceTransformersEmbedder(Path(rest).expanduser()), name)
    close = next(iter(difflib.get_close_matches(form.lower(), _FORMS, n=1, cutoff=0.5)), None)
    hint = f'; did you mean "{close}"?' if close not in {None, form} else ""
    raise ConfigError(
        f'there is no embedder "{spec}"{hint}: use {_EXAMPLES}', key="embedder", value=spec, nearest=close
    )


def _is_embedder(spec: Any) -> bool:
    # `isinstance` of Python 3.11 would read the properties, and `dimension` may send a request.
    missing = object()
    members = ("identity", "dimension", "embed")
    return all(inspect.getattr_static(spec, member, missing) is not missing for member in members)


def _unnamed(embedder: Embedder, name: str | None) -> Embedder:
    if name is not None:
        raise ConfigError("only a function can be given a name: other embedders have one", key="name", value=name)
    return embedder
