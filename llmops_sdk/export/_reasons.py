"""Say in one line why a backend did not take a batch: host, port and reason, without what we were configured with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from llmops_sdk.export._destinations import Destination

__all__ = ["Mask", "short_reason"]

_HIDDEN = "***"
_MAX_LENGTH = 300
_LEAST_SECRET = 4  # characters: a shorter value would hide parts of words
_SCHEMES = frozenset({"bearer", "basic", "token"})
_POOL = re.compile(r"host='([^']*)', port=(\d+)")
_ERRNO = re.compile(r"\[Errno -?\d+\] ([^'\")\n]+)")
_CAUSE = re.compile(r"(?:Caused by |^\()(\w+)\((?:.*?[,>:] )?['\"]?([^'\"()\n]+)")
_QUERY = re.compile(r"\?[^\s)]+")


class Mask:
    """Hides the secrets of a destination in any text that is logged or raised: its headers' values, its URL's user.

    Args:
        destination: The destination.
    """

    def __init__(self, destination: Destination) -> None:
        user = urlsplit(destination.endpoint).netloc.rpartition("@")[0]
        self._values = sorted(_forms((*destination.headers.values(), user)), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        for value in self._values:
            text = text.replace(value, _HIDDEN)
        return text


def _forms(values: Iterable[str]) -> set[str]:
    """Return each value as it stands, without its scheme ("Bearer"), and as `repr` and bytes write it."""
    found: set[str] = set()
    for value in values:
        for part in (value, value.strip(), *value.split(), *value.split(":"), unquote(value)):
            found |= {part, repr(part)[1:-1]}
    return {value for value in found if len(value) >= _LEAST_SECRET and value.lower() not in _SCHEMES}


def short_reason(text: str) -> str:
    """Return an error of an HTTP library as "host:port: reason"; other texts in one line.

    Args:
        text: The text of the error. A URL's query is left out, because it may hold a key.
    """
    pool = _POOL.search(text)
    if pool is not None:
        found = _ERRNO.search(text)
        cause = _CAUSE.search(text)
        rest = text.rpartition(": ")[2]
        reason = found[1] if found else f"{cause[1]}: {cause[2]}" if cause else rest
        return f"{pool[1]}:{pool[2]}: {reason.strip()}"[:_MAX_LENGTH]
    return _QUERY.sub("", " ".join(text.split()))[:_MAX_LENGTH]
