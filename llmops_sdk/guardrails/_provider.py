"""The stages that check what goes to a model and what comes from it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from typing import cast

from llmops_sdk._util._public import public
from llmops_sdk.errors import GuardrailViolation, StreamInterruptedError
from llmops_sdk.guardrails._protocol import Guard, GuardContext, OnError
from llmops_sdk.guardrails._registry import policy_version
from llmops_sdk.guardrails._runner import acheck_texts, check_texts
from llmops_sdk.guardrails._texts import put_messages, put_response, take_messages, take_response
from llmops_sdk.providers import Accumulator, Chunk, Embeddings, Provider, Request, Response, WrapperProvider, chunks_of

__all__ = ["InputGuardProvider", "OutputGuardProvider"]


@public("llmops_sdk.guardrails")
class InputGuardProvider(WrapperProvider):
    """Checks every message before anything inside sees it: the cache, the trace of an attempt, the provider.

    Checked are texts and text parts of every role, tools' results, and the arguments of the assistant's tool calls,
    which stay valid JSON.

    Args:
        inner: The provider that is called with what is left.
        guards: In their order; each sees what the one before left.
        on_error: What a guard that fails means: "closed" blocks the call, "open" lets it pass.
    """

    def __init__(self, inner: Provider, guards: Sequence[Guard], on_error: OnError = "closed") -> None:
        super().__init__(inner)
        self.guards = tuple(guards)
        self.on_error: OnError = on_error
        self._version = policy_version(self.guards, on_error)

    def complete(self, request: Request) -> Response:
        """The whole answer.

        Raises:
            GuardrailViolation: A guard blocked the input.
        """
        return self.inner.complete(self._checked(request))

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async.

        Raises:
            GuardrailViolation: A guard blocked the input.
        """
        return await self.inner.acomplete(await self._achecked(request))

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces.

        Raises:
            GuardrailViolation: A guard blocked the input; nothing was asked.
        """
        yield from self.inner.stream(self._checked(request))

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async.

        Raises:
            GuardrailViolation: A guard blocked the input; nothing was asked.
        """
        chunks = cast("AsyncGenerator[Chunk]", self.inner.astream(await self._achecked(request)))
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`, which are checked like messages.

        Raises:
            GuardrailViolation: A guard blocked the input.
        """
        return self.inner.embed(check_texts(texts, self.guards, self._context(request), self.on_error), request)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`, which are checked like messages, async.

        Raises:
            GuardrailViolation: A guard blocked the input.
        """
        checked = await acheck_texts(texts, self.guards, self._context(request), self.on_error)
        return await self.inner.aembed(checked, request)

    def _context(self, request: Request) -> GuardContext:
        return GuardContext(rail="input", model=request.model)

    def _checked(self, request: Request) -> Request:
        texts = list(take_messages(request.messages))
        return self._with(request, texts, check_texts(texts, self.guards, self._context(request), self.on_error))

    async def _achecked(self, request: Request) -> Request:
        texts = list(take_messages(request.messages))
        checked = await acheck_texts(texts, self.guards, self._context(request), self.on_error)
        return self._with(request, texts, checked)

    def _with(self, request: Request, texts: list[str], checked: list[str]) -> Request:
        messages = request.messages if checked == texts else put_messages(request.messages, iter(checked))
        # What the caller already said of its guards (those on the output) stays part of the key.
        version = ":".join(filter(None, (request.policy_version, self._version)))
        return replace(request, messages=messages, policy_version=version)


@public("llmops_sdk.guardrails")
class OutputGuardProvider(WrapperProvider):
    """Checks the answer before anything outside sees it: text, reasoning, and the arguments of tool calls.

    A stream is held back until it is whole and checked, then released: its chunks as they came when nothing was
    redacted, else the redacted answer in new ones.

    Args:
        inner: The provider whose answers are checked.
        guards: In their order; each sees what the one before left.
        on_error: What a guard that fails means: "closed" blocks the answer, "open" lets it pass.
    """

    def __init__(self, inner: Provider, guards: Sequence[Guard], on_error: OnError = "closed") -> None:
        super().__init__(inner)
        self.guards = tuple(guards)
        self.on_error: OnError = on_error

    def complete(self, request: Request) -> Response:
        """The whole answer.

        Raises:
            GuardrailViolation: A guard blocked the output.
        """
        try:
            response = self.inner.complete(request)
        except StreamInterruptedError as error:
            self._mend(error, request)
            raise
        return self._checked(response, request)

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async.

        Raises:
            GuardrailViolation: A guard blocked the output.
        """
        try:
            response = await self.inner.acomplete(request)
        except StreamInterruptedError as error:
            await self._amend(error, request)
            raise
        return await self._achecked(response, request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces, all at its end.

        Raises:
            GuardrailViolation: A guard blocked the output; no piece of it was given.
        """
        whole, held = Accumulator(), list[Chunk]()
        try:
            with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
                for chunk in chunks:
                    whole.add(chunk)
                    _hold(chunk, held)
        except StreamInterruptedError as error:
            self._mend(error, request)
            raise
        response = whole.response()
        yield from _released(held, response, self._checked(response, request))

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, all at its end, async.

        Raises:
            GuardrailViolation: A guard blocked the output; no piece of it was given.
        """
        whole, held = Accumulator(), list[Chunk]()
        try:
            async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
                async for chunk in chunks:
                    whole.add(chunk)
                    _hold(chunk, held)
        except StreamInterruptedError as error:
            await self._amend(error, request)
            raise
        response = whole.response()
        for chunk in _released(held, response, await self._achecked(response, request)):
            yield chunk

    def _context(self, request: Request) -> GuardContext:
        return GuardContext(rail="output", model=request.model)

    def _checked(self, response: Response, request: Request) -> Response:
        texts = list(take_response(response))
        return put_response(response, iter(check_texts(texts, self.guards, self._context(request), self.on_error)))

    async def _achecked(self, response: Response, request: Request) -> Response:
        texts = list(take_response(response))
        checked = await acheck_texts(texts, self.guards, self._context(request), self.on_error)
        return put_response(response, iter(checked))

    def _mend(self, error: StreamInterruptedError, request: Request) -> None:
        """What had come of a broken answer is an answer too: it is checked, or taken away."""
        partial, error.partial = error.partial, None
        if isinstance(partial, Response):
            try:
                error.partial = self._checked(partial, request)
            except GuardrailViolation:
                return

    async def _amend(self, error: StreamInterruptedError, request: Request) -> None:
        partial, error.partial = error.partial, None
        if isinstance(partial, Response):
            try:
                error.partial = await self._achecked(partial, request)
            except GuardrailViolation:
                return


def _hold(chunk: Chunk, held: list[Chunk]) -> None:
    """Hold a chunk back; nobody has seen what another model's answer makes void."""
    if chunk.restarted:
        held.clear()
        chunk = replace(chunk, restarted=False)
    held.append(chunk)


def _released(held: list[Chunk], response: Response, checked: Response) -> Iterator[Chunk]:
    """The chunks of a checked answer."""
    return iter(held) if checked is response else chunks_of(checked)
