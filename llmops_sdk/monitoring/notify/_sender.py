"""The protocol of notifiers, and how a secret or an address is read from the environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from llmops_sdk.errors import NotifierError
from llmops_sdk.monitoring.notify._message import Message

__all__ = ["TIMEOUT", "Sender", "from_environment"]

TIMEOUT = 10.0
"""Seconds that a receiver has for each step: to accept the connection, to read, to answer."""


class Sender(Protocol):
    """Sends messages to one receiver. One thread at a time calls it."""

    @property
    def pause(self) -> float:
        """Return the least seconds between two calls of `send`."""
        ...

    def send(self, batch: Sequence[Message]) -> None:
        """Send one message, or several as one digest, and return once the receiver has accepted them.

        Raises:
            NotifierError: The receiver did not accept them.
        """
        ...


def from_environment(name: str, variable: str) -> str:
    """Return the value of an environment variable.

    Args:
        name: The notifier's name, for the error.
        variable: The variable's name.

    Raises:
        NotifierError: It is not set. A restart with the variable sends what waits.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise NotifierError(f"[notify.{name}] needs the environment variable {variable}: set it", notifier=name)
    return value
