"""Load a text classifier in the ONNX format with its tokenizer; the one module that uses both libraries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops_sdk._util._guard import Caught
from llmops_sdk._util._optional import require
from llmops_sdk.errors import ConfigError

__all__ = ["OnnxModel", "Window", "load"]

_FILES = ("model.onnx", "onnx/model.onnx", "model_quantized.onnx", "onnx/model_quantized.onnx")
_PADDING = ("[PAD]", "<pad>")
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text for the model.

    Attributes:
        ids: The numbers of its tokens.
        start: Where it starts in the text, in characters.
        end: Where it ends.
    """

    ids: Sequence[int]
    start: int
    end: int


class OnnxModel:
    """A classifier and its tokenizer. Many threads may use it at once.

    Attributes:
        labels: The labels by the number of the output, as far as they are known.
        outputs: How many outputs there are.
        digest: A digest of the model's file.
    """

    def __init__(self, session: Any, tokenizer: Any, labels: dict[int, str], digest: str) -> None:
        self._session, self._tokenizer = session, tokenizer
        self.labels, self.digest = labels, digest
        self._inputs = [one.name for one in session.get_inputs()]
        if unknown := set(self._inputs) - _INPUTS:
            raise ConfigError(f"the model has an input {min(unknown)!r}: give a classifier of texts")
        names = [one.name for one in session.get_outputs()]
        self._output = "logits" if "logits" in names else names[0]
        known = (tokenizer.token_to_id(one) for one in _PADDING)
        self._pad = next((number for number in known if number is not None), 0)
        self._numpy: Any = require("numpy", extra="onnx", purpose="the guard `classifier`")
        # A first run also shows that the tokenizer fits the model.
        self.outputs = len(self.run([self.windows("text")[0].ids])[0])

    def windows(self, text: str) -> list[Window]:
        """Return the windows of a text; at least one."""
        whole = self._tokenizer.encode(text.encode("utf-8", "replace").decode())
        return [_window(one) for one in (whole, *whole.overflowing)]

    def run(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the outputs of the model for rows of tokens."""
        np = self._numpy
        width = max(1, *map(len, rows)) if rows else 1
        ids = np.full((len(rows), width), self._pad, "int64")
        mask = np.zeros((len(rows), width), "int64")
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (found,) = self._session.run([self._output], {name: given[name] for name in self._inputs})
        return found.reshape(len(rows), -1).tolist()


def _window(encoding: Any) -> Window:
    places = [
        place for place, special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True) if not special
    ]
    if not places:
        return Window(encoding.ids, 0, 0)
    return Window(encoding.ids, min(start for start, _ in places), max(end for _, end in places))


def load(path: str, window: int) -> OnnxModel:
    """Return the classifier in a folder.

    Args:
        path: The folder.
        window: The tokens of a window.

    Raises:
        ConfigError: The folder holds no such classifier.
        MissingDependencyError: A library is not installed.
    """
    purpose = "the guard `classifier`"
    runtime: Any = require("onnxruntime", extra="onnx", purpose=purpose)
    tokenizers: Any = require("tokenizers", extra="onnx", purpose=purpose)
    folder = Path(path)
    file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if file is None or not (folder / "tokenizer.json").is_file():
        raise ConfigError(
            f"{path} must be a folder with tokenizer.json and model.onnx, as an export from Hugging Face has them",
            key="path",
            value=path,
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model: OnnxModel | None = None
    # The libraries raise errors of many classes, and plain Exceptions.
    with Caught() as caught:
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=window, stride=window // 4)
        session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        model = OnnxModel(session, tokenizer, _labels(folder / "config.json"), _digest(file))
    if isinstance(caught.error, ConfigError):
        raise caught.error
    if model is None:
        raise ConfigError(
            f"the classifier in {path} cannot be loaded: {type(caught.error).__name__}: {caught.error}",
            key="path",
            value=path,
        ) from caught.error
    return model


def _labels(config: Path) -> dict[int, str]:
    if not config.is_file():
        return {}
    found: Any = json.loads(config.read_text("utf-8")).get("id2label") or {}
    return {int(number): str(name) for number, name in found.items()}


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").hexdigest()[:12]
