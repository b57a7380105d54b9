"""Declare the signatures of writers, and the part of the walk that they call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._media import Media

__all__ = ["Branch", "Branches", "Leaf", "Leaves", "Walk"]


class Walk(Protocol):
    """The walk over one value as writers see it; `_walk.ValueWalk` documents its methods."""

    bounds: Bounds
    omitted: int
    room: int

    def rebuild(self, value: Any, depth: int) -> object: ...
    def marker(self, marker: dict[str, object]) -> dict[str, object]: ...
    def type_marker(self, value: object, **more: object) -> dict[str, object]: ...
    def text(self, value: str) -> object: ...
    def integer(self, value: int) -> object: ...
    def real(self, value: float) -> object: ...
    def items(self, values: Iterable[object], length: int, depth: int) -> list[object]: ...
    def mapping(self, pairs: Iterable[tuple[object, object]], length: int, depth: int) -> dict[str, object]: ...
    def media(self, media: Media, size: int, load: Callable[[], bytes], source: bytes | str) -> dict[str, object]: ...


Leaf: TypeAlias = Callable[[Walk, Any], object]
"""Writes a value that holds no others."""
Branch: TypeAlias = Callable[[Walk, Any, int], object]
"""Writes a value that holds others, at most so many levels deep."""
Leaves: TypeAlias = dict[type[Any], Leaf]
Branches: TypeAlias = dict[type[Any], Branch]
