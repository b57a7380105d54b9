"""`compact` as an application or a person calls it."""

from __future__ import annotations

from collections.abc import Callable

from llmops_sdk.store.maintenance._compact import Compacted, compact_store
from llmops_sdk.store.maintenance._thinning import ThinningPolicy
from llmops_sdk.store.reading._query import StorePath, flush_first, store_folder

__all__ = ["Compacted", "compact"]

_WAIT = 60.0


def compact(*, path: StorePath | None = None, progress: Callable[[int, int], None] | None = None) -> Compacted:
    """Turn the segments that nobody writes any more into Parquet files, now, in this process.

    A process of its own does so beside every application that writes (`[store] compaction`), so that this is for a
    store that is to be small and fast at once: before it is copied, or where compaction is "manual".

    Args:
        path: The store's folder; by default that of the configuration.
        progress: Called after each step with the bytes that are done and those that there were.

    Raises:
        StoreError: The store cannot be read or written, or a newer version of the SDK wrote it.

    Example:
        >>> from llmops_sdk.store import compact
        >>> compact().skipped
        0
    """
    flush_first()
    folder = store_folder(path)
    if not folder.is_dir():
        return Compacted()
    from llmops_sdk.config import current

    return compact_store(
        folder, wait=_WAIT, thinning=ThinningPolicy.from_settings(current().store.thinning), progress=progress
    )
