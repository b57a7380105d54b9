"""`SemanticCache`: the semantic tier by itself, for any text and any JSON value."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.caching.backends._open import SEMANTIC
from llmops_sdk.caching.semantic._arguments import check_settings, check_top, from_bytes, tags_of, to_bytes
from llmops_sdk.caching.semantic._bound import EXACT_JUDGE, ErrorBound, JudgeError
from llmops_sdk.caching.semantic._decide import Judged
from llmops_sdk.caching.semantic._judge import Judge
from llmops_sdk.caching.semantic._scope import Question
from llmops_sdk.caching.semantic._store import SemanticStats, open_on_disk
from llmops_sdk.caching.semantic._tier import Finding, TierSettings
from llmops_sdk.caching.semantic.stores._sqlite import check_semantic
from llmops_sdk.config import current
from llmops_sdk.embeddings import Embedder, open_embedder
from llmops_sdk.errors import LLMOpsError

__all__ = ["Candidate", "Hit", "SemanticCache"]

_MAX_MISSED = 1_024
_MAX_RATED = 4_096


@public("llmops_sdk.caching")
@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A stored value that serves a question.

    Attributes:
        value: The stored value.
        matched: The question it was stored for.
        similarity: The cosine of the two questions' vectors.
        score: How likely the value is right, 0 to 1.
        reason: Why it is served: "equal", "wording", or "certified" by labels.
        age_s: How old the value is, in seconds.
        finding: The look-up, for `SemanticCache.feedback`.
    """

    value: Any
    matched: str
    similarity: float
    score: float
    reason: str
    age_s: float
    finding: Finding = field(repr=False)


