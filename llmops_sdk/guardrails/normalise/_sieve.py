"""Search a text for a pattern with the Rust regular expressions that come with pydantic: fast, and linear in time."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated

__all__ = ["sieve"]


@lru_cache(maxsize=512)
def sieve(pattern: str) -> Callable[[str], bool]:
    """Return a test for a match.

    Args:
        pattern: The regular expression, in Rust's syntax.

    Example:
        >>> from llmops_sdk.guardrails.normalise._sieve import sieve
        >>> sieve("[0-9]{3}")("call 112"), sieve("[0-9]{3}")("call 11")
        (True, False)
    """
    from pydantic import ConfigDict, StringConstraints, TypeAdapter

    matching = Annotated[str, StringConstraints(pattern=pattern)]
    adapter: TypeAdapter[str] = TypeAdapter(matching, config=ConfigDict(regex_engine="rust-regex"))
    is_match = adapter.validator.isinstance_python
    # The engine takes valid UTF-8 only, and calls everything else "no match".
    return lambda text: is_match(text if text.isascii() else text.encode("utf-8", "replace").decode())
