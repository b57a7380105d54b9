"""Check what a router's file holds before anything computes with it: the file may be damaged, or made to do harm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmops_sdk.routing.features._form import FORM
from llmops_sdk.routing.features._terms import BUCKETS

__all__ = ["check_file"]

_MOST_MODELS = 1_000


def check_file(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Check types, sizes and ranges.

    Args:
        header: The header.
        arrays: The arrays by name.

    Raises:
        ValueError: Something does not fit.
        KeyError: An array is missing.
        TypeError: A value of the header has another type.
    """
    models, kinds = header["models"], header["kinds"]
    _require(_is_texts(models) and 2 <= len(models) <= _MOST_MODELS and len(set(models)) == len(models), "models")
    count, rows = len(models), len(arrays["scores"])
    _require(kinds is None or (_is_texts(kinds) and len(kinds) == rows), "kinds")
    _require(_is_texts(header["offset_kinds"]), "offset_kinds")
    _require(header["default"] in models, "default")
    _require(isinstance(header["embedder"], str), "embedder")
    _require(isinstance(header["strongest"], int) and 0 <= header["strongest"] < count, "strongest")
    _require(isinstance(header["familiar"], float) and math.isfinite(header["familiar"]), "familiar")
    wide, narrow = arrays["directions"].shape
    shapes: dict[str, tuple[int, ...]] = {
        "scores": (rows, count),
        "table_costs": (rows, count),
        "estimates": (rows, count),
        "kind_offsets": (len(header["offset_kinds"]), count),
        "costs": (count,),
        "spread": (count,),
        "believed": (rows,),
        "center": (wide,),
        "rows": (rows, narrow),
    }
    if "propensities" in arrays:
        shapes["propensities"] = (rows, count)
    seen: list[Any] = []
    for at, part in enumerate(header["parts"]):
        shapes |= _part_shapes(at, part, arrays, rows, wide)
        seen += part["models"]
    _require(rows > 0 and narrow > 0 and len(set(seen)) == len(seen) and header["strongest"] in seen, "parts")
    _require(all(isinstance(one, int) and 0 <= one < count for one in seen), "parts")
    for name, shape in shapes.items():
        kind = "b" if name == "believed" else "iu" if name.endswith(".buckets") else "f"
        _require(arrays[name].shape == shape and arrays[name].dtype.kind in kind, name)
    _check_numbers(arrays)


def _part_shapes(
    at: int, part: Mapping[str, Any], arrays: Mapping[str, Any], rows: int, wide: int
) -> dict[str, tuple[int, ...]]:
    outputs, terms = len(part["models"]), len(arrays[f"{at}.buckets"])
    form = len(FORM)
    shapes: dict[str, tuple[int, ...]] = {
        "outputs": (rows, outputs),
        "row_weights": (rows,),
        "form_scale": (2, form),
        "form": (form + 1, outputs),
        "vector": (wide + 1, outputs),
        "term": (terms + 1, outputs),
        "mean": (outputs,),
        "slope": (outputs,),
        "buckets": (terms,),
        "term_weights": (terms,),
    }
    return {f"{at}.{name}": shape for name, shape in shapes.items()}


def _check_numbers(arrays: Mapping[str, Any]) -> None:
    may_lack = {"scores", "table_costs", "costs", "estimates"}
    for name, array in arrays.items():
        if name.endswith(".buckets"):
            _require(len(array) == 0 or (int(array.min()) >= 0 and int(array.max()) < BUCKETS), name)
        elif array.dtype.kind == "f":
            # NaN propagates through a sum, and so does an infinite number.
            finite = math.isfinite(float(array.sum()))
            known = array[array == array]  # noqa: PLR0124 - without NaN
            _require(finite or (name in may_lack and math.isfinite(float(known.sum()))), name)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)  # pyright: ignore[reportUnknownVariableType]


def _require(fits: bool, name: str) -> None:
    if not fits:
        raise ValueError(f"{name} does not fit the rest")
