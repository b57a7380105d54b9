"""One guard's run over the texts of one rail."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, cast

import orjson

from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk._util._unchecked import note_unchecked
from llmops_sdk.errors import GuardrailViolation
from llmops_sdk.guardrails._protocol import ACTIONS, Finding, Guard, GuardContext, OnError, Verdict
from llmops_sdk.guardrails.running._options import NO_OPTIONS, GuardOptions, options_of
from llmops_sdk.guardrails.running._order import is_slow
from llmops_sdk.guardrails.running._pool import CHECKS, GuardTimeoutError
from llmops_sdk.tracing import current_span, span
from llmops_sdk.tracing.records._semconv import EVENT_GUARD_VERDICT

__all__ = ["GuardRun"]

_LONG = 20_000
"""Length in characters from which a check without `acheck` leaves the event loop for a thread; slow ones always do."""
_RANK = {action: 2 * number for number, action in enumerate(ACTIONS)} | {"error": 1}
_REFUSING = frozenset({"reask", "fallback", "block"})
_MOST_FINDINGS = 64
"""How many places one event tells."""


@dataclass(slots=True, eq=False)
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
    own_span: bool = False
    """Whether a verdict outside of every span has a span of its own."""
    options: GuardOptions = NO_OPTIONS
    skipped: bool = False
    """Whether the guard does not run this time, because it runs in a share of the calls only."""
    score: float | None = None
    threshold: float | None = None
    truncated: bool = False
    found: list[tuple[int, Sequence[Finding]]] = field(default_factory=list[tuple[int, Sequence[Finding]]])
    """The number of each text with findings, and these; together at most `_MOST_FINDINGS`."""
    failed: bool = False
    """Whether it failed at a text, which passed."""
    _latest: float = 0.0

    def __post_init__(self) -> None:
        self.options = options_of(self.guard)
        self.on_error = self.options.on_error or self.on_error
        # Which calls are sampled is not for security.
        self.skipped = self.options.sample < 1 and random.random() >= self.options.sample  # noqa: S311

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A consumer that leaves a stream early raises GeneratorExit.
        over = error is None or (self.checks and isinstance(error, (GuardrailViolation, GeneratorExit)))
        if over and not self.skipped:
            guarded("record guard verdict", None, self._record)

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text that can be checked now."""
        settled: Callable[[str], object] | None = getattr(self.guard, "settled", None)
        if self.skipped:
            return len(text)
        if settled is None:
            return 0
        length: object = None
        with Caught():
            length = settled(text) if self.options.timeout is None else self._bounded_settled(settled, text)
        # A guard that cannot tell checks the whole text at the end.
        return length if isinstance(length, int) and 0 <= length <= len(text) else 0

    def _bounded_settled(self, settled: Callable[[str], object], text: str) -> object:
        began = time.perf_counter()
        try:
            return CHECKS.run(self._left(), settled, text)
        finally:
            self.seconds += time.perf_counter() - began

    def check(self, text: str) -> str:
        """Return the text as the guard leaves it.

        Raises:
            GuardrailViolation: The guard blocked the text, or failed and a failure blocks.
        """
        if self.skipped:
            return text
        verdict = None
        began = self._begin()
        with Caught() as caught:
            if self.options.timeout is None:
                verdict = self.guard.check(text, self.context)
            else:
                verdict = CHECKS.run(self._left(), self.guard.check, text, self.context)
        self._end(began)
        return self.apply(text, verdict, caught.error)

    async def acheck(self, text: str) -> str:
        """Return the text as the guard leaves it, async; use the guard's `acheck` where it has one."""
        if self.skipped:
            return text
        verdict = None
        began = self._begin()
        with Caught() as caught:
            verdict = await self._acheck(text)
        self._end(began)
        return self.apply(text, verdict, caught.error)

    async def _acheck(self, text: str) -> Any:
        acheck: Any = getattr(self.guard, "acheck", None)
        bounded = self.options.timeout is not None
        if acheck is not None and not bounded:
            return await acheck(text, self.context)
        if acheck is not None:
            bound = asyncio.timeout(self._left())
            try:
                async with bound:
                    return await acheck(text, self.context)
            except TimeoutError:
                if bound.expired():
                    raise GuardTimeoutError from None
                raise  # the guard's own
        if bounded:
            return await CHECKS.arun(self._left(), self.guard.check, text, self.context)
        if len(text) < _LONG and not is_slow(self.guard):
            return self.guard.check(text, self.context)
        return await asyncio.to_thread(self.guard.check, text, self.context)

    def _left(self) -> float:
        """Return the seconds that are left of the guard's time."""
        left = (self.options.timeout or 0.0) - self.seconds
        if left <= 0:
            raise GuardTimeoutError
        return left

    def _begin(self) -> float:
        self.checks += 1
        return time.perf_counter()

    def _end(self, began: float) -> None:
        self._latest = time.perf_counter() - began
        self.seconds += self._latest

    def _record(self) -> None:
        current = current_span()
        has_span = current.is_recording()
        if not (has_span or self.own_span):
            return
        fields = {
            "guard": self.guard.name,
            "rail": self.context.rail,
            "action": self.action,
            "reason": ", ".join(self.reasons) or None,
            "duration_ms": self.seconds * 1000,
            "version": self.guard.version,
            "score": self.score,
            "threshold": self.threshold,
            "findings": orjson.dumps(self._places()).decode() if self.found else None,
            "truncated": self.truncated or None,
        }
        kept = {key: value for key, value in fields.items() if value is not None}
        if not has_span:
            with span(f"guard {self.guard.name}", kind="guardrail") as own:
                own.add_event(EVENT_GUARD_VERDICT, kept)
        else:
            current.add_event(EVENT_GUARD_VERDICT, kept)

    def _places(self) -> list[dict[str, Any]]:
        return [
            {"text": number, "kind": one.kind, "start": one.start, "end": one.end}
            for number, findings in self.found
            for one in findings
        ]

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
            raise self._violation(decision.reason, action=decision.action)
        return text if decision.text is None or decision.action in {"pass", "flag"} else decision.text

    def _keep(self, verdict: Verdict) -> None:
        """Keep what the event tells: the highest score, and the places, never the text."""
        if verdict.score is not None and (self.score is None or verdict.score > self.score):
            self.score, self.threshold = verdict.score, verdict.threshold
        self.truncated = self.truncated or verdict.truncated
        left = _MOST_FINDINGS - sum(len(findings) for _, findings in self.found)
        if verdict.findings and left:
            self.found.append((self.checks - 1, verdict.findings[:left]))
        if self.verdicts is not None:
            guard, rail = self.guard, self.context.rail
            took = self._latest * 1000
            self.verdicts.append(replace(verdict, guard=guard.name, version=guard.version, rail=rail, duration_ms=took))

    def _failed(self, text: str, error: BaseException) -> str:
        # The type only: an error's message may quote the text.
        reason, place = f"guard failed: {type(error).__name__}", _place_of(error)
        if isinstance(error, GuardTimeoutError):
            reason, place = "the guard took longer than its time", ""
        if self.on_error == "open":
            self.failed = True
            note_unchecked()
            self._note("error", reason)
            self._keep(Verdict("pass", reason=reason))
            return text
        self._note("block", reason)
        self._keep(Verdict("block", reason=reason))
        # `from None`: a traceback prints the messages of the whole chain, and spans store tracebacks.
        raise self._violation(reason, place) from None

    def _note(self, action: str, reason: str) -> None:
        if _RANK[action] > _RANK[self.action]:
            self.action = action
        if reason:
            self.reasons[reason] = None

    def _violation(self, reason: str, place: str = "", action: str = "block") -> GuardrailViolation:
        rail = self.context.rail
        return GuardrailViolation(
            f"the guard {self.guard.name!r} blocked the {rail}" + (f": {reason}" if reason else "") + place,
            guard=self.guard.name,
            rail=rail,
            reason=reason,
            action=action,
        )


def _place_of(error: BaseException) -> str:
    """Return the file and line at which a guard failed, as a part of the message."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
