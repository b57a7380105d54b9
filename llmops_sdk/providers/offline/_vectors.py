"""Vectors of texts without a model."""

from __future__ import annotations

import hashlib
import math
import re

__all__ = ["hashed_vector"]

_WORD = re.compile(r"\w+")


def hashed_vector(text: str, *, dimensions: int, seed: int) -> list[float]:
    """The unit vector of the words of `text`, each hashed to a place and a sign.

    Texts that share words have a cosine above zero; it says nothing of their meaning.

    Args:
        text: Any text.
        dimensions: Length of the vector.
        seed: Another seed gives other places and signs.

    The hashing trick: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
    """
    vector = [0.0] * dimensions
    words = _WORD.findall(text.casefold()) or [""]
    for word in words:
        _add(vector, f"w:{word}", seed, 1.0)
        padded = f"^{word}$"  # pieces of words, so that "pay" and "payment" are not strangers
        for start in range(len(padded) - 2):
            _add(vector, f"p:{padded[start : start + 3]}", seed, 0.3)
    norm = math.sqrt(sum(value * value for value in vector))
    if norm == 0.0:  # everything cancelled out, which takes very few dimensions
        _add(vector, f"t:{text}", seed, norm := 1.0)
    return [value / norm for value in vector]


def _add(vector: list[float], feature: str, seed: int, weight: float) -> None:
    data = f"{seed}:{feature}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
    vector[(number >> 1) % len(vector)] += weight if number & 1 else -weight
