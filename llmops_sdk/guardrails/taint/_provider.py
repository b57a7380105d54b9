"""The stage that lets tool calls pass to the application only after the policy has judged them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any, cast

from llmops_sdk._util._public import public
from llmops_sdk.config import ToolRule
from llmops_sdk.errors import StreamInterruptedError
from llmops_sdk.guardrails._texts import put_messages, take_messages
from llmops_sdk.guardrails.masking._masks import Masks
from llmops_sdk.guardrails.masking._restore import restored_response
from llmops_sdk.guardrails.taint._policy import ToolPolicy
from llmops_sdk.guardrails.taint._rules import ReadyRules
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, ToolCall, WrapperProvider

__all__ = ["ToolPolicyProvider"]

_CONTENT = ("text", "reasoning", "thinking_blocks", "reasoning_details", "refusal")
"""The fields of a chunk that pass at once."""


@public("llmops_sdk.guardrails")
class ToolPolicyProvider(WrapperProvider):
    """A stage that checks the tool calls of an answer against a policy. It blocks the whole answer if one call fails.

    It stands outside the cache, so that a stored answer is judged again for each caller. A stream's text passes at
    once; its tool calls and what comes with them wait for its end.

    Args:
        inner: The provider whose answers are checked.
        policy: The policy.
        configured: The rules of the configuration, for the tools that the policy does not name.
        masks: The placeholders of the conversation: the policy judges the values, as the application gets them.
        restore_tools: The tools whose arguments get the values.
        on_answer: Called with each answer or chunk before it is checked, or None.

    Raises:
        GuardrailViolation: At a call: the policy does not allow a tool call.
        ConfigError: At a call: a rule names an argument that the tool does not have.
    """

    def __init__(
        self,
        inner: Provider,
        policy: ToolPolicy,
        *,
        configured: Mapping[str, ToolRule] | None = None,
        masks: Masks | None = None,
        restore_tools: Collection[str] = (),
        on_answer: Callable[[Response | Chunk], None] | None = None,
    ) -> None:
        super().__init__(inner)
        self.policy = policy
        self._configured = configured
        self._masks = masks
        self._restore_tools = restore_tools
        self._on_answer = on_answer

    def complete(self, request: Request) -> Response:
        rules = self._rules(request)
        try:
            response = self.inner.complete(request)
        except StreamInterruptedError as error:
            _drop_calls(error)
            raise
        self._seen(response)
        self._check(response.tool_calls, request, rules)
        return response

    async def acomplete(self, request: Request) -> Response:
        rules = self._rules(request)
        try:
            response = await self.inner.acomplete(request)
        except StreamInterruptedError as error:
            _drop_calls(error)
            raise
        self._seen(response)
        await self._acheck(response.tool_calls, request, rules)
        return response

    def stream(self, request: Request) -> Iterator[Chunk]:
        rules = self._rules(request)
        held = _HeldCalls()
        with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
            try:
                for chunk in chunks:
                    self._seen(chunk)
                    yield from held.add(chunk)
            except StreamInterruptedError as error:
                _drop_calls(error)
                raise
            self._check(held.calls(), request, rules)
            yield from held.chunks

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        rules = self._rules(request)
        held = _HeldCalls()
        async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
            try:
                async for chunk in chunks:
                    self._seen(chunk)
                    for released in held.add(chunk):
                        yield released
            except StreamInterruptedError as error:
                _drop_calls(error)
                raise
            await self._acheck(held.calls(), request, rules)
            for released in held.chunks:
                yield released

    def _rules(self, request: Request) -> ReadyRules:
        """Return the rules of a call, after a check that they fit its tools."""
        rules = self.policy.rules(self._configured)
        self.policy.check_definitions(request.tools, rules)
        return rules

    def _seen(self, answer: Response | Chunk) -> None:
        if self._on_answer is not None:
            self._on_answer(answer)

    def _check(self, calls: Sequence[ToolCall], request: Request, rules: ReadyRules) -> None:
        calls, messages = self._unmasked(calls, request)
        self.policy.check_calls(calls, messages, use="answer", rules=rules, model=request.model)

    async def _acheck(self, calls: Sequence[ToolCall], request: Request, rules: ReadyRules) -> None:
        calls, messages = self._unmasked(calls, request)
        await self.policy.acheck_calls(calls, messages, use="answer", rules=rules, model=request.model)

    def _unmasked(
        self, calls: Sequence[ToolCall], request: Request
    ) -> tuple[Sequence[ToolCall], Sequence[Mapping[str, Any]]]:
        """Return the calls as the application gets them, and the messages with placeholders and with values."""
        if not (self._masks and calls):
            return calls, request.messages
        restored = restored_response(Response(tool_calls=tuple(calls)), self._masks, self._restore_tools)
        values = [self._masks.restore(text) for text in take_messages(request.messages)]
        messages = put_messages(request.messages, iter(values))
        return restored.tool_calls, [one for pair in zip(request.messages, messages, strict=True) for one in pair]


class _HeldCalls:
    """The tool calls of a stream, which wait for its end."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self._whole = Accumulator()

    def add(self, chunk: Chunk) -> Iterator[Chunk]:
        """Hold the tool calls of a chunk, and what ends the answer after them; yield the rest."""
        if chunk.restarted:
            self.chunks = []
        self._whole.add(Chunk(tool_calls=chunk.tool_calls, restarted=chunk.restarted))
        if not chunk.tool_calls and not self.chunks:
            yield chunk
            return
        text = Chunk(restarted=chunk.restarted, **{name: getattr(chunk, name) for name in _CONTENT})
        if text != Chunk():
            yield text
        rest = replace(chunk, restarted=False, **{name: getattr(Chunk(), name) for name in _CONTENT})
        if rest != Chunk():
            self.chunks.append(rest)

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the whole calls."""
        return self._whole.response().tool_calls


def _drop_calls(error: StreamInterruptedError) -> None:
    """Remove the tool calls of a broken stream: they were not judged, and may be cut off."""
    if isinstance(error.partial, Response) and error.partial.tool_calls:
        error.partial = replace(error.partial, tool_calls=(), raw=None)
