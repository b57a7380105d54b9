"""The encoder of all-MiniLM-L6-v2 in numpy: of tokens alone for `distil_static.py`, and of texts for the benchmarks.

Double precision makes the small differences between linear algebra libraries too small to change a rounded byte.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID251 - a tool, not a part of the package

__all__ = ["encode_texts", "encode_tokens", "read_weights"]

_HEADS, _LAYERS, _EPSILON = 12, 6, 1e-12
_BATCH = 256
_ERF_STEPS, _ERF_END = 512, 6  # steps a unit; beyond the end the function is 1 to the last digit


def read_weights(path: Path) -> dict[str, Any]:
    """Return the arrays of a safetensors file in double precision.

    Args:
        path: The file: eight bytes with the length of a JSON header, the header, and the arrays.
    """
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    weights: dict[str, Any] = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            array = np.frombuffer(data, "<f4", (end - begin) // 4, start + begin)
            weights[name] = array.reshape(entry["shape"]).astype("float64")
    return weights


def _erf_tables() -> tuple[Any, Any]:
    places = [step / _ERF_STEPS for step in range(_ERF_STEPS * _ERF_END + 2)]
    values = np.array([math.erf(place) for place in places])
    slopes = np.array([2 / math.sqrt(math.pi) * math.exp(-place * place) for place in places])
    return values, slopes / _ERF_STEPS


_ERF_VALUES, _ERF_SLOPES = _erf_tables()


def _erf(x: Any) -> Any:
    """Return the error function, by cubic interpolation with exact slopes; the error is below 1e-13."""
    place = np.minimum(np.abs(x), _ERF_END) * _ERF_STEPS
    left = place.astype("int64")
    part = place - left
    rest = 1 - part
    y = rest * rest * ((1 + 2 * part) * _ERF_VALUES[left] + part * _ERF_SLOPES[left])
    y += part * part * ((3 - 2 * part) * _ERF_VALUES[left + 1] - rest * _ERF_SLOPES[left + 1])
    return np.copysign(y, x)


def _normalised(x: Any, weights: dict[str, Any], name: str) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + _EPSILON) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _linear(x: Any, weights: dict[str, Any], name: str) -> Any:
    # One large product: of an array of three dimensions, numpy would make one small product a text.
    found = x.reshape(-1, x.shape[-1]) @ weights[f"{name}.weight"].T
    return (found + weights[f"{name}.bias"]).reshape(*x.shape[:-1], -1)


def _attention(x: Any, weights: dict[str, Any], name: str) -> Any:
    rows, length, width = x.shape
    heads = (_linear(x, weights, f"{name}.self.{part}") for part in ("query", "key", "value"))
    query, key, value = (one.reshape(rows, length, _HEADS, width // _HEADS).transpose(0, 2, 1, 3) for one in heads)
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(width // _HEADS)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
    return _linear(mixed.transpose(0, 2, 1, 3).reshape(rows, length, width), weights, f"{name}.output.dense")


def _encode(ids: Any, weights: dict[str, Any]) -> Any:
    words, places = weights["embeddings.word_embeddings.weight"], weights["embeddings.position_embeddings.weight"]
    types = weights["embeddings.token_type_embeddings.weight"]
    x = _normalised(words[ids] + places[: ids.shape[1]] + types[0], weights, "embeddings.LayerNorm")
    for layer in range(_LAYERS):
        name = f"encoder.layer.{layer}"
        x = _normalised(x + _attention(x, weights, f"{name}.attention"), weights, f"{name}.attention.output.LayerNorm")
        inner = _linear(x, weights, f"{name}.intermediate.dense")
        inner *= 0.5 * (1 + _erf(inner / math.sqrt(2)))
        x = _normalised(x + _linear(inner, weights, f"{name}.output.dense"), weights, f"{name}.output.LayerNorm")
    return x.mean(axis=1)


def encode_tokens(ids: Any, weights: dict[str, Any], *, first: int, last: int) -> Any:
    """Return the vector of each token alone between the tokens that begin and end a text.

    Args:
        ids: The ids of the tokens.
        weights: The weights of the model.
        first: The id of [CLS].
        last: The id of [SEP].
    """
    parts: list[Any] = []
    for begin in range(0, len(ids), _BATCH):
        inner = np.asarray(ids[begin : begin + _BATCH])
        edges = np.full_like(inner, first), np.full_like(inner, last)
        parts.append(_encode(np.stack([edges[0], inner, edges[1]], axis=1), weights))
    return np.concatenate(parts)


def encode_texts(texts: Sequence[Sequence[int]], weights: dict[str, Any]) -> Any:
    """Return a vector of unit length for each text, in single precision.

    Args:
        texts: The ids of the tokens of each text, with those that begin and end it.
        weights: The weights of the model.
    """
    single = {name: array.astype("float32") for name, array in weights.items()}
    found = np.empty((len(texts), single["embeddings.LayerNorm.bias"].size), "float32")
    # Texts of one length at a time need no padding.
    lengths = np.array([len(text) for text in texts])
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        for begin in range(0, len(places), _BATCH):
            part = places[begin : begin + _BATCH]
            found[part] = _encode(np.array([texts[place] for place in part]), single)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
