"""List and remove the saved versions of data sets."""

from __future__ import annotations

from llmops_sdk.datasets._storage import find_version
from llmops_sdk.store.datasets._names import check_name
from llmops_sdk.store.datasets._versions import StoredVersion, list_versions
from llmops_sdk.store.datasets._write import remove_version
from llmops_sdk.store.reading._query import StorePath, store_folder

__all__ = ["StoredVersion", "remove", "versions"]


def versions(name: str | None = None, *, path: StorePath | None = None) -> list[StoredVersion]:
    """Return the saved versions, by name and then the oldest first; the view `datasets` has the same rows.

    Args:
        name: The data set; None for all.
        path: The store's folder; by default the configured one.

    Raises:
        DatasetError: The name is not possible.
        StoreError: The store cannot be read.

    Example:
        >>> from llmops_sdk.datasets import Dataset, versions
        >>> _ = Dataset.from_rows([{"input": "2 + 2"}]).save("sums")
        >>> [(one.name, one.items) for one in versions()]
        [('sums', 1)]
    """
    return list_versions(store_folder(path), None if name is None else check_name(name))


def remove(name: str, version: str | None = None, *, path: StorePath | None = None) -> StoredVersion:
    """Delete one saved version, and return what it was.

    Args:
        name: The data set's name, or `NAME@VERSION`.
        version: At least 6 hex digits of the version; None for the one that was saved last.
        path: The store's folder; by default the configured one.

    Raises:
        DatasetError: There is none, or several versions begin with these digits.
        StoreError: The store cannot be written.

    Example:
        >>> from llmops_sdk.datasets import Dataset, remove, versions
        >>> _ = Dataset.from_rows([{"input": "2 + 2"}]).save("sums")
        >>> remove("sums").items, versions()
        (1, [])
    """
    folder = store_folder(path)
    stored = find_version(folder, name, version)
    remove_version(folder, stored)
    return stored
