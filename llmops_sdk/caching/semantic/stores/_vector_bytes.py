"""Vectors as the stores keep them: little-endian 32-bit floats."""

from __future__ import annotations

from typing import Any

from llmops_sdk.embeddings._vectors import numpy

__all__ = ["read_vector", "write_vector"]


def write_vector(vector: Any) -> bytes:
    """Return a vector as bytes."""
    return numpy().asarray(vector, "<f4").tobytes()


def read_vector(data: bytes, dimension: int) -> Any:
    """Return the vector in bytes, or None for bytes that are not a finite vector of this dimension above zero."""
    if len(data) != 4 * dimension:
        return None
    vector = numpy().frombuffer(data, "<f4")
    length = float(vector @ vector)
    return vector if 0.0 < length < float("inf") else None
