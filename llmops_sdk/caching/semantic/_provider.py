"""The stage that serves the answer of another question that asks for the same."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any, cast

import orjson

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk._util._public import public
from llmops_sdk.caching.exact._admission import admission, refused_request
from llmops_sdk.caching.exact._codec import read_response, write_response
from llmops_sdk.caching.exact._key import RequestKeys
from llmops_sdk.caching.semantic._scope import Question, question_of
from llmops_sdk.caching.semantic._store import SemanticStats, SemanticStore
from llmops_sdk.caching.semantic._tier import Finding
from llmops_sdk.config import CacheSettings
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, WrapperProvider, chunks_of
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_CACHE_LOOKUP

__all__ = ["SemanticProvider", "answer_text"]

_MOST_AUDITS = 4
"""How many audits run at a time; further ones are left out."""


@public("llmops_sdk.caching")
class SemanticProvider(WrapperProvider):
    """A stage that serves the answer of another question of the same scope, where that is safe, and learns.

    It stands below the exact tier. In shadow mode it serves nothing and records what it would have served. A served
    answer is not stored again, so that it neither spreads nor lives longer.

    Args:
        inner: The provider to call on a miss.
        settings: The settings of the cache.
        store: Where questions and answers are.
        identity: What distinguishes the model from others of its name, such as its server's URL.
        clock: The time.
        admit: As for `CacheProvider`.
    """

    def __init__(
        self,
        inner: Provider,
        settings: CacheSettings,
        store: SemanticStore,
        *,
        identity: str = "",
        clock: Clock = SYSTEM_CLOCK,
        admit: Callable[[Response], bool] | None = None,
    ) -> None:
        super().__init__(inner)
        self.settings = settings
        self._store = store
        self._clock = clock
        self._keys = RequestKeys(settings.namespace, identity)
        self._refused = admission(settings, admit)
        self._audits = threading.BoundedSemaphore(_MOST_AUDITS)

    def complete(self, request: Request) -> Response:
        question = self._question(request)
        if question is None:
            return self.inner.complete(request)
        finding = guarded("semantic look-up", None, self._store.find, question)
        if (served := self._serve(finding)) is not None:
            self._audit(finding, request)
            return served
        response = self.inner.complete(request)
        self._learn(finding, response)
        return response

    async def acomplete(self, request: Request) -> Response:
        question = self._question(request)
        if question is None:
            return await self.inner.acomplete(request)
        finding = await self._afind(question)
        if (served := self._serve(finding)) is not None:
            self._audit(finding, request)
            return served
        response = await self.inner.acomplete(request)
        await self._alearn(finding, response)
        return response

    def stream(self, request: Request) -> Iterator[Chunk]:
        question = self._question(request)
        if question is None:
            yield from self.inner.stream(request)
            return
        finding = guarded("semantic look-up", None, self._store.find, question)
        if (served := self._serve(finding)) is not None:
            self._audit(finding, request)
            yield from chunks_of(served)
            return
        whole = Accumulator()
        with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
            for chunk in chunks:
                whole.add(chunk)
                yield chunk
        self._learn(finding, whole.response())

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        question = self._question(request)
        finding = None if question is None else await self._afind(question)
        if (served := self._serve(finding)) is not None:
            self._audit(finding, request)
            for chunk in chunks_of(served):
                yield chunk
            return
        whole = Accumulator()
        async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
            async for chunk in chunks:
                whole.add(chunk)
                yield chunk
        await self._alearn(finding, whole.response())

    def stats(self) -> SemanticStats:
        """Return what the tier holds and what its labels say."""
        return self._store.stats()

    def close(self) -> None:
        self._store.close()
        self.inner.close()

    async def aclose(self) -> None:
        self._store.close()
        await self.inner.aclose()

    def _question(self, request: Request) -> Question | None:
        """Return the question in a request, or None, with the reason recorded."""
        if request.cache is False:
            return None
        reason = refused_request(request, self.settings)
        question = None if reason is not None else question_of(request, self._keys, self.settings.semantic.history)
        if question is None:
            _record({"hit": False, "decision": "bypassed", "reason": reason or "no_question"})
        return question

    async def _afind(self, question: Question) -> Finding | None:
        with Caught() as caught:
            return await self._store.afind(question)
        guarded("semantic look-up", None, _raise, caught.error)
        return None

    def _serve(self, finding: Finding | None) -> Response | None:
        """Return the answer to serve, or None; record the look-up in both cases."""
        if finding is None:
            return None
        stored = None if finding.value is None else guarded("semantic answer", None, _response, finding.value)
        served = stored if finding.decision == "served" else None
        age = max(0.0, self._clock.time() - finding.stored_at) if finding.best is not None else None
        fields: dict[str, object] = {"hit": served is not None, "decision": finding.decision, "reason": finding.reason}
        if finding.best is not None:
            fields |= {"similarity": finding.best.neighbour.similarity, "score": finding.best.score}
        if stored is not None and finding.decision in {"served", "would_serve"}:
            fields |= {"age_s": age} | ({} if stored.saved_cost is None else {"saved_cost": stored.saved_cost})
        _record(fields)
        return served

    def _learn(self, finding: Finding | None, response: Response) -> None:
        """Store a new answer where the rules allow it, and the label that it gives."""
        if finding is not None and self._refused(response) is None:
            right = self._judged(finding, response)
            group = None if right else self._store.group_of(finding, response.text)
            data = orjson.dumps(write_response(response))
            self._store.learn(finding, data, right=right, group=group, tags=self.settings.tags)

    async def _alearn(self, finding: Finding | None, response: Response) -> None:
        if finding is not None and self._refused(response) is None:
            right = await asyncio.to_thread(self._judged, finding, response)
            group = None if right else await asyncio.to_thread(self._store.group_of, finding, response.text)
            data = orjson.dumps(write_response(response))
            await self._store.alearn(finding, data, right=right, group=group, tags=self.settings.tags)

    def _judged(self, finding: Finding, response: Response) -> bool | None:
        right = self._store.is_right(finding, response.text)
        if right is not None and finding.best is not None:
            near = {"similarity": finding.best.neighbour.similarity, "score": finding.best.score}
            _record({"hit": False, "decision": "judged", "reason": "right" if right else "wrong", **near})
        return right

    def _audit(self, finding: Finding | None, request: Request) -> None:
        """Check an answer just served against a new one, on a thread that does not keep the process from ending."""
        if finding is None or not finding.audit or not self._audits.acquire(blocking=False):
            return

        def check() -> None:
            try:
                response = self.inner.complete(request)
                if self._refused(response) is None:
                    self._store.learn(finding, None, right=self._judged(finding, response))
            finally:
                self._audits.release()

        run: Callable[[], Any] = lambda: guarded("semantic audit", None, check)  # noqa: E731
        thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="llmops-audit", daemon=True)
        if guarded("semantic audit", True, thread.start):
            self._audits.release()


def answer_text(value: bytes) -> str | None:
    """Return the text of a stored answer, as the judge gets it, or None for bytes that are no answer."""
    stored = _response(value)
    return None if stored is None else stored.text


def _response(value: bytes) -> Response | None:
    stored = read_response(orjson.loads(value))
    return None if stored is None else replace(stored, cache="semantic")


def _record(fields: dict[str, object]) -> None:
    guarded("record cache lookup", None, current_span().add_event, EVENT_CACHE_LOOKUP, {"tier": "semantic", **fields})


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error
