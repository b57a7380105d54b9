"""The semantic tier: find a stored question that asks for the same, serve its answer if that is safe, and learn.

`find` and `learn` run on the store's thread. They do not call models.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from llmops_sdk._util._clock import Clock
from llmops_sdk.caching.semantic._bound import EXACT_JUDGE, THRESHOLDS, BoundCounts, ErrorBound, JudgeError
from llmops_sdk.caching.semantic._decide import COMPARED, NEAREST, Judged, Verdict, decide
from llmops_sdk.caching.semantic._drift import WINDOW, audit_share
from llmops_sdk.caching.semantic._entries import NewEntry, SemanticBackend
from llmops_sdk.caching.semantic._neighbours import Neighbour, ScopeIndexes
from llmops_sdk.caching.semantic._scope import Question, read_earlier
from llmops_sdk.caching.semantic.lexical import (
    AnalysedConversation,
    Comparison,
    analyse_conversation,
    compare_conversations,
)
from llmops_sdk.caching.semantic.stores._vector_bytes import write_vector
from llmops_sdk.embeddings import Embedder, vocabulary

__all__ = ["LOADING", "WORDING_BAND", "Finding", "FoundDecision", "SemanticTier", "TierSettings"]

FoundDecision: TypeAlias = Literal["served", "would_serve", "unsure", "refused", "empty"]
"""What was decided about the best stored question: "would_serve" in shadow mode, "unsure" below the threshold."""

_MIN_SCORE = 0.05
"""Below it a stored question is no candidate: no label could ever make it one."""
_BOUND_EVERY = 1.0  # seconds between reads of the labels that other processes have added
_MAX_ANALYSED = 4_096

LOADING = "loading"
"""The reason while a large scope is not in memory as a whole: nothing is known about its nearest questions."""

WORDING_BAND = -1
"""The band of labels for answers that are served for their wording: no evidence about any score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierSettings:
    """How the tier decides.

    Attributes:
        serve: Whether answers are served; otherwise it only says which would be.
        max_error: The largest share of wrong answers among hits.
        confidence: The chance that this bound holds.
        judge_error: How often the labels are wrong.
        audit: Share of the served answers that are checked against a new one.
        explained: Whether questions that differ only in wording are served before there are labels.
        ttl: Seconds that an answer is valid, or None.
    """

    serve: bool = True
    max_error: float = 0.01
    confidence: float = 0.95
    judge_error: JudgeError = EXACT_JUDGE
    audit: float = 0.02
    explained: bool = True
    ttl: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a look-up.

    Attributes:
        scope: The scope.
        text: The new question.
        earlier: What was said before; see `StoredEntry`.
        vector: Its vector as bytes.
        decision: What was decided.
        reason: Why: what is served differs in nothing or in wording ("equal", "wording"), or labels certify its score
            ("certified"); else the difference in the words, or "threshold", "changed" (paused), "expired", "loading",
            "none".
        best: The stored question it is about, or None.
        value: The answer to serve, or the stored one to judge the new one by; None without a candidate.
        stored_at: When the answer was stored.
        others: The groups and answers of the other nearest questions, to see which the new answer equals.
        audit: Whether a served answer is to be checked against a new one.
        number: Its number in this process.
    """

    scope: str
    text: str
    earlier: str = ""
    vector: bytes
    decision: FoundDecision
    reason: str
    best: Judged | None = None
    value: bytes | None = None
    stored_at: float = 0.0
    others: tuple[tuple[int, bytes], ...] = ()
    audit: bool = False
    number: int = field(default_factory=itertools.count(1).__next__)

    @property
    def is_candidate(self) -> bool:
        """Return whether a new answer tells if the stored one would have been right."""
        return self.value is not None and self.decision != "refused"


class SemanticTier:
    """Finds and learns, on the store's thread.

    Args:
        backend: The store.
        embedder: What makes the vectors; its identity tells which labels count.
        settings: How it decides.
        clock: The time.
        chance: Returns a number from 0 to below 1, to draw audits.
    """

    def __init__(
        self,
        backend: SemanticBackend,
        embedder: Embedder,
        settings: TierSettings,
        *,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.backend = backend
        self.place, self.workers = backend.place, backend.workers
        self.settings = settings
        self._embedder = embedder
        self._clock = clock
        self._chance = chance
        self._indexes = ScopeIndexes(embedder)
        self._analysed: OrderedDict[tuple[str, str], AnalysedConversation] = OrderedDict()
        self._words = vocabulary()
        self._bound: ErrorBound | None = None
        self._bound_at = float("-inf")

    def find(self, question: Question, vector: Any) -> Finding:
        """Return what the tier knows about a new question."""
        asked = Finding(
            scope=question.scope,
            text=question.text,
            earlier=question.earlier,
            vector=write_vector(vector),
            decision="empty",
            reason="none",
        )
        looked = self._look(question, vector, COMPARED)
        if looked is None:
            return replace(asked, reason=LOADING)
        verdict, nearest = looked
        best = verdict.best
        if best is None or (best.score < _MIN_SCORE and best.comparison.decision != "same"):
            refused = verdict.refused
            if refused is None:
                return asked
            reason, others = refused.comparison.reason, self._values(nearest)
            return replace(asked, decision="refused", reason=reason, best=refused, others=others)
        found = self._value(best.neighbour, self._clock.time())
        if found is None:
            return replace(asked, reason="expired")
        bound = self.bound()
        safe = self.is_safe(best, bound)
        decision: FoundDecision = ("served" if self.settings.serve else "would_serve") if safe else "unsure"
        if safe:
            reason = best.comparison.reason if self._is_explained(best, bound) else "certified"
        else:
            reason = "changed" if bound.is_paused_for(best.score) else "threshold"
        return replace(
            asked,
            decision=decision,
            reason=reason,
            best=best,
            value=found[0],
            stored_at=found[1],
            others=() if decision == "served" else self._values(one for one in nearest if one is not best.neighbour),
            audit=decision == "served" and self._chance() < audit_share(self.settings.audit, bound.change),
        )

    def verdict(self, question: Question, vector: Any, top: int) -> Verdict:
        """Return the verdict on the nearest stored questions.

        Args:
            question: The new question.
            vector: Its vector.
            top: How many stored questions to compare.
        """
        looked = self._look(question, vector, top)
        return Verdict(None, None, ()) if looked is None else looked[0]

    def load(self, scope: str) -> bool:
        """Read a part of a large scope into memory, and return whether all of it is there, also in the graph."""
        return self._indexes.load(self.backend, scope)

    @property
    def is_loading(self) -> bool:
        """Return whether a large scope is not in memory as a whole."""
        return self._indexes.is_loading

    def _look(self, question: Question, vector: Any, top: int) -> tuple[Verdict, list[Neighbour]] | None:
        asked = self._analyse(question.text, question.earlier)
        now = self._clock.time()
        nearest = self._indexes.nearest(self.backend, question.scope, vector, max(top, NEAREST), now)
        if nearest is None:
            return None
        return decide(nearest, lambda one: self._compare(asked, one), top), nearest

    def _values(self, nearest: Iterable[Neighbour]) -> tuple[tuple[int, bytes], ...]:
        """Return the answers of stored questions, one of each group."""
        first = {one.group: one for one in reversed(list(nearest))}
        now = self._clock.time()
        found = ((one.group, self._value(one, now)) for one in reversed(first.values()))
        return tuple((group, value[0]) for group, value in found if value is not None)

    def _value(self, one: Neighbour, now: float) -> tuple[bytes, float] | None:
        """Return the answer of a stored question and when it was stored, or None if it is gone."""
        found = self.backend.value(one.id, now)
        # A store that was lost gives the number of an entry to another one.
        return found if found is not None and found[1] == one.stored_at else None

    def learn(
        self,
        finding: Finding,
        *,
        value: bytes | None,
        right: bool | None,
        tags: Sequence[str],
        group: int | None = None,
    ) -> None:
        """Store a new answer and the label that it gives. It replaces the answer of the very same question.

        Args:
            finding: The look-up before.
            value: The new answer, or None to keep only the label.
            right: Whether the stored answer would have been right; None if that is not known.
            tags: The tags of the new entry.
            group: The group of another stored answer that equals the new one, if the best one does not.
        """
        best = finding.best if finding.is_candidate else None
        if best is not None and right is not None:
            self._label(finding, best, right=right)
        if value is None:
            return
        now = float(self._clock.time())
        old = None if finding.best is None else finding.best.neighbour
        self.backend.insert(
            NewEntry(
                scope=finding.scope,
                text=finding.text,
                earlier=finding.earlier,
                vector=finding.vector,
                value=value,
                group=best.neighbour.group if best is not None and right else group,
                tags=tuple(tags),
                stored_at=now,
                expires_at=None if self.settings.ttl is None else now + self.settings.ttl,
            )
        )
        if old is not None and (old.text, old.earlier) == (finding.text, finding.earlier):
            self.backend.delete([old.id])

    def bound(self) -> ErrorBound:
        """Return the bound as the labels of all processes give it, at most a second old."""
        now = self._clock.monotonic()
        if self._bound is None or now - self._bound_at >= _BOUND_EVERY:
            self._bound = self._load_bound()
            self._bound_at = now
        return self._bound

    def close(self) -> None:
        """Close the store's connection."""
        self.backend.close()

    def is_safe(self, best: Judged, bound: ErrorBound) -> bool:
        """Return whether the answer of a stored question may be served."""
        # After served answers were wrong too often, nothing is served but what new labels certify.
        return self._is_explained(best, bound) or bound.serves(best.score)

    def _is_explained(self, best: Judged, bound: ErrorBound) -> bool:
        """Return whether the answer is served for its wording, so that the bound says nothing about it."""
        return best.comparison.decision == "same" and self.settings.explained and bound.counts.epoch == 0

    def _label(self, finding: Finding, best: Judged, *, right: bool) -> None:
        # Those that wording serves are right so often that they would certify lower scores.
        band = WORDING_BAND if self._is_explained(best, self.bound()) else bisect_right(THRESHOLDS, best.score)
        kind = self._embedder.identity
        audit = finding.decision == "served"
        if not self.backend.add_label(kind, band, right=right, audit=audit, pair=_pair_of(finding, best)):
            return
        bound = self._bound = self._load_bound()
        if bound.is_broken():
            self.backend.end_epoch(kind, bound.counts.epoch)
            self._bound = self._load_bound()

    def _load_bound(self) -> ErrorBound:
        counts = BoundCounts()
        for row in self.backend.labels(self._embedder.identity):
            counts.epoch = row.epoch
            if 0 <= row.band < len(counts.right):
                counts.right[row.band] += row.right
                counts.wrong[row.band] += row.wrong
            counts.audited += row.audited_right + row.audited_wrong
            counts.audited_wrong += row.audited_wrong
        known = self._bound
        if known is not None and known.counts == counts:
            return known
        chosen = self.settings
        return ErrorBound(
            chosen.max_error,
            confidence=chosen.confidence,
            judge_error=chosen.judge_error,
            counts=counts,
            recent=self.backend.recent_labels(self._embedder.identity, WINDOW),
        )

    def _compare(self, asked: AnalysedConversation, stored: Neighbour) -> Comparison:
        known = self._analysed.get((stored.text, stored.earlier))
        if known is None:
            known = self._analysed[stored.text, stored.earlier] = self._analyse(stored.text, stored.earlier)
            if len(self._analysed) > _MAX_ANALYSED:
                self._analysed.popitem(last=False)
        return compare_conversations(asked, known, similarity=stored.similarity, vocabulary=self._words)

    def _analyse(self, text: str, earlier: str) -> AnalysedConversation:
        return analyse_conversation([*read_earlier(earlier), {"role": "user", "content": text}], vocabulary=self._words)


def _pair_of(finding: Finding, best: Judged) -> bytes:
    """Return what identifies a pair of questions, for all processes and also when the stored one is stored again.

    One user who repeats a question must not certify scores for everybody.
    """
    pair = (finding.scope, best.neighbour.text, best.neighbour.earlier, finding.text, finding.earlier)
    whole = "".join(f"{len(part)}:{part}" for part in pair)
    return hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=16).digest()