@public("llmops_sdk.caching")
@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A stored question beside the one asked.

    Attributes:
        text: The stored question.
        similarity: The cosine of the two questions' vectors.
        score: How likely its value is right for the question, 0 to 1.
        decision: "serve", "unsure" or "refuse".
        reason: What the words say: "equal", "wording", or the difference, such as "number", "negation" or "content".
    """

    text: str
    similarity: float
    score: float
    decision: str
    reason: str


@public("llmops_sdk.caching")
class SemanticCache:
    """Values by question, served also for other questions that ask for the same.

    It serves at once only questions that differ from a stored one in wording: spelling, case, courtesy, the form of a
    word. For the others it looks how often their nearest stored value would have been right, and serves them when this
    is strong evidence that less than `max_error` of such hits are wrong. It learns that from `put` after a miss (the
    new value is compared with the stored one) and from `feedback`. Questions that differ in a number, a name, a
    negation and the like are never served.

    Several processes may use one folder. Any failure of the disk is a miss, with one warning.

    Args:
        embedder: "static", which needs no network; "litellm:MODEL"; "sentence-transformers:FOLDER"; a function.
        max_error: The largest share of wrong values among hits, above 0 and below 0.5.
        path: The folder; by default `semantic` in the configured folder of the cache.
        ttl: Seconds that a value is valid, or None for no limit.
        judge: Says whether two values say the same: "exact", "similar" for answers in words, or a function of the
            question, the stored value and the new value.
        judge_error: How often the judge is wrong itself.
        confidence: The chance that the bound holds, at all times together.
        max_entries: Above this number, at most a million, the least recently used entries are removed.
        wording: Serve questions that differ only in wording before there are labels. `max_error` does not bound these;
            False waits for labels for them, too.
        clock: The time.

    Raises:
        ConfigError: An argument is out of its range, or the embedder or the judge is unknown.
        MissingDependencyError: The embedder needs a library that is not installed.
        StoreError: The folder has a database of another program.

    Example:
        >>> import tempfile
        >>> from llmops_sdk.caching import SemanticCache
        >>> folder = tempfile.TemporaryDirectory()
        >>> with SemanticCache(path=folder.name) as cache:
        ...     cache.put("How do I close my account?", "Under Settings, choose Close.")
        ...     hit = cache.get("how do i close my acount")
        ...     print(hit.value, hit.matched)
        ...     print(cache.get("How do I open my account?"))
        Under Settings, choose Close. How do I close my account?
        None
        >>> folder.cleanup()
    """

    def __init__(
        self,
        embedder: str | Embedder | Callable[[list[str]], Any] = "static",
        *,
        max_error: float = 0.01,
        path: str | os.PathLike[str] | None = None,
        ttl: float | None = None,
        judge: str | Judge = "exact",
        judge_error: JudgeError = EXACT_JUDGE,
        confidence: float = 0.95,
        max_entries: int = 100_000,
        wording: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_settings(ttl, max_entries, judge_error, wording)
        ErrorBound(max_error, confidence=confidence)  # says what is wrong with them
        opened = open_embedder(embedder)
        self._clock = clock
        folder = Path(path) if path is not None else _configured_folder()
        check_semantic(folder / SEMANTIC)
        self._store = open_on_disk(
            folder,
            opened,
            judge,
            TierSettings(
                max_error=max_error,
                confidence=confidence,
                judge_error=judge_error,
                ttl=ttl,
                audit=0.0,
                explained=wording,
            ),
            max_entries=max_entries,
            clock=clock,
        )
        self._closed = False
        self._lock = threading.Lock()
        self._missed: OrderedDict[tuple[str, str], Finding] = OrderedDict()
        self._rated: OrderedDict[int, None] = OrderedDict()

    def get(self, text: str, *, scope: str = "") -> Hit | None:
        """Return the stored value that serves a question, or None.

        Args:
            text: The question.
            scope: Only questions of the same scope are compared: a tenant, the earlier part of a conversation.

        Raises:
            TypeError: `text` or `scope` is not a string.
            EmbeddingError: The embedder failed.
            ProviderError: The embedder's model could not be called.
        """
        self._check(text, scope)
        return self._hit(scope, self._store.find(Question(scope, text)))

    async def aget(self, text: str, *, scope: str = "") -> Hit | None:
        """Return the stored value that serves a question, or None, async; see `get`."""
        self._check(text, scope)
        return self._hit(scope, await self._store.afind(Question(scope, text)))

    def put(self, text: str, value: Any, *, scope: str = "", tags: Sequence[str] = ()) -> None:
        """Store a value for a question; after a miss, also learn whether the nearest stored value was right for it.

        It replaces the value of the very same question.

        Args:
            text: The question. One of more than 32,000 characters is not stored.
            value: JSON: None, bool, numbers, str, and lists and dicts of these.
            scope: As for `get`.
            tags: Names by which `invalidate` finds it.

        Raises:
            TypeError: `text` or `scope` is not a string, `tags` is one, or the value is not JSON.
            ValueError: There are more than 32 tags, one has more than 200 characters, or the value is above a megabyte.
            LLMOpsError: The cache is closed.
            EmbeddingError: The embedder failed.
            ProviderError: The embedder's model could not be called.
        """
        self._check(text, scope)
        data, names = to_bytes(value), tags_of(tags)
        finding = self._taken(scope, text) or _unserved(self._store.find(Question(scope, text)))
        if finding is not None:
            right, group = self._judged(finding, value)
            self._store.learn(finding, data, right=right, group=group, tags=names)

    async def aput(self, text: str, value: Any, *, scope: str = "", tags: Sequence[str] = ()) -> None:
        """Store a value for a question, async; see `put`."""
        self._check(text, scope)
        data, names = to_bytes(value), tags_of(tags)
        finding = self._taken(scope, text) or _unserved(await self._store.afind(Question(scope, text)))
        if finding is not None:
            right, group = await asyncio.to_thread(self._judged, finding, value)
            await self._store.alearn(finding, data, right=right, group=group, tags=names)

    def feedback(self, hit: Hit, correct: bool = True) -> None:
        """Tell whether a hit was right. Wrong ones count against the bound, and may stop such hits.

        A pair of questions counts once each way, however often it is rated. Whoever rates decides about answers for
        everybody who uses the folder: take ratings of people whom you trust, or from a check of your own.

        Args:
            hit: What `get` returned.
            correct: Whether its value was right for the question.
        """
        if not isinstance(hit, Hit) or not isinstance(correct, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("feedback takes a Hit of `get`, and True or False")
        self._check()
        with self._lock:
            if hit.finding.number in self._rated:
                return
            self._rated[hit.finding.number] = None
            if len(self._rated) > _MAX_RATED:
                self._rated.popitem(last=False)
        self._store.learn(hit.finding, None, right=correct)

    def explain(self, text: str, *, scope: str = "", top: int = 5) -> list[Candidate]:
        """Return the nearest stored questions, and what is decided about each.

        Args:
            text: The question.
            scope: As for `get`.
            top: The most candidates to return, at most 100.

        Raises:
            TypeError: `text` or `scope` is not a string, or `top` is not a whole number.
            ValueError: `top` is below 1.
            EmbeddingError: The embedder failed.
            ProviderError: The embedder's model could not be called.
        """
        self._check(text, scope)
        check_top(top)
        verdict, serves = self._store.verdict(Question(scope, text), min(top, 100))
        return [_candidate(one, serves) for one in verdict.all]

    def invalidate(self, *, tag: str | None = None, scope: str | None = None) -> int:
        """Remove the entries of a tag or a scope, and return how many there were.

        Args:
            tag: A tag given to `put`.
            scope: A scope.

        Raises:
            ValueError: Neither is given.
            StoreError: The disk fails, or another process keeps it busy.
        """
        if tag is None and scope is None:
            raise ValueError("give a tag or a scope; `clear` removes everything")
        self._check(*(one for one in (tag, scope) if one is not None))
        return self._store.invalidate(tag=tag, scope=scope)

    def clear(self) -> int:
        """Remove every entry and every label, and return how many entries there were; raise as `invalidate` does."""
        self._check()
        with self._lock:
            self._missed.clear()
        return self._store.clear()

    def stats(self) -> SemanticStats:
        """Return what the cache holds and what its labels say."""
        self._check()
        return self._store.stats()

    def close(self) -> None:
        """Close the database. A closed cache cannot be used again; to close it twice does nothing."""
        if not self._closed:
            self._closed = True
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check(self, text: object = "", scope: object = "") -> None:
        """Raise for a cache that is closed, and for a text or a scope that is none."""
        if self._closed:
            raise LLMOpsError("this SemanticCache is closed: make a new one")
        for name, value in (("text", text), ("scope", scope)):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a string, not {type(value).__name__}")

    def _hit(self, scope: str, finding: Finding | None) -> Hit | None:
        if finding is None:
            return None
        best, value = finding.best, finding.value
        found = None if value is None else from_bytes(value)
        if finding.decision == "served" and best is not None and found is not None:
            return Hit(
                value=found[0],
                matched=best.neighbour.text,
                similarity=best.neighbour.similarity,
                score=best.score,
                reason=finding.reason,
                age_s=max(0.0, self._clock.time() - finding.stored_at),
                finding=finding,
            )
        # Kept until the `put` that follows, so that the label is for what `get` saw.
        with self._lock:
            self._missed[scope, finding.text] = finding
            if len(self._missed) > _MAX_MISSED:
                self._missed.popitem(last=False)
        return None

    def _judged(self, finding: Finding, value: Any) -> tuple[bool | None, int | None]:
        right = self._store.is_right(finding, value)
        return right, None if right else self._store.group_of(finding, value)

    def _taken(self, scope: str, text: str) -> Finding | None:
        with self._lock:
            return self._missed.pop((scope, text), None)


def _unserved(finding: Finding | None) -> Finding | None:
    """Return a look-up for `put`: nobody got the stored value, so the new one is no check of a hit."""
    if finding is None or finding.decision != "served":
        return finding
    return replace(finding, decision="would_serve")


def _candidate(one: Judged, serves: Callable[[Judged], bool]) -> Candidate:
    said = one.comparison
    decision = "refuse" if one.is_refused else "serve" if serves(one) else "unsure"
    return Candidate(
        text=one.neighbour.text,
        similarity=one.neighbour.similarity,
        score=one.score,
        decision=decision,
        reason=said.reason,
    )


def _configured_folder() -> Path:
    settings = current()
    return settings.cache.path or settings.store.path / "cache"
