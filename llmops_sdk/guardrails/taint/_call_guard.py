"""The guard that judges the tool calls of one answer, and asks a person about those that need it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from llmops_sdk._util._clock import Clock
from llmops_sdk.guardrails._protocol import GuardContext, Verdict
from llmops_sdk.guardrails.taint._approvals import ApprovalRequest, Approvals, Use
from llmops_sdk.guardrails.taint._arguments import call_digest
from llmops_sdk.guardrails.taint._ask import Approve, aask, ask
from llmops_sdk.guardrails.taint._conversation import conversation_of
from llmops_sdk.guardrails.taint._provenance import Conversation
from llmops_sdk.guardrails.taint._rules import Judgement, ReadyRule, ReadyRules
from llmops_sdk.providers import ToolCall

__all__ = ["ApprovalSettings", "CallGuard"]

_Asking: TypeAlias = tuple[ToolCall, ReadyRule, Judgement]

_LONG = 20_000
"""Length of a conversation and a call in characters from which they are judged in a thread, off the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSettings:
    """How a policy gets the approvals of persons."""

    approve: Approve | None
    timeout: float
    approvals: Approvals
    scope: str
    clock: Clock

    def request(self, tool: str, judgement: Judgement) -> ApprovalRequest:
        """Return what a person is asked."""
        return ApprovalRequest(
            digest=call_digest(self.scope, tool, judgement.values),
            tool=tool,
            arguments=judgement.values,
            reason=judgement.asks,
            tainted=judgement.tainted,
            scope=self.scope,
            created=self.clock.time(),
        )


class CallGuard:
    """Judges the calls of one answer. Made for one check, so that a `GuardRun` measures, applies and records it.

    Args:
        rules: The rules in force.
        settings: How persons approve.
        messages: The messages that the model saw.
        use: Which use of an approval the check spends.
    """

    name = "tool_policy"

    def __init__(
        self, rules: ReadyRules, settings: ApprovalSettings, messages: Sequence[Mapping[str, Any]], use: Use
    ) -> None:
        self.version = rules.version
        self._rules = rules
        self._settings = settings
        self._messages = messages
        self._use: Use = use
        self._conversation: Conversation | None = None
        self._waiting: list[_Asking] = []
        self._call: ToolCall | None = None
        self._asking: _Asking | None = None

    def covers(self, call: ToolCall) -> bool:
        """Return whether a call can break a rule."""
        return self._rules.covers(call.name)

    def steps(self, calls: Sequence[ToolCall]) -> Iterator[str]:
        """Yield the text of each check: first all calls are judged, then persons are asked."""
        for call in calls:
            self._call, self._asking = call, None
            yield call.arguments
        for asking in self._waiting:
            self._asking = asking
            yield asking[0].arguments

    def check(self, text: str, context: GuardContext) -> Verdict:  # noqa: ARG002 - the text is that of the call
        """Return the verdict on the call of this step."""
        if self._asking is None:
            return self._judged()
        approve, request, early = self._prepared(self._asking)
        if early is not None or approve is None:
            return early or self._unanswered(request, "needed")
        try:
            return self._answered(request, is_approved=ask(approve, request, self._settings.timeout))
        except TimeoutError:
            return self._unanswered(request, "timed out")

    async def acheck(self, text: str, context: GuardContext) -> Verdict:  # noqa: ARG002 - as in check
        """Return the verdict on the call of this step, async."""
        if self._asking is None:
            is_long = self._read().size + len(text) > _LONG
            return await asyncio.to_thread(self._judged) if is_long else self._judged()
        approve, request, early = self._prepared(self._asking)
        if early is not None or approve is None:
            return early or self._unanswered(request, "needed")
        try:
            return self._answered(request, is_approved=await aask(approve, request, self._settings.timeout))
        except TimeoutError:
            return self._unanswered(request, "timed out")

    def _read(self) -> Conversation:
        if self._conversation is None:
            self._conversation = conversation_of(self._messages, self._rules.trusted_tools)
        return self._conversation

    def _judged(self) -> Verdict:
        call = self._call
        rule = self._rules.of(call.name) if call is not None else None
        if call is None or rule is None:
            return Verdict("pass")
        judgement = rule.judge(call.arguments, self._read())
        if judgement.blocked:
            return Verdict("block", reason=judgement.blocked, findings=judgement.findings)
        if judgement.asks:
            self._waiting.append((call, rule, judgement))
        return Verdict("pass", findings=judgement.findings)

    def _prepared(self, asking: _Asking) -> tuple[Approve | None, ApprovalRequest, Verdict | None]:
        """Return whom to ask, the question, and the verdict where the call is approved already."""
        call, _, judgement = asking
        request = self._settings.request(call.name, judgement)
        if self._settings.approvals.take(request.digest, self._use):
            return None, request, Verdict("flag", reason=f"approved: {self._label}")
        return self._settings.approve, request, None

    @property
    def _label(self) -> str:
        return self._asking[1].label if self._asking is not None else ""

    def _answered(self, request: ApprovalRequest, *, is_approved: bool) -> Verdict:
        if not is_approved:
            return Verdict("block", reason=f"approval refused: {self._label}")
        if self._use == "answer":
            self._settings.approvals.allow_run(request.digest)
        return Verdict("flag", reason=f"approved: {self._label}")

    def _unanswered(self, request: ApprovalRequest, how: str) -> Verdict:
        self._settings.approvals.add_pending(request)
        return Verdict("block", reason=f"approval {how}: {self._label}")
