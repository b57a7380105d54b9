"""The interface of a store of entries, small and synchronous.

`CacheStore` has everything else: the threads, the bounded waits, the back-off, the async twins and the memory in front.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from llmops_sdk.shared._server import BackendError

__all__ = ["BackendError", "CacheBackend", "DamagedError"]


class DamagedError(BackendError):
    """The store was damaged and has been put aside: the next use opens a new one, at once."""


class CacheBackend(Protocol):
    """Bytes by key, their tags, and one leader at a time for each key, shared by threads, processes or machines.

    To add a store (Redis, Postgres), implement these methods and give `CacheStore` a function that makes the object.

    - The object is cheap to make. It connects at the first use, and again at the first use after `close`.
    - With `workers = 1` all methods except `generation` run on one thread. With more, they must be thread-safe.
    - A method may block. Give each connection a time-out of about a second: callers wait no longer than two.
    - A failure is a `BackendError` (raise it `from` the library's error), a `DamagedError` or an `OSError`. Any other
      error is a bug, which the guard reports.
    - A forked child makes its own object. It must not use or close connections that it inherits.
    - Keys are ASCII text of up to 80 characters. Tags are text of up to 200.

    Attributes:
        place: What identifies the store in this process, such as its folder or its URL without credentials.
        workers: How many threads call it.
    """

    place: str
    workers: int

    def get(self, key: str) -> bytes | None:
        """Return the value of a key; None when it is missing, has expired or was not written by `set`."""
        ...

    def set(self, key: str, value: bytes, ttl: float | None, tags: Sequence[str]) -> bool:
        """Store a value with its tags in the place of an older one, and return whether it is stored.

        Args:
            key: The key.
            value: The value.
            ttl: Seconds after which the store may drop it, or None.
            tags: All tags of the entry; those of an older value end.
        """
        ...

    def discard(self, key: str) -> None:
        """Remove one value that nobody can use."""
        ...

    def delete(self, key: str) -> int:
        """Remove the entries of a key or of the beginning of keys, and return how many there were."""
        ...

    def delete_tag(self, tag: str) -> int:
        """Remove every entry that has a tag, and return how many there were."""
        ...

    def clear(self) -> int:
        """Remove every entry, and return how many there were."""
        ...

    def size(self) -> tuple[int, int]:
        """Return the number of entries, and the bytes that the store takes."""
        ...

    def generation(self) -> Hashable | None:
        """Return what changes with every `invalidated` of any process or machine, or None if the store cannot tell.

        Callers call it on their own threads before each read of the memory in front of the store: it takes microseconds
        and does not block. A store that returns None has no memory in front.
        """
        ...

    def invalidated(self) -> None:
        """Change the generation; called after entries were removed that other processes may remember."""
        ...

    def acquire(self, key: str, token: str) -> bool:
        """Let the holder of a token lead the flight of a key, if nobody does, and return whether it does.

        The lead ends with `release` or soon after the death of the process: a store that does not see that by itself
        (as locks of the kernel do) renews short leases while the process lives.
        """
        ...

    def release(self, key: str, token: str, note: str) -> None:
        """End the lead of a token; do nothing if it does not lead.

        Args:
            key: The key.
            token: The token.
            note: "" or "unshared": followers may not have the answer, so the key's `mark` must change.
        """
        ...

    def mark(self, key: str) -> str:
        """Return a text that changes when a flight of the key ends "unshared"; "" if none did lately.

        A follower compares it with the one before its wait: after a change, all who wait go on by themselves at once
        instead of leading one after the other.
        """
        ...

    def close(self) -> None:
        """Close the connection. Leads stay."""
        ...
