"""Values that guards find, made at run time so that no file of the project has one.

for value in VALUES.values():
    assert check(value.text, [value.guard]).text == value.replacement
"""

from __future__ import annotations

import random
import re
import string
from dataclasses import dataclass

from stdnum import luhn

from llmops_sdk.guardrails import check

__all__ = ["VALUES", "GuardedValue", "card_number", "email_address", "secret_key"]


_IN_A_ROW = 8
_WORD = re.compile(rb"[0-9A-Za-z]+")


def card_number(draw: random.Random) -> str:
    """Return a card number of sixteen digits with a valid check digit."""
    body = "4" + "".join(draw.choices(string.digits, k=14))
    return body + luhn.calc_check_digit(body)


def email_address(draw: random.Random) -> str:
    """Return an e-mail address with a random name."""
    return f"q{''.join(draw.choices(string.ascii_lowercase, k=7))}.w@example.org"


def secret_key(draw: random.Random) -> str:
    """Return a token in the format of GitHub."""
    return "gh" + "p_" + "x1" + "".join(draw.choices(string.ascii_letters + string.digits, k=34))


@dataclass(frozen=True)
class GuardedValue:
    """A value, the name of a guard that finds it, and its replacement.

    Attributes:
        text: The value.
        guard: A guard that replaces it.
        core: A part that must not be seen anywhere.
    """

    text: str
    guard: str
    core: str

    def is_in(self, data: bytes) -> bool:
        """Return whether a part of the value is in bytes that also have ids, times and durations.

        By chance, six given digits are in these in one of a hundred runs. So where they are a part of a longer word,
        that word must be a part of the value, or have eight characters of it in a row.
        """
        core, text = self.core.encode(), self.text.encode()
        if core not in data:
            return False
        parts = [text[at : at + _IN_A_ROW] for at in range(len(text) - _IN_A_ROW + 1)]
        return any(word in text or any(part in word for part in parts) for word in _WORD.findall(data) if core in word)

    @property
    def replacement(self) -> str:
        """Return what the guard leaves instead."""
        left = check(self.text, [self.guard]).text
        if not (left.startswith("[") and left.endswith("]")):
            raise AssertionError(f"{self.guard} leaves {left!r}")
        return left


_DRAW = random.Random(7)
_CARD, _MAIL, _KEY = card_number(_DRAW), email_address(_DRAW), secret_key(_DRAW)
VALUES = {
    "card": GuardedValue(_CARD, "cards", _CARD[4:10]),
    "email": GuardedValue(_MAIL, "pii", _MAIL[:8]),
    "key": GuardedValue(_KEY, "secrets", _KEY[6:14]),
}
"""One value of each kind."""
