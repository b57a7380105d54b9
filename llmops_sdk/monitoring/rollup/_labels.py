"""Labels of groups: users and sessions appear as a keyed hash only, so that no alert keeps them after a prune."""

from __future__ import annotations

import os
from pathlib import Path

from llmops_sdk._util._keyed_label import keyed_label
from llmops_sdk._util._private_files import create_file
from llmops_sdk.errors import StoreError

__all__ = ["Labels", "label_key"]

_PERSONS = {"user_id": "USER", "session_id": "SESSION"}
_LONGEST = 200
_KEY = "labels.key"


def label_key(folder: Path) -> bytes:
    """Return the key of the hashes, which is made at random on first use.

    Args:
        folder: The watcher's folder, which exists.

    Raises:
        StoreError: The key cannot be written or read.
    """
    file = folder / _KEY
    try:
        create_file(file, os.urandom(32), fsync=True)
        key = file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}", path=str(file)) from error
    if len(key) != 32:
        raise StoreError(f"{file} is damaged: remove it; alerts about users get new labels then", path=str(file))
    return key


class Labels:
    """Turns the values of groups into labels.

    Args:
        key: The key of the hashes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def text(self, column: str, value: object) -> str:
        """Return the label of a value: a hash for a user or a session, else the value itself, cut.

        Args:
            column: The column that the value is from.
            value: The value, or None.
        """
        if value is None:
            return ""
        text = value if isinstance(value, str) else str(value)
        if column in _PERSONS:
            return keyed_label(_PERSONS[column], text, self._key)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
