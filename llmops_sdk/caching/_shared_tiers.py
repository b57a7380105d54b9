"""The tiers of the caches on the server of `[shared]`, from outside the programs that use them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from time import perf_counter
from typing import Protocol, TypeVar

from llmops_sdk.caching.backends._open import SEMANTIC, open_shared
from llmops_sdk.caching.backends._protocol import BackendError
from llmops_sdk.config import SharedSettings
from llmops_sdk.errors import StoreError
from llmops_sdk.shared._server import SharedServer

__all__ = ["check_server", "clear_shared", "remove_shared", "shared_place", "shared_sizes"]

_T = TypeVar("_T")

_TIERS = ("exact", "functions")


class _Tier(Protocol):
    """What the stores of all tiers have."""

    place: str

    def delete_tag(self, tag: str) -> int: ...

    def clear(self) -> int: ...

    def size(self) -> tuple[int, int]: ...

    def close(self) -> None: ...


def shared_place(shared: SharedSettings) -> str:
    """Return where the shared entries are, in words without a secret; "" without a server."""
    return "" if shared.url is None else SharedServer(shared).place


def check_server(shared: SharedSettings) -> str:
    """Return where the server is and how long it took to answer, in words.

    Args:
        shared: The server, with a URL.

    Raises:
        StoreError: The server does not answer, or refuses.
        MissingDependencyError: The library for the server is not installed.
    """
    backend = open_shared(shared, _TIERS[0], what="the server")  # limits and budgets may be all that it has
    with closing(backend), _failing(backend.place):
        backend.mark("")  # connects
        began = perf_counter()
        backend.mark("")
        took = perf_counter() - began
    return f"{shared_place(shared)} answers in {took * 1e3:.1f} ms"


def remove_shared(shared: SharedSettings, *, tag: str | None = None, key: str | None = None) -> int:
    """Remove the entries of a tag or of the beginning of a key, and return how many there were.

    Args:
        shared: The server; without a URL there is nothing to remove.
        tag: A tag.
        key: A key or its beginning.

    Raises:
        StoreError: The server does not answer, or refuses.
        MissingDependencyError: The library for the server is not installed.
    """
    if shared.url is None:
        return 0
    if tag is not None:
        return sum(_each(shared, lambda tier: tier.delete_tag(tag)).values())
    count = 0
    for name in _TIERS:  # the semantic tier has no keys
        backend = open_shared(shared, name)
        with closing(backend), _failing(backend.place):
            count += backend.delete(key or "")
    return count


def clear_shared(shared: SharedSettings) -> int:
    """Remove every entry of the namespace, and return how many there were; see `remove_shared`."""
    return sum(_each(shared, lambda tier: tier.clear()).values())


def shared_sizes(shared: SharedSettings) -> dict[str, tuple[int, int]]:
    """Return the number of entries and of bytes of each tier of the namespace; see `remove_shared`."""
    return _each(shared, lambda tier: tier.size())


def _each(shared: SharedSettings, work: Callable[[_Tier], _T]) -> dict[str, _T]:
    done: dict[str, _T] = {}
    for name, tier in _tiers(shared):
        with closing(tier), _failing(tier.place):
            done[name] = work(tier)
    return done


def _tiers(shared: SharedSettings) -> Iterator[tuple[str, _Tier]]:
    if shared.url is None:
        return
    for name in _TIERS:
        yield name, open_shared(shared, name)
    if shared.is_postgres:
        # Imported here: only few programs use it.
        from llmops_sdk.caching.semantic.stores._postgres import PostgresSemanticBackend

        yield SEMANTIC, PostgresSemanticBackend(SharedServer(shared))


@contextmanager
def _failing(place: str) -> Generator[None]:
    try:
        yield
    except BackendError as error:
        raise StoreError(f"{error}; try again", path=place) from error
