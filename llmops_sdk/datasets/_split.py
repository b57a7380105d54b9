"""Split items into parts that share nothing: groups of items that belong together stay together."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from llmops_sdk._util._public import public
from llmops_sdk.datasets._item import Item
from llmops_sdk.datasets._values import encode
from llmops_sdk.datasets._write_files import write_items
from llmops_sdk.store.reading._query import StorePath

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Split", "split_groups"]

_PART = re.compile(r"[A-Za-z0-9_]{1,29}")
_SEPARATORS = re.compile(r"[\W_]+")
_COLUMNS = {"session": ("session_id",), "user": ("user_id",)}
_USER, _SESSION, _COLUMN, _CONTENT = range(4)


class _Part(Protocol):
    @property
    def items(self) -> tuple[Item, ...]: ...

    def save(self, name: str | None = None, *, path: StorePath | None = None) -> Any: ...


_P = TypeVar("_P", bound=_Part)


@public("llmops_sdk.datasets")
class Split(Mapping[str, _P], Generic[_P]):
    """The parts of a split, by name.

    Args:
        parts: The data sets by name.
        groups: The number of groups in each part.

    Example:
        >>> from llmops_sdk.datasets import Dataset
        >>> rows = [{"input": f"q{number}", "user_id": number % 10} for number in range(100)]
        >>> parts = Dataset.from_rows(rows).split({"train": 0.7, "test": 0.3}, seed=1)
        >>> sum(parts.shares.values()), sum(parts.groups.values())
        (1.0, 10)
    """

    def __init__(self, parts: Mapping[str, _P], *, groups: Mapping[str, int]) -> None:
        self._parts = dict(parts)
        self.groups = dict(groups)

    @property
    def shares(self) -> dict[str, float]:
        """Return the share of the items that each part has reached."""
        total = sum(len(part.items) for part in self._parts.values())
        return {name: len(part.items) / total if total else 0.0 for name, part in self._parts.items()}

    def save(self, name: str, *, path: StorePath | None = None) -> Split[_P]:
        """Save each part as `NAME-PART`, and return them with these names.

        Args:
            name: The beginning of their names.
            path: The store's folder; by default the configured one.

        Raises:
            DatasetError: The name is not possible.
            StoreError: The store cannot be written.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> dataset = Dataset.from_rows([{"input": number} for number in range(10)])
            >>> parts = dataset.split({"train": 0.5, "test": 0.5}).save("numbers")
            >>> Dataset.load("numbers-test") == parts["test"]
            True
        """
        saved: dict[str, _P] = {
            part: dataset.save(f"{name}-{part}", path=path) for part, dataset in self._parts.items()
        }
        return Split(saved, groups=self.groups)

    def export(
        self, path: StorePath, *, title: str | None = None, omit: Sequence[str] = (), force: bool = False
    ) -> Path:
        """Write a folder that `datasets.load_dataset(folder)` of Hugging Face reads, with a split for each part.

        Args:
            path: The folder.
            title: The title of its card.
            omit: Columns of the metadata to leave out, such as "user_id"; also "source_trace_id".
            force: Replace the files of an existing folder.

        Raises:
            DatasetError: The folder exists and `force` is False.
            StoreError: It cannot be written.
        """
        items = {name: part.items for name, part in self._parts.items()}
        return write_items(items, path, title=title, form="huggingface", omit=omit, force=force)

    def __getitem__(self, name: str) -> _P:
        """Return a part."""
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the parts."""
        return iter(self._parts)

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self._parts)

    def __repr__(self) -> str:
        """Return each part with its number of items and its share."""
        parts = ", ".join(f"{name}: {len(self[name].items)} items ({share:.1%})" for name, share in self.shares.items())
        return f"Split({parts})"


