"""What the watcher needs of a queue of notifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from llmops_sdk._util._public import public
from llmops_sdk.monitoring._notification import Notification

__all__ = ["Notifications"]


@public("llmops_sdk.monitoring")
class Notifications(Protocol):
    """A durable queue of what notifiers send."""

    def put(self, notification: Notification, names: Sequence[str]) -> None:
        """Add a message for some notifiers. It survives kill -9 once this returns.

        A second call with the same id, state, repeat and notifier changes nothing.

        Args:
            notification: The message.
            names: Names of `[notify.*]`.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        ...

    def close(self) -> None:
        """Stop sending; what is left stays on disk."""
        ...
