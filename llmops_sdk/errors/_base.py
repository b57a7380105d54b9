"""The root of the errors."""

from __future__ import annotations

from typing import Any

__all__ = ["LLMOpsError"]


def _rebuild(cls: type[LLMOpsError], message: str, state: dict[str, Any]) -> LLMOpsError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class LLMOpsError(Exception):
    """The base of all errors that the SDK raises.

    Args:
        message: What is wrong, where, and what to do.

    Example:
        >>> import llmops_sdk as llmops
        >>> issubclass(llmops.RateLimitError, llmops.LLMOpsError)
        True
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        # The default __reduce__ calls the class with `args` alone and loses the keyword-only fields.
        return _rebuild, (type(self), str(self.args[0]) if self.args else "", self.__dict__.copy())
