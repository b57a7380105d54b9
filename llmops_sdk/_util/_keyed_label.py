"""Replace a value by a label with a keyed hash, so that equal values can be joined and none can be read."""

from __future__ import annotations

import hashlib
import unicodedata

__all__ = ["keyed_label"]

_REDACTED = "REDACTED:"
_NUMBERS = ("CARD", "PHONE", "IBAN", "SSN", "NATIONAL_ID", "NHS", "ITIN", "PASSPORT", "BANK", "LICENSE")
"""Parts of kinds whose values people write with spaces, dots or dashes."""
_MAILS = ("EMAIL",)
# No digits: a guard that reads the text again must not take the hash for a card or a telephone number.
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopabcdef")


def keyed_label(kind: str, value: str, key: bytes) -> str:
    """Return the replacement of a value: its kind with 64 bits of a keyed hash, as in "[EMAIL:cmhakpdbflgnoiej]".

    Equal values have equal replacements, also if they differ in case, spaces, invisible or full-width characters; a
    number also without its spaces, dots and dashes. Secrets, of kinds such as "REDACTED:openai_key", count as they are.

    Args:
        kind: The kind, in capitals. It is part of the hash.
        value: The value.
        key: At most 64 bytes. Who knows it can test guesses.

    Example:
        >>> from llmops_sdk._util._keyed_label import keyed_label
        >>> keyed_label("EMAIL", "ada@EXAMPLE.org", b"k" * 32) == keyed_label("EMAIL", "ada@example.org", b"k" * 32)
        True
    """
    said = f"{kind}\0{_normal(kind, value)}".encode("utf-8", "surrogatepass")
    code = hashlib.blake2b(said, key=key, digest_size=8).hexdigest().translate(_LETTERS)
    return f"[{kind}:{code}]"


def _normal(kind: str, value: str) -> str:
    """Return one spelling of a value."""
    if kind.startswith(_REDACTED):
        return value
    plain = unicodedata.normalize("NFKC", value).casefold()
    if any(name in kind for name in _MAILS):
        plain = plain.replace("%40", "@")
    if any(name in kind for name in _NUMBERS):
        return "".join(_digit(one) for one in plain if one.isalnum())
    # Neither spaces nor invisible characters: general categories Z and C.
    return "".join(one for one in plain if unicodedata.category(one)[0] not in "ZC")


def _digit(character: str) -> str:
    number = unicodedata.decimal(character, None)
    return character if number is None else str(number)
