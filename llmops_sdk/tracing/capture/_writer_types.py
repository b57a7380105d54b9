"""What writers of values have in common: the walk they report to, and their signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._media import Media

__all__ = ["Branch", "Leaf", "Walk"]


class Walk(Protocol):
    """The walk over one value, as its writers see it; `_walk.ValueWalk` documents each method."""

    bounds: Bounds
    cut: int
    room: int

    def plain(self, value: Any, depth: int) -> object: ...
    def marker(self, said: dict[str, object]) -> dict[str, object]: ...
    def text(self, value: str) -> object: ...
    def integer(self, value: int) -> object: ...
    def real(self, value: float) -> object: ...
    def items(self, values: Iterable[object], length: int, depth: int) -> list[object]: ...
    def mapping(self, pairs: Iterable[tuple[object, object]], length: int, depth: int) -> dict[str, object]: ...
    def media(self, media: Media, size: int, make: Callable[[], bytes], held: bytes | str) -> dict[str, object]: ...


Leaf: TypeAlias = Callable[[Walk, Any], object]
"""Writes a value that holds no others."""
Branch: TypeAlias = Callable[[Walk, Any, int], object]
"""Writes a value that holds others, so many levels deep."""
