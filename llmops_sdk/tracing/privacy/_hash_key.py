"""Find the key for hashes of redacted values."""

from __future__ import annotations

import hashlib
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_sdk.config import RedactionSettings

__all__ = ["hash_key"]

_LEAST = 16
_log = logging.getLogger("llmops_sdk")
_warned: set[str] = set()


def hash_key(redaction: RedactionSettings, *, warn: bool = True) -> bytes | None:
    """Return the key for `keyed_label`, or None if values are replaced without a hash.

    A missing or short key is no error, because tracing must not break the application: the values are replaced all the
    same, and a warning is logged once.

    Args:
        redaction: The settings, whose `hash_key_env` names the environment variable with the key.
        warn: Whether to log the warning.
    """
    name = redaction.hash_key_env
    if name is None:
        return None
    text = os.environ.get(name, "").strip()
    if len(text) >= _LEAST:
        return hashlib.blake2b(
            text.encode("utf-8", "surrogateescape"), digest_size=32, person=b"llmops.redaction"
        ).digest()
    if warn and name not in _warned:
        _warned.add(name)
        _log.warning(
            "llmops: redacted values get no hash: the environment variable %s, which redaction.hash_key_env names, "
            "must hold a random key of at least %d characters",
            name,
            _LEAST,
        )
    return None
