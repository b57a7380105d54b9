"""Find saved versions by name, by a prefix of the version, or by `NAME@VERSION`, and load their items."""

from __future__ import annotations

import difflib
import hashlib
import re
from pathlib import Path

from llmops_sdk.datasets._item import Item, item_from_line
from llmops_sdk.errors import DatasetError, StoreError
from llmops_sdk.store.datasets._names import check_name
from llmops_sdk.store.datasets._versions import StoredVersion, list_versions, read_lines, version_of_digests

__all__ = ["find_version", "load_items"]

_PREFIX = re.compile(r"[0-9a-f]{6,64}")


def find_version(store: Path, name: str, version: str | None) -> StoredVersion:
    """Return a saved version.

    Args:
        store: The store's folder.
        name: The data set's name, or `NAME@VERSION`.
        version: At least 6 hex digits of the version; None for the one that was saved last.

    Raises:
        DatasetError: There is none, or several begin with these digits.
    """
    if version is None and "@" in name:
        name, _, version = name.partition("@")
    saved = list_versions(store, check_name(name))
    if not saved:
        raise _unknown_name(store, name)
    if version is None:
        return saved[-1]
    prefix = version.lower()
    if not _PREFIX.fullmatch(prefix):
        raise DatasetError(
            f"{ascii(version)[:80]} is not a version of {name}: give 6 to 64 of its hex digits, from the beginning",
            name=name,
        )
    found = [one for one in saved if one.version.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    known = [one.version for one in reversed(saved)]
    if found:
        several = tuple(one.version for one in found)
        raise DatasetError(
            f"{len(found)} versions of {name} begin with {prefix}: {', '.join(one[:20] for one in several[:5])}; give "
            "more digits",
            name=name,
            nearest=several,
        )
    near = tuple(difflib.get_close_matches(prefix, [one[: len(prefix)] for one in known], n=3, cutoff=0.5))
    shown = near or tuple(one[:12] for one in known[:3])
    raise DatasetError(
        f"{name} has no version {prefix}; {'the nearest are' if near else 'the latest are'} {', '.join(shown)}",
        name=name,
        nearest=shown,
    )


def _unknown_name(store: Path, name: str) -> DatasetError:
    known = sorted({one.name for one in list_versions(store)})
    by_lower = {one.lower(): one for one in known}
    near = tuple(by_lower[one] for one in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5))
    if near:
        hint = f"the nearest is {near[0]}"
    elif known:
        hint = f"there are {', '.join(known[:8])}"
    else:
        hint = "nothing is saved there yet: Dataset.save, or `llmops dataset create`"
    return DatasetError(f"there is no data set {name} in {store}; {hint}", name=name, nearest=near)


def load_items(stored: StoredVersion) -> tuple[tuple[Item, ...], int]:
    """Return the items of a saved version, and the number of erased ones.

    Args:
        stored: The version.

    Raises:
        StoreError: Its file is damaged.
    """
    items: list[Item] = []
    digests: list[bytes] = []
    erased = 0
    try:
        for number, line in enumerate(read_lines(stored.path), 1):
            digests.append(hashlib.sha256(line).digest())
            try:
                item = item_from_line(line)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise _damaged(stored, f"line {number} is no item ({error})") from error
            if item is None:
                erased += 1
            else:
                items.append(item)
    except StoreError as error:
        if not stored.path.exists():
            raise DatasetError(
                f"{stored.name} version {stored.version[:12]} was removed while it was read", name=stored.name
            ) from error
        raise
    if not erased and version_of_digests(digests) != stored.version:
        raise _damaged(stored, "its items are not those that were saved")
    return tuple(items), erased


def _damaged(stored: StoredVersion, problem: str) -> StoreError:
    return StoreError(
        f"{stored.path} is damaged: {problem}; restore it from a copy, or save the data set again",
        path=str(stored.path),
    )
