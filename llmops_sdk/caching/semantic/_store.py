"""The semantic tier as its users call it: embed, look up and learn, sync and async, from any thread."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._public import public
from llmops_sdk.caching.backends._open import SEMANTIC
from llmops_sdk.caching.backends._worker import Session, Worker
from llmops_sdk.caching.semantic._decide import Judged, Verdict
from llmops_sdk.caching.semantic._entries import SemanticBackend
from llmops_sdk.caching.semantic._judge import Judge, judge_of, matcher_of
from llmops_sdk.caching.semantic._scope import Question
from llmops_sdk.caching.semantic._tier import LOADING, Finding, SemanticTier, TierSettings
from llmops_sdk.caching.semantic.stores._postgres import PostgresSemanticBackend
from llmops_sdk.caching.semantic.stores._sqlite import SqliteBackend
from llmops_sdk.config import SharedSettings
from llmops_sdk.embeddings import AsyncEmbedder, Embedder
from llmops_sdk.shared._server import SharedServer

__all__ = ["MAX_VALUE", "SemanticStats", "SemanticStore", "is_encodable", "open_on_disk"]

MAX_VALUE = 1_000_000  # bytes of a stored answer; of a longer one only the label counts
_MAX_SCOPE = 256  # characters; a longer scope is stored as its digest
_MAX_TEXT = 32_000  # characters of a question; longer ones are neither found nor stored


@public("llmops_sdk.caching")
@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticStats:
    """What a semantic cache holds and what its labels say.

    Attributes:
        entries: Stored questions.
        bytes: Size on the disk.
        labels: How many stored answers were judged, without those that are served for their wording.
        threshold: The lowest score that is served, or None while no labels certify one.
        error: The share of wrong answers at or above that threshold, by the labels; None without any.
        audited: How many served answers were checked since, with those served for their wording.
        audited_wrong: How many of these were wrong.
        loading: Whether a large scope is still read into memory: look-ups in it find nothing until that is done.
        paused: Whether nothing is served by its score for now, since the latest labels are worse than earlier ones of
            the same scores. `threshold` is then None. New labels end this, or discard the earlier ones.
    """

    entries: int = 0
    bytes: int = 0
    labels: int = 0
    threshold: float | None = None
    error: float | None = None
    audited: int = 0
    audited_wrong: int = 0
    loading: bool = False
    paused: bool = False


class SemanticStore:
    """Looks up and learns in one store with one embedder and one judge. A failure of the store is a miss.

    Args:
        worker: The store's thread.
        embedder: Makes the vectors.
        judge: Says whether two answers say the same.
        read: Returns the answer of a stored value, as the judge gets it.
    """

    def __init__(
        self,
        worker: Worker[SemanticTier, Session[SemanticTier]],
        embedder: Embedder,
        judge: str | Judge,
        read: Callable[[bytes], Any],
    ) -> None:
        self._worker = worker
        self._embedder = embedder
        self._judge = judge_of(judge, embedder)
        self._matches = matcher_of(judge, embedder)
        self._read = read
        self._loads: set[tuple[int, str]] = set()  # processes and scopes whose next part is about to be read

    def find(self, question: Question) -> Finding | None:
        """Return what the tier knows about a question; None for one that it does not take, and when the store fails.

        Raises:
            EmbeddingError: The embedder failed.
            ProviderError: The embedder's model could not be called.
        """
        if not _is_usable(question):
            return None
        (vector,) = self._embedder.embed([question.text])
        return self._loading(self._worker.run("look-up", None, SemanticTier.find, self._placed(question), vector))

    async def afind(self, question: Question) -> Finding | None:
        """Return what the tier knows about a question, async; see `find`."""
        if not _is_usable(question):
            return None
        vector = await self._avector(question.text)
        found = await self._worker.arun("look-up", None, SemanticTier.find, self._placed(question), vector)
        return self._loading(found)

    def verdict(self, question: Question, top: int) -> tuple[Verdict, Callable[[Judged], bool]]:
        """Return the verdict on the nearest stored questions, and what tells whether one of them is served."""
        if not _is_usable(question):
            return Verdict(None, None, ()), _serves_nothing
        (vector,) = self._embedder.embed([question.text])
        default: tuple[Verdict, Callable[[Judged], bool]] = Verdict(None, None, ()), _serves_nothing
        return self._worker.run("look-up", default, _verdict, self._placed(question), vector, top)

    def learn(
        self,
        finding: Finding,
        value: bytes | None,
        *,
        right: bool | None,
        group: int | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        """Store a new answer and the label that it gives; see `SemanticTier.learn`."""
        self._worker.run("write", None, _learn, finding, _bounded(value), right, group, tuple(tags))

    async def alearn(
        self,
        finding: Finding,
        value: bytes | None,
        *,
        right: bool | None,
        group: int | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        """Store a new answer and the label that it gives, async; see `learn`."""
        await self._worker.arun("write", None, _learn, finding, _bounded(value), right, group, tuple(tags))

    def is_right(self, finding: Finding, value: Any) -> bool | None:
        """Return whether the judge calls the stored answer of a look-up right beside a new one; None without one.

        Args:
            finding: The look-up.
            value: The new answer, as JSON-like data.
        """
        if finding.value is None or not finding.is_candidate:
            return None
        return guarded("semantic judge", None, self._ask_judge, finding.text, finding.value, value)

    def group_of(self, finding: Finding, value: Any) -> int | None:
        """Return the group of a near stored answer, other than the best, that equals a new one; None without one.

        Args:
            finding: The look-up.
            value: The new answer, as JSON-like data.
        """
        return guarded("semantic judge", None, self._matching_group, finding, value)

    def _ask_judge(self, text: str, stored: bytes, value: Any) -> bool:
        return float(self._judge(text, self._read(stored), value)) >= 0.5

    def _matching_group(self, finding: Finding, value: Any) -> int | None:
        equal = (group for group, stored in finding.others if self._matches(finding.text, self._read(stored), value))
        return next(equal, None)

    def invalidate(self, *, tag: str | None = None, scope: str | None = None) -> int:
        """Remove the entries of a tag or a scope, and return how many there were.

        Raises:
            StoreError: The store fails or takes too long.
        """
        return self._worker.demand(_invalidate, tag, None if scope is None else self._place(scope))

    def clear(self) -> int:
        """Remove every entry and every label, and return how many entries there were; raise as `invalidate` does."""
        return self._worker.demand(_clear)

    def stats(self) -> SemanticStats:
        """Return what the store holds and what its labels say."""
        return self._worker.run("stats", SemanticStats(), _stats)

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self._worker.close()

    def _loading(self, found: Finding | None) -> Finding | None:
        """Return what was found. If its scope is not in memory yet, the store's thread reads on between other work."""
        if found is None:
            return None
        # In a forked child, no thread goes on with what the parent began.
        loads = (os.getpid(), found.scope)
        if found.reason == LOADING and loads not in self._loads:
            self._loads.add(loads)
            self._worker.start("load", self._load, found.scope)
        return found

    def _load(self, tier: SemanticTier, scope: str) -> None:
        """Read a part of a scope, and see to it that the next part follows; runs on the store's thread."""
        goes_on = False
        try:
            goes_on = not tier.load(scope) and tier is self._worker.backend
        finally:
            if not goes_on:
                self._loads.discard((os.getpid(), scope))
        if goes_on:
            self._worker.start("load", self._load, scope)

    def _place(self, scope: str) -> str:
        """Return the scope in the store: vectors of another embedder are never compared with these."""
        if len(scope) > _MAX_SCOPE or not is_encodable(scope):
            scope = hashlib.blake2b(scope.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
        return f"{self._embedder.identity}\n{scope}"

    def _placed(self, question: Question) -> Question:
        return question._replace(scope=self._place(question.scope))

    async def _avector(self, text: str) -> Any:
        if isinstance(self._embedder, AsyncEmbedder):
            return (await self._embedder.aembed([text]))[0]
        return (await asyncio.to_thread(self._embedder.embed, [text]))[0]


def open_on_disk(
    folder: Path,
    embedder: Embedder,
    judge: str | Judge,
    settings: TierSettings,
    *,
    max_entries: int,
    clock: Clock,
    read: Callable[[bytes], Any] = orjson.loads,
    shared: SharedSettings | None = None,
) -> SemanticStore:
    """Return the store in a folder, which is opened at the first use.

    Args:
        folder: The folder of the cache; the entries are in `semantic` inside it.
        embedder: Makes the vectors.
        judge: Says whether two answers say the same.
        settings: How the tier decides.
        max_entries: Above this number the least recently used entries are removed.
        clock: The time.
        read: Returns the answer of a stored value, as the judge gets it.
        shared: The server where the entries are instead, if it is a Postgres.

    Raises:
        ConfigError: There is no such judge.
        MissingDependencyError: The library for the server is not installed.
    """

    def open_session() -> Session[SemanticTier]:
        backend: SemanticBackend
        if shared is not None and shared.is_postgres:
            backend = PostgresSemanticBackend(SharedServer(shared), max_entries=max_entries)
        else:
            backend = SqliteBackend(folder / SEMANTIC, max_entries=max_entries)
        return Session(SemanticTier(backend, embedder, settings, clock=clock))

    return SemanticStore(Worker(open_session, clock=clock), embedder, judge, read)


_Tags: TypeAlias = tuple[str, ...]


def _learn(
    tier: SemanticTier, finding: Finding, value: bytes | None, right: bool | None, group: int | None, tags: _Tags
) -> None:
    tier.learn(finding, value=value, right=right, group=group, tags=tags)


def _verdict(tier: SemanticTier, question: Question, vector: Any, top: int) -> tuple[Verdict, Callable[[Judged], bool]]:
    bound = tier.bound()
    return tier.verdict(question, vector, top), lambda one: tier.is_safe(one, bound)


def _is_usable(question: Question) -> bool:
    """Return whether a question is short enough, and a text that the stores can write: no half of a surrogate pair."""
    if len(question.text) > _MAX_TEXT:
        return False
    return is_encodable(question.text + question.earlier)


def is_encodable(text: str) -> bool:
    """Return whether a text can be written: no half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _bounded(value: bytes | None) -> bytes | None:
    return None if value is None or len(value) > MAX_VALUE else value


def _serves_nothing(_: Judged) -> bool:
    return False


def _invalidate(tier: SemanticTier, tag: str | None, scope: str | None) -> int:
    count = 0 if tag is None else tier.backend.delete_tag(tag)
    return count + (0 if scope is None else tier.backend.delete_scope(scope))


def _clear(tier: SemanticTier) -> int:
    return tier.backend.clear()


def _stats(tier: SemanticTier) -> SemanticStats:
    entries, size = tier.backend.size()
    bound = tier.bound()
    counts, threshold = bound.counts, bound.threshold
    return SemanticStats(
        entries=entries,
        bytes=size,
        labels=sum(counts.right) + sum(counts.wrong),
        threshold=threshold,
        error=None if threshold is None else bound.estimate(threshold),
        audited=counts.audited,
        audited_wrong=counts.audited_wrong,
        loading=tier.is_loading,
        paused=bound.certified is not None and threshold is None,
    )
