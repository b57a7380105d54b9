"""A class with traced methods of every style, and a traced function, for several tests."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import llmops_sdk as llmops


class Thing:
    """Methods of every style, with the decorators in either order."""

    @llmops.trace
    def method(self, x: int) -> tuple[Thing, int]:
        return self, x

    @llmops.trace
    @classmethod
    def class_below(cls, x: int) -> tuple[type, int]:
        return cls, x

    @classmethod
    @llmops.trace
    def class_above(cls, x: int) -> tuple[type, int]:
        return cls, x

    @llmops.trace
    @staticmethod
    def static_below(x: int) -> int:
        return x

    @staticmethod
    @llmops.trace
    def static_above(x: int) -> int:
        return x

    @property
    @llmops.trace
    def prop_above(self) -> Any:
        return self

    @functools.cached_property
    @llmops.trace
    def cached(self) -> list[int]:
        return [1]

    @llmops.trace
    def __call__(self, x: int) -> int:
        return x

    @llmops.trace
    def __getitem__(self, x: int) -> int:
        return x

    @llmops.trace
    async def coroutine(self, x: int) -> int:
        return x

    @llmops.trace
    def generator(self, x: int) -> Iterator[int]:
        yield x

    @classmethod
    @llmops.trace
    async def class_generator(cls, x: int) -> AsyncIterator[int]:
        yield x

    def plain(self, x: int) -> int:
        return x


@llmops.trace
def top_level(x: int = 1) -> int:
    """What it says."""
    return x
