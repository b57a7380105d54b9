"""Streams of questions through the real semantic store: what is served, how much of it is wrong, what is stored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.caching import SemanticCache
from llmops_sdk.caching.semantic._scope import Question
from llmops_sdk.caching.semantic._store import SemanticStore, open_on_disk
from llmops_sdk.caching.semantic._tier import Finding, TierSettings
from llmops_sdk.embeddings import Embedder, VectorIndex

__all__ = ["Look", "Online", "Served", "Shadows", "choose_threshold", "cosine", "frozen", "online", "opened", "shadow"]

Rows = Sequence[tuple[str, str]]


class Served(NamedTuple):
    """What a stream served.

    Attributes:
        questions: How many questions came.
        hits: How many were served.
        wrong: How many of these with the answer of another intent.
        entries: How many questions were stored at the end.
        threshold: The lowest score that was served at the end, beside equal wording.
    """

    questions: int
    hits: int
    wrong: int
    entries: int
    threshold: float | None = None

    @property
    def rate(self) -> float:
        """Return the share of the questions that were served."""
        return self.hits / max(1, self.questions)

    @property
    def error(self) -> float:
        """Return the share of wrong answers among the hits."""
        return self.wrong / max(1, self.hits)


class Look(NamedTuple):
    """A look-up whose answer is judged: its score (1 for equal wording), and whether it would have been right."""

    score: float
    right: bool


@contextmanager
def opened(embedder: Embedder, folder: Path | None = None, **settings: object) -> Iterator[SemanticStore]:
    """Give a store in a folder, by default a new one."""
    with tempfile.TemporaryDirectory() as made:
        chosen = TierSettings(**{"audit": 0.0, **settings})  # pyright: ignore[reportArgumentType]
        store = open_on_disk(folder or Path(made), embedder, "exact", chosen, max_entries=10**6, clock=SYSTEM_CLOCK)
        try:
            yield store
        finally:
            store.close()


def _learn(store: SemanticStore, finding: Finding, intent: str) -> bool | None:
    right = store.is_right(finding, intent)
    group = None if right else store.group_of(finding, intent)
    store.learn(finding, orjson.dumps(intent), right=right, group=group)
    return right


def shadow(store: SemanticStore, rows: Rows) -> list[Look | None]:
    """Store every question, and return what was seen before each; None without a candidate."""
    looks: list[Look | None] = []
    for text, intent in rows:
        finding = _found(store, text)
        right = _learn(store, finding, intent)
        looks.append(None if right is None else Look(_score(finding), right))
    return looks


class Shadow(NamedTuple):
    """A folder after the design half went through it in shadow mode, and what was seen."""

    folder: Path
    looks: list[Look | None]


class Shadows:
    """The folders of a run, made at first use.

    Args:
        folder: Where they are.
        rows: The design half.
        max_error: What the stores aim at.
    """

    def __init__(self, folder: Path, rows: Rows, max_error: float) -> None:
        self._folder = folder
        self._rows = rows
        self._max_error = max_error
        self._made: dict[str, Shadow] = {}

    def of(self, name: str, embedder: Embedder) -> Shadow:
        """Return the folder for an embedder; copy it before writing to it."""
        if name not in self._made:
            folder = self._folder / name
            with opened(embedder, folder, serve=False, max_error=self._max_error) as store:
                self._made[name] = Shadow(folder, shadow(store, self._rows))
        return self._made[name]


def frozen(store: SemanticStore, rows: Rows, threshold: float) -> Served:
    """Serve from a fixed score on; the store must be in shadow mode. Questions that are not served are stored."""
    hits = wrong = 0
    for text, intent in rows:
        finding = _found(store, text)
        if finding.is_candidate and finding.value is not None and _score(finding) >= threshold:
            hits += 1
            wrong += orjson.loads(finding.value) != intent
        else:
            _learn(store, finding, intent)
    return Served(len(rows), hits, wrong, store.stats().entries, threshold)


def _found(store: SemanticStore, text: str) -> Finding:
    finding = store.find(Question("", text))
    if finding is None:
        raise RuntimeError("the store failed")
    return finding


def _score(finding: Finding) -> float:
    if finding.best is None:
        return 0.0
    return 1.0 if finding.best.comparison.decision == "same" else finding.best.score


def choose_threshold(embedder: Embedder, rows: Rows, looks: Sequence[Look | None], most: float) -> float:
    """Return the lowest threshold that serves at most `most` errors among the hits of the design stream.

    What is served is not stored, so fewer questions are near than in shadow mode. The thresholds that shadow mode
    suggests for smaller shares of errors are therefore tried as well.
    """
    seen = sorted((look for look in looks if look is not None), key=lambda look: -look.score)
    wrong = np.cumsum([not look.right for look in seen]) / np.arange(1, len(seen) + 1)
    threshold = 1.0
    for share in (1.0, 0.75, 0.5, 0.25):
        fitting = np.flatnonzero(wrong <= share * most)
        threshold = seen[fitting[-1]].score if len(fitting) else 1.0
        with opened(embedder, serve=False) as store:
            if frozen(store, rows, threshold).error <= most:
                break
    return threshold


class Online(NamedTuple):
    """What a new cache served of a stream.

    Attributes:
        whole: Of all of it.
        late: Of its second half.
        certified: Of all of it, without the questions that differ from a stored one in wording only: these are not
            bounded by `max_error`.
    """

    whole: Served
    late: Served
    certified: Served


def online(embedder: Embedder, rows: Rows, max_error: float) -> Online:
    """Return what a new `SemanticCache` serves of a stream."""
    hits: list[tuple[int, bool, bool]] = []
    with tempfile.TemporaryDirectory() as folder, SemanticCache(embedder, max_error=max_error, path=folder) as cache:
        for at, (text, intent) in enumerate(rows):
            hit = cache.get(text)
            if hit is None:
                cache.put(text, intent)
            else:
                hits.append((at, hit.reason == "certified", hit.value != intent))
        stats = cache.stats()
    middle = len(rows) // 2

    def served(questions: int, chosen: list[bool]) -> Served:
        return Served(questions, len(chosen), sum(chosen), stats.entries, stats.threshold)

    return Online(
        served(len(rows), [wrong for _, _, wrong in hits]),
        served(len(rows) - middle, [wrong for at, _, wrong in hits if at >= middle]),
        served(len(rows), [wrong for _, certified, wrong in hits if certified]),
    )


def cosine(embedder: Embedder, rows: Rows, threshold: float) -> Served:
    """Serve the nearest stored question from a similarity on, as a cache with a fixed threshold does."""
    vectors = embedder.embed([text for text, _ in rows])
    index: VectorIndex[int] = VectorIndex(embedder.dimension)
    hits = wrong = 0
    for at, (_, intent) in enumerate(rows):
        best = index.search(vectors[at], top=1)
        if best and best[0].similarity >= threshold:
            hits += 1
            wrong += rows[best[0].id][1] != intent
        else:
            index.add([at], vectors[at : at + 1])
    return Served(len(rows), hits, wrong, len(index), threshold)