def split_groups(
    items: Sequence[Item], shares: Mapping[str, float], *, seed: int, by: Sequence[str]
) -> tuple[dict[str, list[Item]], dict[str, int]]:
    """Return the items of each part, and its number of groups.

    Args:
        items: The items.
        shares: The share of each part.
        seed: The seed.
        by: What keeps items together.

    Raises:
        ValueError: The shares do not sum up to 1, or a name is not usable.
    """
    _check(shares, by)
    groups = _groups(items, by)
    edges: list[tuple[str, float, float]] = []
    low = 0.0
    for name, share in shares.items():
        edges.append((name, low, low + share))
        low += share
    places = sorted((_place(key, seed), key) for key in groups)
    chosen = {key: next((n for n, _, high in edges if place < high), edges[-1][0]) for place, key in places}
    _fill_empty(chosen, places, edges)
    by_item = {index: chosen[key] for key, members in groups.items() for index in members}
    parts: dict[str, list[Item]] = {name: [] for name in shares}
    for index, item in enumerate(items):
        parts[by_item[index]].append(item)
    counts = dict.fromkeys(shares, 0)
    for name in chosen.values():
        counts[name] += 1
    return parts, counts


def _check(shares: Mapping[str, float], by: Sequence[str]) -> None:
    if isinstance(by, str):
        raise ValueError(f'by is a list of names, as in by=["{by}"]')  # noqa: TRY004 - as the other wrong arguments
    for name in shares:
        if not _PART.fullmatch(name):
            raise ValueError(f"{ascii(name)[:60]} is no name of a part: use 1 to 29 letters, digits and underscores")
    if not all(0 < share <= 1 for share in shares.values()) or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise ValueError('shares are numbers above 0 that sum up to 1, as in {"train": 0.8, "test": 0.2}')


def _place(key: bytes, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:".encode() + key).digest()
    return int.from_bytes(digest[:7]) / 2**56  # below 1, also as a float


def _fill_empty(
    chosen: dict[bytes, str], places: Sequence[tuple[float, bytes]], edges: Sequence[tuple[str, float, float]]
) -> None:
    """Give a part without groups the nearest group of a part that has several."""
    for name, low, high in edges:
        if name in chosen.values():
            continue
        counts: dict[str, int] = {}
        for part in chosen.values():
            counts[part] = counts.get(part, 0) + 1
        spare = [(abs(place - (low + high) / 2), key) for place, key in places if counts[chosen[key]] > 1]
        if spare:
            chosen[min(spare)[1]] = name


def _groups(items: Sequence[Item], by: Sequence[str]) -> dict[bytes, list[int]]:
    """Return the members of each group by its key, which stays when items join it."""
    parents = list(range(len(items)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    first: dict[tuple[int, bytes], int] = {}
    tokens: list[list[tuple[int, bytes]]] = []
    for index, item in enumerate(items):
        own = list(_tokens(item, by))
        tokens.append(own)
        for token in own:
            one, other = root(first.setdefault(token, index)), root(index)
            parents[max(one, other)] = min(one, other)
    members: dict[int, list[int]] = {}
    keys: dict[int, tuple[int, bytes]] = {}
    for index in range(len(items)):
        group = root(index)
        members.setdefault(group, []).append(index)
        # A user names a group better than a session, and this better than content: more items share it.
        keys[group] = min([*tokens[index], keys[group]] if group in keys else tokens[index])
    return {bytes([rank]) + key: members[group] for group, (rank, key) in keys.items()}


def _tokens(item: Item, by: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    for name in by:
        if name == "duplicates":
            continue
        rank = {"user": _USER, "session": _SESSION}.get(name, _COLUMN)
        for column in _COLUMNS.get(name, (name,)):
            value = item.metadata.get(column)
            values = cast("list[Any]", value) if isinstance(value, list) else [value]
            yield from ((rank, _hash(f"{column}=", one)) for one in values if one is not None and one != "")
        if name == "session" and item.source_trace_id is not None:
            yield _SESSION, _hash("trace=", item.source_trace_id)
    if "duplicates" in by:
        yield _CONTENT, _hash("input=", _normalised(item.input))
    else:
        yield _CONTENT, _hash("id=", item.id)


def _hash(prefix: str, value: Any) -> bytes:
    return hashlib.sha256(prefix.encode() + encode(value)).digest()


def _normalised(value: Any) -> str:
    text = value if isinstance(value, str) else encode(value).decode()
    words = _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return words or text
