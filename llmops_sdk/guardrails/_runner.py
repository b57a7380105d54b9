"""Run guards in order over the texts of one rail."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, cast

import orjson

from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk.errors import GuardrailViolation
from llmops_sdk.guardrails._protocol import ACTIONS, Guard, GuardContext, OnError, Verdict
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_GUARD_VERDICT

__all__ = ["GuardRun", "acheck_texts", "check_texts"]

_LONG = 20_000
"""Length in characters from which a check without `acheck` runs in a thread, off the event loop."""
_RANK = {action: 2 * number for number, action in enumerate(ACTIONS)} | {"error": 1}
_REFUSING = frozenset({"reask", "fallback", "block"})
_MOST_FINDINGS = 64
"""How many places one event tells."""


@dataclass(slots=True)
class GuardRun:
    """One guard's run over all texts of a rail: checks, measures, applies verdicts, and records one event at its end.

    One event per text would bury the important verdict of a long conversation. The event has the gravest action, and
    every reason once.
    """

    guard: Guard
    context: GuardContext
    on_error: OnError
    action: str = "pass"
    reasons: dict[str, None] = field(default_factory=dict[str, None])
    checks: int = 0
    seconds: float = 0.0
    verdicts: list[Verdict] | None = None
    """Every verdict, if the caller gives a list for them."""
    score: float | None = None
    threshold: float | None = None
    truncated: bool = False
    found: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The places of the findings, with the number of the text."""
    _latest: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A consumer that leaves a stream early raises GeneratorExit.
        if error is None or (self.checks and isinstance(error, (GuardrailViolation, GeneratorExit))):
            guarded("record guard verdict", None, self._record)

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text that can be checked now."""
        settled: Callable[[str], int] | None = getattr(self.guard, "settled", None)
        if settled is None:
            return 0
        length = 0
        with Caught() as caught:
            length = settled(text)
        return length if caught.error is None and 0 <= length <= len(text) else 0

    def check(self, text: str) -> str:
        """Return the text as the guard leaves it.

        Raises:
            GuardrailViolation: The guard blocked the text, or failed and a failure blocks.
        """
        verdict = None
        with Caught() as caught, self._measured():
            verdict = self.guard.check(text, self.context)
        return self.apply(text, verdict, caught.error)

    async def acheck(self, text: str) -> str:
        """Return the text as the guard leaves it, async; use the guard's `acheck` where it has one."""
        acheck: Callable[[str, GuardContext], Awaitable[Any]] | None = getattr(self.guard, "acheck", None)
        verdict = None
        with Caught() as caught, self._measured():
            if acheck is not None:
                verdict = await acheck(text, self.context)
            elif len(text) < _LONG:
                verdict = self.guard.check(text, self.context)
            else:
                verdict = await asyncio.to_thread(self.guard.check, text, self.context)
        return self.apply(text, verdict, caught.error)

    @contextmanager
    def _measured(self) -> Generator[None]:
        self.checks += 1
        began = time.perf_counter()
        try:
            yield
        finally:
            self._latest = time.perf_counter() - began
            self.seconds += self._latest

    def _record(self) -> None:
        fields = {
            "guard": self.guard.name,
            "rail": self.context.rail,
            "action": self.action,
            "reason": ", ".join(self.reasons) or None,
            "duration_ms": self.seconds * 1000,
            "version": self.guard.version,
            "score": self.score,
            "threshold": self.threshold,
            "findings": orjson.dumps(self.found).decode() if self.found else None,
            "truncated": self.truncated or None,
        }
        kept = {key: value for key, value in fields.items() if value is not None}
        current_span().add_event(EVENT_GUARD_VERDICT, kept)

    def apply(self, text: str, verdict: object, error: BaseException | None) -> str:
        """Return the text as the verdict, or the error raised instead, leaves it.

        Raises:
            GuardrailViolation: The guard blocked the text, or failed and a failure blocks.
        """
        if isinstance(error, GuardrailViolation):
            verdict, error = Verdict("block", reason=error.reason or "blocked"), None
        if error is None and not isinstance(verdict, Verdict):
            error = TypeError(f"check() must return a Verdict, not {type(verdict).__name__}")
        if error is not None:
            return self._failed(text, error)
        decision = cast("Verdict", verdict)
        self._note(decision.action, decision.reason)
        self._keep(decision)
        if decision.action in _REFUSING:
            raise self._violation(decision.reason)
        return text if decision.text is None or decision.action in {"pass", "flag"} else decision.text

    def _keep(self, verdict: Verdict) -> None:
        """Keep what the event tells: the highest score, and the places, never the text."""
        if verdict.score is not None and (self.score is None or verdict.score > self.score):
            self.score, self.threshold = verdict.score, verdict.threshold
        self.truncated = self.truncated or verdict.truncated
        left = _MOST_FINDINGS - len(self.found)
        for one in verdict.findings[:left]:
            self.found.append({"text": self.checks - 1, "kind": one.kind, "start": one.start, "end": one.end})
        if self.verdicts is not None:
            guard, rail = self.guard, self.context.rail
            took = self._latest * 1000
            self.verdicts.append(replace(verdict, guard=guard.name, version=guard.version, rail=rail, duration_ms=took))

    def _failed(self, text: str, error: BaseException) -> str:
        # The type only: an error's message may quote the text.
        reason = f"guard failed: {type(error).__name__}"
        if self.on_error == "open":
            self._note("error", reason)
            self._keep(Verdict("pass", reason=reason))
            return text
        self._note("block", reason)
        self._keep(Verdict("block", reason=reason))
        # `from None`: a traceback prints the messages of the whole chain, and spans store tracebacks.
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
    """Return the file and line at which a guard failed, as a part of the message."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def check_texts(texts: Sequence[str], guards: Sequence[Guard], context: GuardContext, on_error: OnError) -> list[str]:
    """Return the texts as the guards leave them; each guard sees what the one before left.

    Raises:
        GuardrailViolation: A guard blocked a text, or failed where `on_error` is "closed".
    """
    checked = list(texts)
    for guard in guards:
        with GuardRun(guard, context, on_error) as run:
            for place, text in enumerate(checked):
                checked[place] = run.check(text)
    return checked


async def acheck_texts(
    texts: Sequence[str], guards: Sequence[Guard], context: GuardContext, on_error: OnError
) -> list[str]:
    """Return the texts as the guards leave them, async; use a guard's `acheck` where it has one."""
    checked = list(texts)
    for guard in guards:
        with GuardRun(guard, context, on_error) as run:
            for place, text in enumerate(checked):
                checked[place] = await run.acheck(text)
    return checked
