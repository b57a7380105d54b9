"""The placeholders of one conversation, and the values behind them."""

from __future__ import annotations

import contextvars
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from llmops_sdk._util._public import public
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.guardrails._protocol import Finding

__all__ = ["LONGEST_PLACEHOLDER", "Masks", "mask_scope", "masks_of_call", "scope_masks"]

_PLACEHOLDER = re.compile(r"\[([A-Z][A-Z0-9_]{0,38})_([0-9]{1,6})\]")
LONGEST_PLACEHOLDER = 48
"""The length of the longest placeholder in characters."""
_URL = "://"
_ENDS_OF_URL = re.compile(r"[\s\"'`<>]")
_MOST_VALUES = 100_000


@public("llmops_sdk.guardrails")
class Masks:
    """Placeholders such as `[EMAIL_1]` and the values that they stand for. Several threads may share one object.

    The same value always has the same placeholder, and numbers follow the order in which values occur. The map is in
    memory only, and is gone with the object.

    Example:
        >>> from llmops_sdk.guardrails import Finding, Masks
        >>> masks = Masks()
        >>> masks.mask("Write to ada@example.org", [Finding("EMAIL", 9, 24)])
        'Write to [EMAIL_1]'
        >>> masks.restore("Done: I wrote to [EMAIL_1].")
        'Done: I wrote to ada@example.org.'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._taken: set[str] = set()
        """Placeholders that occurred in texts before they stood for a value: they never will."""

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Masks of {len(self)} values>"

    def __reduce__(self) -> str:
        raise TypeError("the values of a conversation are not pickled: restore the texts first")

    def mask(self, text: str, findings: Sequence[Finding]) -> str:
        """Return the text with a placeholder for each finding.

        Args:
            text: The text.
            findings: The places, in order and without overlap.

        Raises:
            LLMOpsError: The conversation has more than 100,000 values.
        """
        parts: list[str] = []
        done = 0
        with self._lock:
            self._taken.update(match.group() for match in _PLACEHOLDER.finditer(text))
            for one in findings:
                parts += text[done : one.start], self._name(one.kind, text[one.start : one.end])
                done = one.end
        return "".join((*parts, text[done:]))

    def _name(self, kind: str, value: str) -> str:
        known = self._names.get((kind, value))
        if known is not None:
            return known
        if len(self._values) >= _MOST_VALUES:
            raise LLMOpsError(f"a conversation can mask {_MOST_VALUES:,} values: use redact for longer ones")
        while True:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"[{kind}_{number}]"
            if name not in self._taken:
                break
        self._names[kind, value] = name
        self._values[name] = value
        return name

    def restore(self, text: str) -> str:
        """Return the text with the values instead of their placeholders.

        A placeholder inside a URL stays: a model that was talked into it could carry the value away in a link.
        """
        return self.restore_from(text, "")[0]

    def restore_from(self, text: str, word: str) -> tuple[str, str]:
        """Return a piece of a text with its values, and what the next piece must know of the word at its end.

        Args:
            text: The piece.
            word: What the piece before said, or "".
        """
        parts: list[str] = []
        done = 0
        for match in _PLACEHOLDER.finditer(text):
            before = text[done : match.start()]
            word = _word_after(word, before)
            value = None if word == _URL else self._values.get(match.group())
            parts += before, match.group() if value is None else value
            done = match.end()
        rest = text[done:]
        return "".join((*parts, rest)), _word_after(word, rest)


def _word_after(word: str, text: str) -> str:
    """Return "://" inside a URL, else the last two characters of the word at the end of a text."""
    last = _ENDS_OF_URL.split(text)[-1]
    joined = last if len(last) < len(text) else word + text
    return _URL if _URL in joined else joined[-2:]


_current: contextvars.ContextVar[Masks | None] = contextvars.ContextVar("llmops_masks", default=None)


def scope_masks() -> Masks | None:
    """Return the map of the scope around, or None."""
    return _current.get()


def masks_of_call() -> Masks:
    """Return the map of the scope around, or a new one for this call."""
    # An empty map is false.
    scope = _current.get()
    return Masks() if scope is None else scope


@contextmanager
def mask_scope(masks: Masks | None = None) -> Generator[Masks]:
    """Keep one map of placeholders for all guarded calls of the block; without, each call has its own.

    Args:
        masks: The map of an earlier block of the same conversation, or None for a new one.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.guardrails import mask_scope
        >>> with mask_scope() as masks:
        ...     answer = llmops.chat("Say 4111" + " 1111" * 3, guards={"input": ["cards:mask"]}).text
        >>> answer == masks.restore("Say [CARD_1]")
        True
    """
    scope = Masks() if masks is None else masks
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)
