"""The errors of settings, guards, answers, tools and missing libraries."""

from __future__ import annotations

from typing import Any

from llmops_sdk.errors._base import LLMOpsError

__all__ = ["ConfigError", "GuardrailViolation", "MissingDependencyError", "ToolCallError", "ValidationFailedError"]


class ConfigError(LLMOpsError):
    """A setting is unknown, of the wrong type, or in a file that cannot be read.

    Attributes:
        source: The file or the environment variable that holds it, or "arguments".
        key: The dotted key, as in `retry.attempts`, or None if the whole file is invalid.
        value: The invalid value, or None.
        nearest: The nearest known key, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        key: str | None = None,
        value: object = None,
        nearest: str | None = None,
    ) -> None:
        super().__init__(message)
        self.source = source
        self.key = key
        self.value = value
        self.nearest = nearest


class GuardrailViolation(LLMOpsError):  # noqa: N818 - the name is part of the public contract
    """A guard blocked the input or the output.

    Attributes:
        guard: The guard's name.
        rail: The rail, as in "input" or "output".
        reason: Why, without the content itself.
        action: "block", or the action that the guard could not take here: "reask" or "fallback".
    """

    def __init__(
        self,
        message: str,
        *,
        guard: str | None = None,
        rail: str | None = None,
        reason: str | None = None,
        action: str = "block",
    ) -> None:
        super().__init__(message)
        self.guard = guard
        self.rail = rail
        self.reason = reason
        self.action = action


class ValidationFailedError(LLMOpsError):
    """The answer does not fit the type that was asked for, after all repeats.

    Attributes:
        response: The last answer, as a `Response`.
        errors: The validator's messages about it.
    """

    def __init__(self, message: str, *, response: Any = None, errors: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.response = response
        self.errors = errors


class ToolCallError(LLMOpsError):
    """A model's call of a tool cannot be run: no function has its name, or the arguments are not valid.

    Attributes:
        tool: The name that the model called.
        call_id: The id of the call, which the tool's answer must repeat.
        errors: The problems one by one, without the arguments' values; fit to be sent back to the model.
    """

    def __init__(self, message: str, *, tool: str = "", call_id: str = "", errors: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tool = tool
        self.call_id = call_id
        self.errors = errors


class MissingDependencyError(LLMOpsError, ImportError):
    """An optional library is not installed; the message has the command that installs it."""
