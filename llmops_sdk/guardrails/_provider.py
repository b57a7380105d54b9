"""The stages that check what goes to a model and what comes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, closing, suppress
from dataclasses import replace
from typing import TypeVar, cast

from llmops_sdk._util._public import public
from llmops_sdk.errors import GuardrailViolation, StreamInterruptedError
from llmops_sdk.guardrails._protocol import Guard, GuardContext, OnError, Rail
from llmops_sdk.guardrails._reasoning import has_blocks, take_blocks, without_blocks
from llmops_sdk.guardrails._registry import policy_version
from llmops_sdk.guardrails._runner import GuardRun, acheck_texts, check_texts
from llmops_sdk.guardrails._stream import ChunkWindow
from llmops_sdk.guardrails._texts import (
    put_calls,
    put_messages,
    put_response,
    take_calls,
    take_messages,
    take_response,
)
from llmops_sdk.guardrails._window import arun_checks, run_checks
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response, WrapperProvider

__all__ = ["InputGuardProvider", "OutputGuardProvider"]

_Answer = TypeVar("_Answer", Response, Chunk)


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
        on_checked: Called with each checked request before the provider inside, or None.

    Raises:
        GuardrailViolation: At a call: a guard blocked the input; the provider inside was not called.
    """

    def __init__(
        self,
        inner: Provider,
        guards: Sequence[Guard],
        on_error: OnError = "closed",
        *,
        tool_results: Sequence[Guard] = (),
        on_checked: Callable[[Request], None] | None = None,
    ) -> None:
        super().__init__(inner)
        self.guards = tuple(guards)
        self.tool_results = tuple(tool_results)
        self.on_error: OnError = on_error
        self._on_checked = on_checked
        self._version = policy_version((*self.guards, *self.tool_results), on_error)

    def complete(self, request: Request) -> Response:
        return self.inner.complete(self._checked(request))

    async def acomplete(self, request: Request) -> Response:
        return await self.inner.acomplete(await self._achecked(request))

    def stream(self, request: Request) -> Iterator[Chunk]:
        yield from self.inner.stream(self._checked(request))

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        chunks = cast("AsyncGenerator[Chunk]", self.inner.astream(await self._achecked(request)))
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        return self.inner.embed(self.check_texts(texts, request), request)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        return await self.inner.aembed(await self.acheck_texts(texts, request), request)

    def check_texts(self, texts: Sequence[str], request: Request) -> list[str]:
        """Return texts of a request as the guards leave them."""
        return check_texts(texts, self.guards, GuardContext(rail="input", model=request.model), self.on_error)

    async def acheck_texts(self, texts: Sequence[str], request: Request) -> list[str]:
        """Return texts of a request as the guards leave them, async."""
        context = GuardContext(rail="input", model=request.model)
        return await acheck_texts(texts, self.guards, context, self.on_error)

    def _checked(self, request: Request) -> Request:
        if self.tool_results:
            results = list(take_messages(request.messages, role="tool"))
            context = GuardContext(rail="tool_results", model=request.model)
            checked = check_texts(results, self.tool_results, context, self.on_error)
            request = _with(request, results, checked, role="tool")
        texts = list(take_messages(request.messages))
        return self._passed_on(_with(request, texts, self.check_texts(texts, request)))

    async def _achecked(self, request: Request) -> Request:
        if self.tool_results:
            results = list(take_messages(request.messages, role="tool"))
            context = GuardContext(rail="tool_results", model=request.model)
            checked = await acheck_texts(results, self.tool_results, context, self.on_error)
            request = _with(request, results, checked, role="tool")
        texts = list(take_messages(request.messages))
        return self._passed_on(_with(request, texts, await self.acheck_texts(texts, request)))

    def _passed_on(self, request: Request) -> Request:
        # The version of the caller's other guards (those on the output) stays part of the cache's key.
        version = ":".join(filter(None, (request.policy_version, self._version)))
        request = replace(request, policy_version=version)
        if self._on_checked is not None:
            self._on_checked(request)
        return request


def _with(request: Request, texts: list[str], checked: list[str], role: str | None = None) -> Request:
    if checked == texts:
        return request
    return replace(request, messages=put_messages(request.messages, iter(checked), role=role))


