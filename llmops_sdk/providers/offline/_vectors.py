"""Make vectors of texts without a model."""

from __future__ import annotations

import hashlib
import math
import re

__all__ = ["hashed_vector"]

_WORD = re.compile(r"\w+")


def hashed_vector(text: str, *, dimensions: int, seed: int) -> list[float]:
    """Return the unit vector of the words of `text`, each hashed to a dimension and a sign.

    Texts that share words have a cosine above zero. The vector says nothing about meaning.

    Args:
        text: Any text.
        dimensions: Length of the vector.
        seed: Selects dimensions and signs.

    The hashing trick: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
    """
    vector = [0.0] * dimensions
    for word in _WORD.findall(text.casefold()) or [""]:
        _add(vector, f"w:{word}", seed, 1.0)
        padded = f"^{word}$"  # parts of words make "pay" and "payment" similar
        for start in range(len(padded) - 2):
            _add(vector, f"p:{padded[start : start + 3]}", seed, 0.3)
    norm = math.sqrt(sum(value * value for value in vector))
    if norm == 0.0:  # all words cancel out, which needs very few dimensions
        _add(vector, f"t:{text}", seed, norm := 1.0)
    return [value / norm for value in vector]


def _add(vector: list[float], feature: str, seed: int, weight: float) -> None:
    data = f"{seed}:{feature}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
    vector[(number >> 1) % len(vector)] += weight if number & 1 else -weight
