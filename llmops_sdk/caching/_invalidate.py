"""Remove entries before their time: those of a tag, or of a key."""

from __future__ import annotations

import os
from pathlib import Path

from llmops_sdk.caching._shared_tiers import remove_shared
from llmops_sdk.caching.backends._erase import remove
from llmops_sdk.config import current

__all__ = ["invalidate"]

_SHORTEST_KEY = 12


def invalidate(*, tag: str | None = None, key: str | None = None, path: str | os.PathLike[str] | None = None) -> int:
    """Remove the entries of a tag or of a key from the caches on this machine, for every process that uses them.

    With a server in `[shared]`, they are removed there too, for every machine.

    A call that is under way stores its answer afterwards.

    Args:
        tag: A tag, as in `[cache] tags`, `cache={"tags": [...]}` and `@llmops.cache(tags=...)`.
        key: A key of `request_key`, or at least 12 of its first digits; `cache_lookups.key` has 16.
        path: The folder; by default the configured ones of the cache, and the server of `[shared]`.

    Returns:
        How many entries were removed.

    Raises:
        TypeError: Neither a tag nor a key is given, or both are.
        ValueError: The key is too short.
        StoreError: The cache cannot be changed, another process keeps it busy, or the server is away.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.caching import invalidate
        >>> @llmops.cache(tags=["prices"])
        ... def price(item: str) -> float:
        ...     return 9.5
        >>> price("book"), invalidate(tag="prices"), invalidate(tag="prices")
        (9.5, 1, 0)
    """
    if (tag is None) == (key is None):
        raise TypeError("invalidate() takes either tag=... or key=...")
    if not isinstance(tag if key is None else key, str):
        raise TypeError("invalidate() takes one tag or one key, a string")
    if key is not None and len(key) < _SHORTEST_KEY:
        raise ValueError(f"key={key!r} is too short to mean one entry: give at least {_SHORTEST_KEY} digits")
    folders = _folders() if path is None else [Path(path)]
    count = sum(remove(folder, tag=tag, key=key) for folder in folders)
    return count + (remove_shared(current().shared, tag=tag, key=key) if path is None else 0)


def _folders() -> list[Path]:
    settings = current()
    sections = (settings.cache, *(model.cache for model in settings.models.values()))
    configured = [section.path for section in sections if section is not None and section.path is not None]
    return list(dict.fromkeys([settings.store.path / "cache", *configured]))
