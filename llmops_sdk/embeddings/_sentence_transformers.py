"""A sentence-transformers model in a folder as an embedder; the one module that loads that library."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public
from llmops_sdk.embeddings._checked import CheckedEmbedder
from llmops_sdk.errors import ConfigError

__all__ = ["SentenceTransformersEmbedder"]

_BATCH = 256
_PART = 1 << 20
_MOST_FILES = 1_000


@public("llmops_sdk.embeddings")
class SentenceTransformersEmbedder(CheckedEmbedder):
    """Runs a model of sentence-transformers from a folder. It downloads nothing and runs no code of the model.

    The identity has a digest of every file in the folder, so that a changed model is another embedder.

    Args:
        folder: The folder with the model, as `SentenceTransformer.save` writes it.

    Raises:
        ConfigError: The folder is not there, or is no model.
        MissingDependencyError: sentence-transformers is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "modules.json").is_file():
            raise ConfigError(
                f'"{folder}" is not the folder of a sentence-transformers model: it has no modules.json. Save one '
                "with SentenceTransformer.save; models are not downloaded",
                key="embedder",
                value=str(folder),
            )
        library = require(
            "sentence_transformers", extra="sentence-transformers", purpose="The embedder sentence-transformers"
        )
        super().__init__(f"sentence-transformers:{folder.name}@{_digest(folder)}", batch=_BATCH)
        self._model: Any = library.SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False)
        self._model_lock = threading.Lock()

    def _ask(self, texts: list[str]) -> Any:
        with self._model_lock:  # its tokenizer must not be shared by threads
            return self._model.encode(texts, convert_to_numpy=True, show_progress_bar=False)


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) > _MOST_FILES:
        raise ConfigError(f'"{folder}" has {len(files):,} files: give the folder of one model', key="embedder")
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode("utf-8", "replace"))
        with path.open("rb") as file:
            while part := file.read(_PART):
                digest.update(part)
    return digest.hexdigest()[:12]
