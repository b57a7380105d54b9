"""The protocol of a guard, and its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from llmops_sdk._util._public import public

__all__ = ["Action", "Guard", "GuardContext", "OnError", "Rail", "Span", "Verdict"]

Rail: TypeAlias = Literal["input", "output"]
Action: TypeAlias = Literal["pass", "redact", "block"]
OnError: TypeAlias = Literal["closed", "open"]

Span: TypeAlias = tuple[int, int, str]
"""The place of a finding in the text: start, end, and its label, as in "CARD"."""


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True, kw_only=True)
class GuardContext:
    """The context of a text that a guard checks.

    Attributes:
        rail: "input" or "output".
        model: The model of the call, or None outside a call.
    """

    rail: Rail
    model: str | None = None


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True)
class Verdict:
    """A guard's decision about a text.

    Attributes:
        action: "pass" keeps the text, "redact" replaces it, "block" ends the call.
        text: The replacement text; required for "redact", ignored otherwise.
        reason: Why, without the content itself: the trace stores it.
        spans: The places of the findings in the checked text.

    Raises:
        ValueError: The action is unknown, or "redact" has no replacement text.

    Example:
        >>> from llmops_sdk.guardrails import Verdict
        >>> Verdict("redact", "My name is [NAME]", "1 name", ((11, 14, "NAME"),)).action
        'redact'
    """

    action: Action
    text: str | None = None
    reason: str = ""
    spans: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        if self.action not in ("pass", "redact", "block"):
            raise ValueError(f'a verdict must be "pass", "redact" or "block", not {self.action!r}')
        if self.action == "redact" and not isinstance(self.text, str):
            raise ValueError("a verdict that redacts needs `text`, the replacement")


@public("llmops_sdk.guardrails")
@runtime_checkable
class Guard(Protocol):
    """Checks texts. One object serves many calls at once, so a check must not keep state on it.

    A text is a message, a text part of one, or one string inside a JSON document (a tool's arguments, an answer in
    JSON), so that redaction leaves the JSON valid. A guard may have two more methods:

    - `async acheck(text, context)`: an async `check`.
    - `settled(text) -> int`: the length of the beginning of an unfinished text that the rest cannot affect, so that
      `check(text[:n] + rest)` does the same as `check(text[:n])` and `check(rest)`. A stream releases that part at
      once. A guard without this method holds a stream back until its end, as does one that returns 0.
    """

    @property
    def name(self) -> str:
        """Return the name that traces and errors show."""
        ...

    @property
    def version(self) -> str:
        """Return the version, which changes whenever verdicts may change: it is part of the cache's key."""
        ...

    def check(self, text: str, context: GuardContext) -> Verdict:
        """Return the verdict on a text."""
        ...
