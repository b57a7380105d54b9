"""Find runs of base64 that hold a text, and decode them."""

from __future__ import annotations

import base64
import binascii
import re

__all__ = ["BASE64_RUN", "UNLIKELY_BASE64", "UNPRINTABLE", "text_of"]

BASE64_RUN = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{8,}+={0,2}")
UNLIKELY_BASE64 = re.compile(r"[a-z/_-]*+\Z|[0-9+-]*+\Z|[A-Z_]*+\Z|[0-9a-f]*+\Z")
_NO_FIRST = frozenset("ABEFGHghijklmnopqrstuv+/-_")
"""With these, the first byte is a control character, or begins no character at all."""
UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def text_of(body: str) -> str | None:
    """Return the text in a run of base64 without its padding, or None if it holds none."""
    if body[0] in _NO_FIRST:
        return None
    # A sample first: most runs of such characters are no base64.
    for part in (body[:64], body):
        try:
            data = base64.b64decode(part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4))
            text = data.decode()
        except binascii.Error:
            return None
        except UnicodeDecodeError as error:
            # The sample may end inside a character.
            if len(part) == len(body) or error.start < len(error.object) - 3:
                return None
            continue
        if UNPRINTABLE.search(text):
            return None
        if len(part) == len(body):
            return text
    return None
