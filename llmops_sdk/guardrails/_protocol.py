"""The protocols of guards and detectors, and what they return."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args, runtime_checkable

from llmops_sdk._util._public import public

__all__ = [
    "ACTIONS",
    "CALL_RAILS",
    "RAILS",
    "Action",
    "Detection",
    "Detector",
    "Finding",
    "Guard",
    "GuardContext",
    "MaskMap",
    "OnError",
    "Rail",
    "Verdict",
    "strongest",
]

Rail: TypeAlias = Literal["input", "documents", "tool_definitions", "tool_arguments", "tool_results", "output"]
Action: TypeAlias = Literal["pass", "flag", "fix", "redact", "mask", "reask", "fallback", "block"]
OnError: TypeAlias = Literal["closed", "open"]

RAILS: tuple[Rail, ...] = get_args(Rail)
CALL_RAILS: tuple[Rail, ...] = ("input", "tool_definitions", "tool_results", "output", "tool_arguments")
"""The rails of a call to a model. Documents are checked where they are retrieved."""
ACTIONS: tuple[Action, ...] = get_args(Action)
"""From the weakest to the strongest."""

_REPLACING = frozenset({"fix", "redact", "mask"})


def strongest(actions: Iterable[Action]) -> Action:
    """Return the strongest of some actions, or "pass" if there are none.

    Example:
        >>> strongest(["flag", "redact", "pass"])
        'redact'
    """
    found: Action = "pass"
    for action in actions:
        if ACTIONS.index(action) > ACTIONS.index(found):
            found = action
    return found


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True)
class Finding:
    """A place in a text.

    Attributes:
        kind: What is there, in capitals, as in "EMAIL" or "CARD". It is the label of its replacement: `[EMAIL]`.
        start: Where it starts in the text as given, in characters.
        end: Where it ends; the end is not part of it.
        score: How sure the detector is, from 0 to 1, or None where it does not tell.
    """

    kind: str
    start: int
    end: int
    score: float | None = None


@public("llmops_sdk.guardrails")
class MaskMap(Protocol):
    """Placeholders for values; see `Masks`."""

    def mask(self, text: str, findings: Sequence[Finding]) -> str:
        """Return the text with a placeholder for each finding."""
        ...


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True, kw_only=True)
class GuardContext:
    """The context of a text that a guard checks.

    Attributes:
        rail: "input", "documents", "tool_definitions", "tool_arguments", "tool_results" or "output".
        model: The model of the call, or None outside a call.
        documents: The texts that an answer should be grounded in; in a call, all texts of the prompt.
        masks: The placeholders of the conversation, or None where nothing restores them.
    """

    rail: Rail
    model: str | None = None
    documents: tuple[str, ...] = ()
    masks: MaskMap | None = None


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a detector finds in a text.

    Attributes:
        found: Whether a guard must act.
        findings: The places, in order and without overlap; empty if the whole text is meant.
        score: A score for the whole text, from 0 to 1, or None.
        threshold: The score from which the text counts as found, or None.
        reason: Why, in a few words from a fixed vocabulary: never a part of the text.
        fixed: The text as it should be, for the action "fix", or None.
        truncated: Whether the detector read only a part of the text.
    """

    found: bool = False
    findings: tuple[Finding, ...] = ()
    score: float | None = None
    threshold: float | None = None
    reason: str = ""
    fixed: str | None = None
    truncated: bool = False


@public("llmops_sdk.guardrails")
@runtime_checkable
class Detector(Protocol):
    """Finds something in texts. One object serves many texts at once, so it must not keep state on itself.

    A detector takes linear time in the length of the text, and never raises for any text. It may have
    `settled(text) -> int` and `whole_text`, with the meaning that they have for a guard, and `async adetect(text,
    context)`, an async `detect` of a detector that waits for something, such as a model.
    """

    @property
    def name(self) -> str:
        """Return the name, as in "pii"."""
        ...

    @property
    def version(self) -> str:
        """Return the version, which changes whenever detections may change."""
        ...

    def detect(self, text: str, context: GuardContext) -> Detection:
        """Return what is found in a text."""
        ...


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True)
class Verdict:
    """A guard's decision about a text.

    Attributes:
        action: "pass" keeps the text; "flag" keeps it and records the finding; "redact", "mask" and "fix" replace it;
            "reask", "fallback" and "block" refuse it.
        text: The replacement text; required where the action replaces, ignored otherwise.
        reason: Why, without the content itself: the trace stores it.
        findings: The places of the findings in the checked text.
        score: The guard's score for the text, from 0 to 1, or None.
        threshold: The score from which the guard acts, or None.
        truncated: Whether the guard read only a part of the text.
        guard: The guard's name; whoever runs the guard sets it, as the next three.
        version: The guard's version.
        rail: The rail, as in "input".
        duration_ms: The time of the check in milliseconds.

    Raises:
        ValueError: The action is unknown, or it replaces the text and there is no replacement.

    Example:
        >>> from llmops_sdk.guardrails import Finding, Verdict
        >>> Verdict("redact", "My name is [NAME]", "1 name", (Finding("NAME", 11, 14),)).action
        'redact'
    """

    action: Action
    text: str | None = None
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    score: float | None = None
    threshold: float | None = None
    truncated: bool = False
    guard: str = ""
    version: str = ""
    rail: str = ""
    duration_ms: float = 0.0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"a verdict must be one of {', '.join(ACTIONS)}, not {self.action!r}")
        if self.action in _REPLACING and not isinstance(self.text, str):
            raise ValueError("a verdict that replaces the text needs `text`, the replacement")


@public("llmops_sdk.guardrails")
@runtime_checkable
class Guard(Protocol):
    """Checks texts. One object serves many calls at once, so a check must not keep state on it.

    A text is a message, a text part of one, or one string inside a JSON document (a tool's arguments, an answer in
    JSON), so that redaction leaves the JSON valid. A guard may have these, too:

    - `async acheck(text, context)`: an async `check`.
    - `settled(text) -> int`: the length of the beginning of an unfinished text that the rest cannot affect, so that
      `check(text[:n] + rest)` does the same as `check(text[:n])` and `check(rest)`. A stream releases that part at
      once. A guard without this method holds a stream back until its end, as does one that returns 0.
    - `whole_text = True`: the guard reads whole texts, not the strings inside JSON: the user's messages, the results of
      tools, the text of an answer, and the arguments of a tool call as one JSON document.
    - `keeps_text = True`: it passes, flags or refuses, and never replaces a text. Such guards may change places with
      their neighbours.
    - `slow = True`: it waits for something. Slow guards run after the others, side by side. With `acheck` it is True.
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
