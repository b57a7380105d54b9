"""Make a guard of a detector and an action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from llmops_sdk._util._keyed_label import keyed_label
from llmops_sdk._util._public import public
from llmops_sdk.config import current
from llmops_sdk.guardrails._protocol import Action, Detection, Detector, Finding, GuardContext, Verdict
from llmops_sdk.tracing.privacy._hash_key import hash_key

__all__ = ["DetectorGuard", "replaced"]

_REFUSING = frozenset({"block", "reask", "fallback"})
_KEEPING = _REFUSING | {"flag"}


def replaced(text: str, findings: Sequence[Finding], key: bytes | None = None) -> str:
    """Return the text with each finding replaced by its kind in brackets.

    Args:
        text: The text.
        findings: The places, in order and without overlap.
        key: The key for a hash of each value beside its kind, or None for no hash.

    Example:
        >>> replaced("Write to ada@example.org today", [Finding("EMAIL", 9, 24)])
        'Write to [EMAIL] today'
    """
    parts: list[str] = []
    done = 0
    for one in findings:
        value = text[one.start : one.end]
        parts += text[done : one.start], f"[{one.kind}]" if key is None else keyed_label(one.kind, value, key)
        done = one.end
    return "".join((*parts, text[done:]))


@public("llmops_sdk.guardrails")
class DetectorGuard:
    """A guard that acts on what a detector finds.

    Args:
        detector: The detector.
        action: What to do with a text in which it finds something. "redact" blocks a text in which the detector names
            no place, as nothing could be replaced there; so do "mask", also where nothing restores its placeholders,
            and "fix" if there is no mended text.
        hashed: Whether "redact" adds a keyed hash of the value, as in `[EMAIL:cmhakpdbflgnoiej]`, so that equal values
            can be told. The key is that of `redaction.hash_key_env`; without one, there is no hash.
        unfixed: What to do with a text that "fix" cannot mend: "flag" leaves it to the next guard.
    """

    def __init__(
        self, detector: Detector, action: Action, *, hashed: bool = False, unfixed: Literal["block", "flag"] = "block"
    ) -> None:
        self.detector = detector
        self.action: Action = action
        self.hashed = hashed
        self.unfixed: Action = unfixed
        self.name = detector.name
        leaves = action == "fix" and unfixed == "flag"
        self.version = f"{detector.version}:{action}" + (":hashed" if hashed else "") + (":unfixed" if leaves else "")
        self.whole_text = bool(getattr(detector, "whole_text", False))
        self.keeps_text = action in _KEEPING
        if hasattr(detector, "adetect"):  # without it, long texts are checked in a thread
            self.acheck = self._acheck

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text that the rest cannot affect.

        A guard that refuses a text settles nothing before the end, so that a refused stream yields nothing.
        """
        settled = getattr(self.detector, "settled", None)
        return 0 if settled is None or self.action in _REFUSING else settled(text)

    def check(self, text: str, context: GuardContext) -> Verdict:
        """Return the verdict on a text."""
        return self._verdict(text, self.detector.detect(text, context), context)

    async def _acheck(self, text: str, context: GuardContext) -> Verdict:
        detector: Any = self.detector
        return self._verdict(text, await detector.adetect(text, context), context)

    def _verdict(self, text: str, found: Detection, context: GuardContext) -> Verdict:
        if not found.found:
            return Verdict("pass", score=found.score, threshold=found.threshold, truncated=found.truncated)
        action, new = self._action(text, found, context)
        return Verdict(action, new, found.reason, found.findings, found.score, found.threshold, found.truncated)

    def _action(self, text: str, found: Detection, context: GuardContext) -> tuple[Action, str | None]:
        if self.action == "mask" and found.findings and context.masks is not None:
            return "mask", context.masks.mask(text, found.findings)
        if self.action == "redact" and found.findings:
            return "redact", replaced(text, found.findings, hash_key(current().redaction) if self.hashed else None)
        if self.action == "fix" and found.fixed is not None:
            return "fix", found.fixed
        if self.action == "fix":
            return self.unfixed, None
        return ("block" if self.action not in _KEEPING else self.action), None
