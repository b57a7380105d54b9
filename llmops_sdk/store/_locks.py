"""Locks on files: how one process knows that another still writes."""

from __future__ import annotations

import sys

from llmops_sdk.errors import StoreError

__all__ = ["try_lock"]

if sys.platform == "win32":

    def try_lock(descriptor: int) -> bool:  # noqa: ARG001 - the signature of the other
        """Not on this platform: without a lock that ends with its process, a live segment could be removed."""
        raise StoreError(
            "the local store needs flock, which Windows does not have: run under WSL, or set "
            "LLMOPS_STORE__ENABLED=false and send the spans to an OTLP backend"
        )

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Take the exclusive lock of an open file without waiting; whether it was free.

        The lock belongs to the open file: it ends when the last descriptor of it is closed, kill -9 included, and a
        forked child that closes its copy does not end the parent's.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
