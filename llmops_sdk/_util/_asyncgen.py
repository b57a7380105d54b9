"""An async generator inside another one, which closes it."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

__all__ = ["first_step"]

_T = TypeVar("_T")


def first_step(generator: AsyncGenerator[_T, object]) -> Awaitable[_T]:
    """The first item of a generator, of which its event loop learns nothing.

    A loop that ends closes every generator that it knows, all at once. It knows the outer one, which closes the one
    inside: known too, that one would be closed twice at the same time, which is an error.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)
