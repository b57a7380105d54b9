"""Open the stage of the semantic tier; stages of one process share the store of a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from llmops_sdk._util._clock import Clock
from llmops_sdk.caching.semantic._bound import JudgeError
from llmops_sdk.caching.semantic._cache import SemanticCache
from llmops_sdk.caching.semantic._judge import Judge
from llmops_sdk.caching.semantic._provider import SemanticProvider, answer_text
from llmops_sdk.caching.semantic._store import SemanticStore, open_on_disk
from llmops_sdk.caching.semantic._tier import TierSettings
from llmops_sdk.config import CacheSettings, SemanticSettings, SharedSettings, current
from llmops_sdk.embeddings import Embedder, open_embedder
from llmops_sdk.providers import Provider, Response

__all__ = ["configured_cache", "open_semantic"]

_Key: TypeAlias = tuple[Path, SemanticSettings, float | None, Clock, Hashable, Hashable, SharedSettings | None]

_lock = threading.Lock()
_stores: WeakValueDictionary[_Key, SemanticStore] = WeakValueDictionary()


def open_semantic(
    inner: Provider,
    settings: CacheSettings,
    *,
    path: Path,
    clock: Clock,
    identity: str = "",
    admit: Callable[[Response], bool] | None = None,
    embedder: Callable[[list[str]], Any] | Embedder | None = None,
    judge: Judge | None = None,
    shared: SharedSettings | None = None,
) -> SemanticProvider:
    """Return the stage of the semantic tier above a provider.

    Args:
        inner: The provider to call on a miss.
        settings: The settings of the cache.
        path: The folder of the cache; the entries are in `semantic` inside it.
        clock: The time.
        identity: What distinguishes the model from others of its name, such as its server's URL.
        admit: As for `CacheProvider`.
        embedder: Makes the vectors, in place of the configured embedder.
        judge: Says which stored answers were right, in place of the configured judge.
        shared: The server where the entries are instead, if it is a Postgres.

    Raises:
        ConfigError: The embedder or the judge is unknown.
        MissingDependencyError: The embedder or the server needs a library that is not installed.
    """
    chosen = settings.semantic
    key: _Key = (path, chosen, settings.ttl, clock, embedder, judge, shared)
    with _lock:
        store = _stores.get(key)
        if store is None:
            store = _stores[key] = _open(path, settings, clock, embedder, judge, shared)
    return SemanticProvider(inner, settings, store, identity=identity, clock=clock, admit=admit)


def configured_cache(path: Path, ttl: float | None) -> SemanticCache:
    """Return a semantic cache with the settings of `[cache.semantic]` in a folder.

    Args:
        path: The folder of the cache.
        ttl: Seconds that a value is valid, or None.
    """
    settings = current().cache
    chosen = settings.semantic
    return SemanticCache(
        chosen.embedder,
        max_error=chosen.max_error,
        path=path / "functions-semantic",
        ttl=ttl,
        judge=chosen.judge,
        judge_error=JudgeError(false_right=chosen.false_right, false_wrong=chosen.false_wrong),
        confidence=chosen.confidence,
        max_entries=chosen.max_entries,
        wording=chosen.wording,
    )


def _open(
    path: Path,
    settings: CacheSettings,
    clock: Clock,
    embedder: Callable[[list[str]], Any] | Embedder | None,
    judge: Judge | None,
    shared: SharedSettings | None,
) -> SemanticStore:
    chosen = settings.semantic
    opened = open_embedder(chosen.embedder if embedder is None else embedder)
    tier = TierSettings(
        serve=chosen.mode == "serve",
        max_error=chosen.max_error,
        confidence=chosen.confidence,
        judge_error=JudgeError(false_right=chosen.false_right, false_wrong=chosen.false_wrong),
        audit=chosen.audit,
        explained=chosen.wording,
        ttl=settings.ttl,
    )
    return open_on_disk(
        path,
        opened,
        chosen.judge if judge is None else judge,
        tier,
        max_entries=chosen.max_entries,
        clock=clock,
        read=answer_text,
        shared=shared,
    )
