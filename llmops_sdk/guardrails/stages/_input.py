"""The stage that checks what goes to a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from typing import cast

from llmops_sdk._util._public import public
from llmops_sdk.errors import GuardrailViolation
from llmops_sdk.guardrails._protocol import Guard, GuardContext, MaskMap, OnError, Rail
from llmops_sdk.guardrails._registry import policy_version
from llmops_sdk.guardrails.running._in_order import PLAIN, Texts, acheck_value, check_value
from llmops_sdk.guardrails.running._order import keeps_text
from llmops_sdk.guardrails.running._runner import GuardRun
from llmops_sdk.guardrails.stages._beside import Beside
from llmops_sdk.guardrails.stages._fallback import OpenModel, fallback_of
from llmops_sdk.guardrails.stages._texts_of import DEFINITIONS, MESSAGES, RESULTS
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response, WrapperProvider

__all__ = ["InputGuardProvider"]

_RAILS: tuple[tuple[Rail, Texts[Request]], ...] = (
    ("tool_definitions", DEFINITIONS),
    ("tool_results", RESULTS),
    ("input", MESSAGES),
)


@public("llmops_sdk.guardrails")
class InputGuardProvider(WrapperProvider):
    """A stage that checks every message before anything inside sees it: the cache, the attempts, the provider.

    Guards check texts and text parts of every role, tools' results, the arguments of the assistant's tool calls (which
    stay valid JSON), and texts to embed.

    Args:
        inner: The provider to call with what the guards leave.
        guards: The guards in order; each sees what the one before left.
        on_error: What happens when a guard fails: "closed" blocks the call, "open" lets it pass.
        tool_results: Guards on the results of tools, before the others.
        tool_definitions: Guards on the definitions of tools, before these.
        masks: The placeholders of the conversation, for guards that mask; who has the answer restores them.
        speculative: Whether the guards that keep the text run beside the call. Nothing of the answer leaves before
            their verdict, and a block cancels the call.
        on_checked: Called with each checked request, or None: before the provider inside, or after the verdict of
            guards that run beside it.
        on_sent: Called when a call begins before its verdict, or None.
        on_answer: Called with an answer or chunk that guards beside the call have blocked, or None.
        open_model: Opens the model of a guard's fallback, or None.

    Raises:
        GuardrailViolation: At a call: a guard blocked the input; without `speculative`, the provider inside was not
            called.
    """

    def __init__(
        self,
        inner: Provider,
        guards: Sequence[Guard],
        on_error: OnError = "closed",
        *,
        tool_results: Sequence[Guard] = (),
        tool_definitions: Sequence[Guard] = (),
        masks: MaskMap | None = None,
        speculative: bool = False,
        on_checked: Callable[[Request], None] | None = None,
        on_sent: Callable[[], None] | None = None,
        on_answer: Callable[[Response | Chunk], None] | None = None,
        open_model: OpenModel | None = None,
    ) -> None:
        super().__init__(inner)
        self.guards = tuple(guards)
        self.tool_results = tuple(tool_results)
        self.tool_definitions = tuple(tool_definitions)
        self.on_error: OnError = on_error
        self._masks = masks
        # Only the last ones: a guard that replaces the text must have done so before the call.
        count = _keeping_at_end(self.guards) if speculative else 0
        self._before, self._beside = self.guards[: len(self.guards) - count], self.guards[len(self.guards) - count :]
        self._on_checked = on_checked
        self._on_sent = on_sent
        self._on_answer = on_answer
        self._open_model = open_model
        self._versions = [policy_version(self._guards_of(rail, guards), on_error, rail=rail) for rail, _ in _RAILS]

    def complete(self, request: Request) -> Response:
        try:
            checked = self._versioned(self._checked(request, self._before))
            if not self._beside:
                self._note(checked)
                return self.inner.complete(checked)
            return self._sent(checked).complete(self._verdicts(checked), lambda: self.inner.complete(checked))
        except GuardrailViolation as error:
            provider, request = self._fallback(error, request)
        return provider.complete(request)

    async def acomplete(self, request: Request) -> Response:
        try:
            checked = self._versioned(await self._achecked(request, self._before))
            if not self._beside:
                self._note(checked)
                return await self.inner.acomplete(checked)
            return await self._sent(checked).acomplete(self._averdicts(checked), self._acomplete_inside(checked))
        except GuardrailViolation as error:
            provider, request = await self._afallback(error, request)
        return await provider.acomplete(request)

    async def _acomplete_inside(self, request: Request) -> Response:
        return await self.inner.acomplete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        try:
            checked = self._versioned(self._checked(request, self._before))
            chunks = self.inner.stream(checked)
            if self._beside:
                chunks = self._sent(checked).stream(self._verdicts(checked), chunks)
            else:
                self._note(checked)
            first = next(chunks, None)
        except GuardrailViolation as error:
            provider, request = self._fallback(error, request)
            chunks = provider.stream(request)
            first = next(chunks, None)
        with closing(cast("Generator[Chunk]", chunks)):
            if first is not None:
                yield first
                yield from chunks

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        try:
            checked = self._versioned(await self._achecked(request, self._before))
            chunks = self.inner.astream(checked)
            if self._beside:
                chunks = self._sent(checked).astream(self._averdicts(checked), chunks)
            else:
                self._note(checked)
            first = await anext(chunks, None)
        except GuardrailViolation as error:
            provider, request = await self._afallback(error, request)
            chunks = provider.astream(request)
            first = await anext(chunks, None)
        async with aclosing(cast("AsyncGenerator[Chunk]", chunks)):
            if first is not None:
                yield first
                async for chunk in chunks:
                    yield chunk

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        return self.inner.embed(self.check_texts(texts, request), request)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        return await self.inner.aembed(await self.acheck_texts(texts, request), request)

    def check_texts(self, texts: Sequence[str], request: Request) -> list[str]:
        """Return texts of a request as the guards leave them."""
        return check_value(list(texts), PLAIN, self._runs(self.guards, "input", request))

    async def acheck_texts(self, texts: Sequence[str], request: Request) -> list[str]:
        """Return texts of a request as the guards leave them, async."""
        return await acheck_value(list(texts), PLAIN, self._runs(self.guards, "input", request))

    def _runs(self, guards: Sequence[Guard], rail: Rail, request: Request) -> list[GuardRun]:
        context = GuardContext(rail=rail, model=request.model, masks=self._masks)
        return [GuardRun(guard, context, self.on_error) for guard in guards]

    def _guards_of(self, rail: Rail, inputs: Sequence[Guard]) -> Sequence[Guard]:
        return {"tool_definitions": self.tool_definitions, "tool_results": self.tool_results}.get(rail, inputs)

    def _checked(self, request: Request, inputs: Sequence[Guard], but: Guard | None = None) -> Request:
        for rail, texts in _RAILS:
            if guards := [guard for guard in self._guards_of(rail, inputs) if guard is not but]:
                runs = self._runs(guards, rail, request)
                request = _with_failures(check_value(request, texts, runs), runs)
        return request

    async def _achecked(self, request: Request, inputs: Sequence[Guard], but: Guard | None = None) -> Request:
        for rail, texts in _RAILS:
            if guards := [guard for guard in self._guards_of(rail, inputs) if guard is not but]:
                runs = self._runs(guards, rail, request)
                request = _with_failures(await acheck_value(request, texts, runs), runs)
        return request

    def _verdicts(self, request: Request) -> Callable[[], None]:
        """Return what runs beside the call: the guards that keep the text."""

        def check() -> None:
            check_value(request, MESSAGES, self._runs(self._beside, "input", request))

        return check

    async def _averdicts(self, request: Request) -> None:
        await acheck_value(request, MESSAGES, self._runs(self._beside, "input", request))

    def _versioned(self, request: Request) -> Request:
        # The version of the caller's other guards (those on the output) stays part of the cache's key.
        version = ":".join(filter(None, (request.policy_version, *self._versions)))
        return replace(request, policy_version=version)

    def _note(self, request: Request) -> None:
        if self._on_checked is not None:
            self._on_checked(request)

    def _sent(self, request: Request) -> Beside:
        """Return a call that is sent before its verdict."""
        if self._on_sent is not None:
            self._on_sent()
        return Beside(passed=lambda: self._note(request), blocked=self._on_answer)

    def _passed_on(self, request: Request) -> Request:
        request = self._versioned(request)
        # As with a block, nobody records the prompt: it has what the guard found.
        self._note(replace(request, messages=(), tools=()))
        return request

    def _fallback(self, error: GuardrailViolation, request: Request) -> tuple[Provider, Request]:
        """Return who answers instead; the other guards have checked the request for it.

        Raises:
            GuardrailViolation: The guard asks for no fallback, or another guard blocks.
        """
        found = self._found(error, request)
        if found is None:
            raise error
        provider, request, guard = found
        return provider, self._passed_on(self._checked(request, self.guards, guard))

    async def _afallback(self, error: GuardrailViolation, request: Request) -> tuple[Provider, Request]:
        found = self._found(error, request)
        if found is None:
            raise error
        provider, request, guard = found
        return provider, self._passed_on(await self._achecked(request, self.guards, guard))

    def _found(self, error: GuardrailViolation, request: Request) -> tuple[Provider, Request, Guard] | None:
        # A violation of a guard on the answer comes through here, too.
        for rail, _ in _RAILS:
            if error.rail == rail:
                return fallback_of(error, self._guards_of(rail, self.guards), request, self._open_model, self.inner)
        return None


def _with_failures(request: Request, runs: Sequence[GuardRun]) -> Request:
    return replace(request, unchecked=True) if any(run.failed for run in runs) else request


def _keeping_at_end(guards: Sequence[Guard]) -> int:
    count = 0
    for guard in reversed(guards):
        if not keeps_text(guard):
            break
        count += 1
    return count
