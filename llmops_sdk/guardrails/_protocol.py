"""What a guard is, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from llmops_sdk._util._public import public

__all__ = ["Action", "Guard", "GuardContext", "OnError", "Rail", "Span", "Verdict"]

Rail: TypeAlias = Literal["input", "output"]
Action: TypeAlias = Literal["pass", "redact", "block"]
OnError: TypeAlias = Literal["closed", "open"]

Span: TypeAlias = tuple[int, int, str]
"""Where something was found in the text: start, end, and what it is, as in "CARD"."""


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True, kw_only=True)
class GuardContext:
    """What a guard may know besides the text.

    Attributes:
        rail: "input" or "output".
        model: The model that is asked, or None where there is none.
    """

    rail: Rail
    model: str | None = None


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard says of a text.

    Attributes:
        action: "pass" leaves it, "redact" replaces it, "block" ends the call.
        text: The text to go on with; needed for "redact", ignored otherwise.
        reason: Why, without the content itself: it is kept in the trace.
        spans: Where in the text that was checked.

    Raises:
        ValueError: The action is none of the three, or there is no text to replace it with.

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
            raise ValueError(f'a verdict is "pass", "redact" or "block", not {self.action!r}')
        if self.action == "redact" and not isinstance(self.text, str):
            raise ValueError("a verdict that redacts needs the text to go on with")


@public("llmops_sdk.guardrails")
@runtime_checkable
class Guard(Protocol):
    """Checks texts. One object serves many calls at once, so that a check keeps its state to itself.

    A text is one piece: a message, a text part of one, or one string inside a JSON document (a tool's arguments, an
    answer in JSON), so that what is redacted leaves the JSON valid. A guard may also have `acheck`, an async `check`.
    """

    @property
    def name(self) -> str:
        """As it stands in the trace and in the error."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever its verdicts may: it is part of the cache's key."""
        ...

    def check(self, text: str, context: GuardContext) -> Verdict:
        """What to do with a text."""
        ...
