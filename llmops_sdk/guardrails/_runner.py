"""The guards in their order, over the texts of one rail."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk.errors import GuardrailViolation
from llmops_sdk.guardrails._protocol import Guard, GuardContext, OnError, Verdict
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_GUARD_VERDICT

__all__ = ["acheck_texts", "check_texts"]

_LONG = 20_000
"""Characters from which a check without `acheck` is moved off the event loop."""
_RANK = {"pass": 0, "error": 1, "redact": 2, "block": 3}


def _no_reasons() -> dict[str, None]:
    return {}


@dataclass(slots=True)
class _Turn:
    """One guard's turn over all texts: measures it, decides, and records the verdict when it is over.

    One event for each guard and not for each text: a long conversation would bury the verdict that matters. It has
    the gravest action, and every reason once.
    """

    guard: Guard
    context: GuardContext
    on_error: OnError
    action: str = "pass"
    reasons: dict[str, None] = field(default_factory=_no_reasons)
    began: float = 0.0

    def __enter__(self) -> Self:
        self.began = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None or isinstance(error, GuardrailViolation):
            guarded("record guard verdict", None, self._record)

    def _record(self) -> None:
        fields = {
            "guard": self.guard.name,
            "rail": self.context.rail,
            "action": self.action,
            "reason": ", ".join(self.reasons) or None,
            "duration_ms": (time.perf_counter() - self.began) * 1000,
        }
        kept = {key: value for key, value in fields.items() if value is not None}
        current_span().add_event(EVENT_GUARD_VERDICT, kept)

    def decide(self, text: str, verdict: object, error: BaseException | None) -> str:
        """The text to go on with.

        Args:
            text: What was checked.
            verdict: What the guard said.
            error: What it raised instead, or None.

        Raises:
            GuardrailViolation: It blocked the text, or failed where that means the same.
        """
        if isinstance(error, GuardrailViolation):
            verdict, error = Verdict("block", reason=error.reason or "blocked"), None
        if error is None and not isinstance(verdict, Verdict):
            error = TypeError(f"check returned {type(verdict).__name__}, not Verdict")
        if error is not None:
            return self._failed(text, error)
        said = cast("Verdict", verdict)
        self._note(said.action, said.reason)
        if said.action == "block":
            raise self._violation(said.reason)
        return said.text if said.action == "redact" and said.text is not None else text

    def _failed(self, text: str, error: BaseException) -> str:
        # The type only: the message of an error may quote the text.
        reason = f"guard failed: {type(error).__name__}"
        if self.on_error == "open":
            self._note("error", reason)
            return text
        self._note("block", reason)
        # Not as its cause either: a traceback prints the messages of the whole chain, and spans keep tracebacks.
        raise self._violation(reason, _place_of(error)) from None

    def _note(self, action: str, reason: str) -> None:
        if _RANK[action] > _RANK[self.action]:
            self.action = action
        if reason:
            self.reasons[reason] = None

    def _violation(self, reason: str, place: str = "") -> GuardrailViolation:
        rail = self.context.rail
        return GuardrailViolation(
            f"the guard {self.guard.name!r} blocked the {rail}" + (f": {reason}" if reason else "") + place,
            guard=self.guard.name,
            rail=rail,
            reason=reason,
        )


def _place_of(error: BaseException) -> str:
    """Where a guard failed, for whoever mends it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def check_texts(texts: Sequence[str], guards: Sequence[Guard], context: GuardContext, on_error: OnError) -> list[str]:
    """The texts to go on with, after every guard in its order; each sees what the one before left.

    Args:
        texts: What to check.
        guards: In their order.
        context: What the guards may know.
        on_error: What a guard that fails means.

    Raises:
        GuardrailViolation: A guard blocked a text, or failed where that means the same.
    """
    checked = list(texts)
    for guard in guards:
        with _Turn(guard, context, on_error) as turn:
            for place, text in enumerate(checked):
                verdict = None
                with Caught() as caught:
                    verdict = guard.check(text, context)
                checked[place] = turn.decide(text, verdict, caught.error)
    return checked


async def acheck_texts(
    texts: Sequence[str], guards: Sequence[Guard], context: GuardContext, on_error: OnError
) -> list[str]:
    """The async twin of `check_texts`: uses a guard's `acheck` where it has one."""
    checked = list(texts)
    for guard in guards:
        acheck: Callable[[str, GuardContext], Awaitable[Any]] | None = getattr(guard, "acheck", None)
        with _Turn(guard, context, on_error) as turn:
            for place, text in enumerate(checked):
                verdict = None
                with Caught() as caught:
                    if acheck is not None:
                        verdict = await acheck(text, context)
                    elif len(text) < _LONG:
                        verdict = guard.check(text, context)
                    else:
                        verdict = await asyncio.to_thread(guard.check, text, context)
                checked[place] = turn.decide(text, verdict, caught.error)
    return checked
