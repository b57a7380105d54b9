"""A vector for each token of a text, which BERTScore and MoverScore compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public
from llmops_sdk.embeddings import StaticEmbedder, open_embedder
from llmops_sdk.errors import ConfigError, EmbeddingError

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["TokenEmbedder", "TokenVectors", "token_vectors"]

_BATCH = 64
_PREFIX = "sentence-transformers:"


@public("llmops_sdk.evals.metrics")
class TokenVectors(NamedTuple):
    """The tokens of a text.

    Attributes:
        vectors: A row for each token, of any length above 0.
        counted: Whether each token counts; those that begin and end a text may be found but do not count, as in
            bert-score. None counts all.
    """

    vectors: Any
    counted: Sequence[bool] | None = None


TokenEmbedder = str | Callable[[list[str]], Sequence[Any]]
"""The name of an embedder, or a function that returns a `TokenVectors` or a table of rows for each text of a list."""


def token_vectors(texts: list[str], embedder: TokenEmbedder) -> list[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Return the rows of unit length of each text, and which of them count.

    Raises:
        ConfigError: There is no such embedder.
        EmbeddingError: The vectors are not usable.
        MissingDependencyError: numpy or the embedder's library is not installed.
    """
    np = require("numpy", extra="evals", purpose="bert_score")
    if callable(embedder):
        found = list(embedder(list(texts)))
    elif embedder == "static":
        static = open_embedder("static")
        assert isinstance(static, StaticEmbedder)
        found = [static.embed_tokens(text) for text in texts]
    elif embedder.startswith(_PREFIX) and embedder != _PREFIX:
        found = _from_model(texts, Path(embedder[len(_PREFIX) :]).expanduser())
    else:
        raise ConfigError(
            f'there are no vectors of tokens by "{embedder}": give "static", "{_PREFIX}FOLDER" or a function',
            key="embedder",
            value=embedder,
        )
    if len(found) != len(texts):
        raise EmbeddingError(f"{len(found)} tables of tokens came back for {len(texts)} texts", source="tokens")
    return [_checked(np, one) for one in found]


def _checked(np: Any, given: Any) -> tuple[Any, Any]:
    rows, counted = given if isinstance(given, TokenVectors) else (given, None)
    table = np.asarray(rows, dtype="float64")
    if table.size == 0:
        return np.zeros((0, 1)), np.zeros(0, dtype=bool)
    lengths = np.sqrt((table * table).sum(axis=-1)) if table.ndim == 2 else np.zeros(1)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise EmbeddingError("the vectors of tokens are no table of finite rows that are not zero", source="tokens")
    mask = np.ones(len(table), dtype=bool) if counted is None else np.asarray(counted, dtype=bool)
    if mask.shape != (len(table),):
        raise EmbeddingError(f"{len(table)} tokens have {mask.size} marks of what counts", source="tokens")
    return table / lengths[:, None], mask


def _from_model(texts: list[str], folder: Path) -> list[TokenVectors]:
    if not (folder / "modules.json").is_file():
        raise ConfigError(
            f'"{folder}" is not the folder of a sentence-transformers model: it has no modules.json. Save one with '
            "SentenceTransformer.save; models are not downloaded",
            key="embedder",
            value=str(folder),
        )
    library = require("sentence_transformers", extra="sentence-transformers", purpose=f"The embedder {_PREFIX}FOLDER")
    model: Any = library.SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False)
    special = set(model.tokenizer.all_special_ids)
    found: list[TokenVectors] = []
    for begin in range(0, len(texts), _BATCH):
        part = texts[begin : begin + _BATCH]
        rows = model.encode(part, output_value="token_embeddings", show_progress_bar=False)
        for text, one in zip(part, rows, strict=True):
            numbers = model.tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"]
            found.append(TokenVectors(one.cpu().numpy(), [number not in special for number in numbers]))
    return found
