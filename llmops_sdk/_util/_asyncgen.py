"""Start an async generator that another one closes."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

__all__ = ["first_anext_unhooked"]

_T = TypeVar("_T")


def first_anext_unhooked(generator: AsyncGenerator[_T, object]) -> Awaitable[_T]:
    """Return the generator's first `__anext__()` and hide the generator from the event loop.

    A loop that ends closes all generators it knows at once. It knows the outer generator, and that one closes the inner
    one. If the loop knew both, it would close the inner one twice at the same time, which is an error.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)
