"""Whether two answers say the same: what labels a stored answer for a new question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from llmops_sdk.caching.semantic.lexical import compare
from llmops_sdk.embeddings import Embedder, StaticEmbedder
from llmops_sdk.errors import ConfigError

__all__ = ["Judge", "judge_of", "matcher_of"]

Judge: TypeAlias = Callable[[str, Any, Any], Any]
"""Takes the question, the stored answer and the new answer; returns whether the stored one is right, or 0 to 1."""

_SIMILAR = 0.9


def judge_of(spec: str | Judge, embedder: Embedder) -> Judge:
    """Return the judge that a specification names.

    Args:
        spec: "exact": equal but for case and spaces; "similar": also answers whose vectors are near and whose words do
            not contradict; or a function.
        embedder: Compares answers for "similar".

    Raises:
        ConfigError: There is no such judge.
    """
    if spec == "exact":
        return _exact
    if spec == "similar":
        return lambda _, stored, new: _exact("", stored, new) or _similar(embedder, stored, new)
    if isinstance(spec, str) or not callable(spec):
        raise ConfigError(f'there is no judge {spec!r}: use "exact", "similar" or a function', key="judge", value=spec)
    return spec


def matcher_of(spec: str | Judge, embedder: Embedder) -> Judge:
    """Return what finds stored answers that equal a new one, to tell how common an answer is among the nearest.

    It is asked about several answers after each miss, so it is the judge only where that calls no model.
    """
    return judge_of(spec, embedder) if spec == "similar" and isinstance(embedder, StaticEmbedder) else _exact


def _exact(_: str, stored: Any, new: Any) -> bool:
    if isinstance(stored, str) and isinstance(new, str):
        return stored.split() == new.split() or stored.casefold().split() == new.casefold().split()
    return type(stored) is type(new) and bool(stored == new)


def _similar(embedder: Embedder, stored: Any, new: Any) -> bool:
    if not (isinstance(stored, str) and isinstance(new, str) and stored.strip() and new.strip()):
        return False
    one, other = embedder.embed([stored, new])
    similarity = float(one @ other)
    return similarity >= _SIMILAR and compare(new, stored, similarity=similarity).decision != "different"
