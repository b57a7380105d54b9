"""Ways to hide an e-mail address, a card number or a key from a search for it."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from urllib.parse import quote

__all__ = ["DISGUISES", "PAIRS"]

_LOOK_ALIKES = str.maketrans("aceopxyiABCEHKMOPTXY", "асеорхуіАВСЕНКМОРТХУ")
_DIGIT_LOOK_ALIKES = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def _middle(text: str, new: str) -> str:
    half = len(text) // 2
    return text[:half] + new + text[half:]


def _every(text: str, size: int, new: str) -> str:
    return new.join(text[at : at + size] for at in range(0, len(text), size))


def _fullwidth(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


DISGUISES: dict[str, Callable[[str], str]] = {
    "fullwidth": _fullwidth,
    "zero width": lambda text: "\u200b".join(text),
    "word joiner": lambda text: _every(text, 3, "\u2060"),
    "no-break space": lambda text: _middle(text, "\u00a0"),
    "soft hyphen": lambda text: "\u00ad".join(text),
    "tag characters": lambda text: "".join(one + chr(0xE0000 + ord(one) % 128) for one in text),
    "look-alikes": lambda text: text.translate(_LOOK_ALIKES if "@" in text or "_" in text else _DIGIT_LOOK_ALIKES),
    "bold": lambda text: "".join(
        chr(0x1D41A + ord(one) - 97) if "a" <= one <= "z" else chr(0x1D7CE + int(one)) if one.isdigit() else one
        for one in text
    ),
    "line break": lambda text: _middle(text, "\n"),
    "indented line break": lambda text: _middle(text, "\n    "),
    "space": lambda text: _middle(text, " "),
    "spelled": " ".join,
    "dash": lambda text: text.replace("-", "\u2013") if "-" in text else text.replace(" ", "\u2013"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "percent": lambda text: quote(text, safe="").replace("_", "%5F"),
    "percent of all": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "html": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "json": lambda text: "".join(
        f"\\u{int.from_bytes(text.encode('utf-16-be')[at : at + 2]):04x}"
        for at in range(0, len(text.encode("utf-16-be")), 2)
    ),
}

PAIRS = [(one, other) for one, other in itertools.product(DISGUISES, repeat=2) if one != other]
