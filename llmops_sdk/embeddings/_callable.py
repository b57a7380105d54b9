"""A function of the application as an embedder."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.embeddings._checked import CheckedEmbedder
from llmops_sdk.errors import ConfigError

__all__ = ["CallableEmbedder"]

_BATCH = 512


@public("llmops_sdk.embeddings")
class CallableEmbedder(CheckedEmbedder):
    """Asks a function for the vectors of up to 512 texts at a time.

    Args:
        function: Takes a list of texts and returns a vector for each, as lists or as an array.
        name: A name that changes whenever the vectors do, as in "our-model-3". Without one, a function of a module
            goes by its module and name. Anything else, such as a lambda, has an identity of its own in each process:
            what a process stored with it, no other finds.

    Raises:
        ConfigError: The function is async, or the name is empty.
    """

    def __init__(
        self, function: Callable[[list[str]], Sequence[Sequence[float]] | Any], name: str | None = None
    ) -> None:
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            raise ConfigError("an embedder is a plain function of a list of texts, not an async one", key="embedder")
        if name is not None and not name.strip():
            raise ConfigError("the name of an embedder is empty", key="name", value=name)
        super().__init__(f"callable:{name or _own_name(function)}", batch=_BATCH)
        self._function = function

    def _ask(self, texts: list[str]) -> Any:
        return self._function(texts)


def _own_name(function: Any) -> str:
    """Return a name under which every process knows a function, or one that no other function has."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if inspect.isfunction(function) and module not in {None, "__main__"} and name and "<" not in name:
        return f"{module}.{name}"
    return f"{getattr(function, '__name__', type(function).__name__)}-{uuid.uuid4().hex}"