@public("llmops_sdk.guardrails")
class OutputGuardProvider(WrapperProvider):
    """A stage that checks the answer before anything outside sees it: text, reasoning, and tool calls' arguments.

    It releases a chunk of a stream when no later text can change the verdicts on it. With guards that have no `settled`
    method, that is the end of the stream.

    Args:
        inner: The provider whose answers are checked.
        guards: The guards in order; each sees what the one before left.
        on_error: What happens when a guard fails: "closed" blocks the answer, "open" lets it pass.
        tool_arguments: Guards on the arguments of tool calls, after the others.
        on_answer: Called with each answer or chunk before it is checked, or None.

    Raises:
        GuardrailViolation: At a call: a guard blocked the output. The caller gets nothing of it, but may have got an
            earlier part of a stream if every guard has `settled` that part.
    """

    def __init__(
        self,
        inner: Provider,
        guards: Sequence[Guard],
        on_error: OnError = "closed",
        *,
        tool_arguments: Sequence[Guard] = (),
        on_answer: Callable[[Response | Chunk], None] | None = None,
    ) -> None:
        super().__init__(inner)
        self.guards = tuple(guards)
        self.tool_arguments = tuple(tool_arguments)
        self.on_error: OnError = on_error
        self._on_answer = on_answer

    def complete(self, request: Request) -> Response:
        try:
            response = self._seen(self.inner.complete(request))
        except StreamInterruptedError as error:
            self._check_partial(error, request)
            raise
        return self._checked(response, request)

    async def acomplete(self, request: Request) -> Response:
        try:
            response = self._seen(await self.inner.acomplete(request))
        except StreamInterruptedError as error:
            await self._acheck_partial(error, request)
            raise
        return await self._achecked(response, request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        with ExitStack() as stack:
            window = self._window(request, stack)
            chunks = stack.enter_context(closing(cast("Generator[Chunk]", self.inner.stream(request))))
            try:
                for chunk in chunks:
                    self._seen(chunk)
                    yield from run_checks(window.add(chunk))
            except StreamInterruptedError as error:
                self._check_partial(error, request)
                raise
            yield from run_checks(window.finish())

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        async with AsyncExitStack() as stack:
            window = self._window(request, stack)
            chunks = cast("AsyncGenerator[Chunk]", self.inner.astream(request))
            await stack.enter_async_context(aclosing(chunks))
            try:
                async for chunk in chunks:
                    self._seen(chunk)
                    for released in await arun_checks(window.add(chunk)):
                        yield released
            except StreamInterruptedError as error:
                await self._acheck_partial(error, request)
                raise
            for released in await arun_checks(window.finish()):
                yield released

    def _window(self, request: Request, stack: ExitStack | AsyncExitStack) -> ChunkWindow:
        def runs(guards: Sequence[Guard], context: GuardContext) -> list[GuardRun]:
            return [stack.enter_context(GuardRun(guard, context, self.on_error)) for guard in guards]

        return ChunkWindow(
            runs(self.guards, self._context(request)),
            runs(self.tool_arguments, self._context(request, "tool_arguments")),
        )

    def _seen(self, answer: _Answer) -> _Answer:
        if self._on_answer is not None:
            self._on_answer(answer)
        return answer

    def _context(self, request: Request, rail: Rail = "output") -> GuardContext:
        return GuardContext(rail=rail, model=request.model)

    def _checked(self, response: Response, request: Request) -> Response:
        texts = [*take_response(response), *take_blocks(response)]
        checked = check_texts(texts, self.guards, self._context(request), self.on_error)
        response = _with_texts(response, texts, checked)
        if not (self.tool_arguments and response.tool_calls):
            return response
        texts, context = list(take_calls(response.tool_calls)), self._context(request, "tool_arguments")
        return _with_calls(response, iter(check_texts(texts, self.tool_arguments, context, self.on_error)))

    async def _achecked(self, response: Response, request: Request) -> Response:
        texts = [*take_response(response), *take_blocks(response)]
        checked = await acheck_texts(texts, self.guards, self._context(request), self.on_error)
        response = _with_texts(response, texts, checked)
        if not (self.tool_arguments and response.tool_calls):
            return response
        texts, context = list(take_calls(response.tool_calls)), self._context(request, "tool_arguments")
        return _with_calls(response, iter(await acheck_texts(texts, self.tool_arguments, context, self.on_error)))

    def _check_partial(self, error: StreamInterruptedError, request: Request) -> None:
        """Check the partial answer of a broken stream, and remove one that is blocked."""
        partial, error.partial = error.partial, None
        if isinstance(partial, Response):
            with suppress(GuardrailViolation):
                error.partial = self._checked(partial, request)

    async def _acheck_partial(self, error: StreamInterruptedError, request: Request) -> None:
        partial, error.partial = error.partial, None
        if isinstance(partial, Response):
            with suppress(GuardrailViolation):
                error.partial = await self._achecked(partial, request)


def _with_calls(response: Response, checked: Iterator[str]) -> Response:
    calls = put_calls(response.tool_calls, checked)
    return response if calls == response.tool_calls else replace(response, tool_calls=calls, raw=None)


def _with_texts(response: Response, texts: list[str], checked: list[str]) -> Response:
    """Return the answer with the checked texts, and without blocks of reasoning whose text a guard changed."""
    left = iter(checked)
    new = put_response(response, left)
    blocks = list(left)
    changed = new.reasoning != response.reasoning or blocks != texts[len(texts) - len(blocks) :]
    return replace(new, raw=None, **without_blocks()) if changed and has_blocks(response) else new
