"""Numbers of payment cards: found by issuer, length and Luhn's check digit, in linear time.

The one module that imports stdnum.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal

from llmops_sdk.guardrails._protocol import GuardContext, Span, Verdict

__all__ = ["CardGuard", "find_cards"]

# ISO/IEC 7812: the first digits name the issuer, and with it the lengths. (first prefix, last prefix, lengths)
_ISSUERS: tuple[tuple[str, str, Iterable[int]], ...] = (
    ("1800", "1800", (15,)),  # JCB
    ("2131", "2131", (15,)),  # JCB
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("2221", "2720", (16,)),  # Mastercard
    ("300", "305", (14, 16)),  # Diners Club
    ("3095", "3095", (14, 16)),  # Diners Club
    ("34", "34", (15,)),  # American Express
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("36", "36", (14, 15, 16, 17, 18, 19)),  # Diners Club
    ("37", "37", (15,)),  # American Express
    ("38", "39", (14, 16)),  # Diners Club
    ("4", "4", (13, 16, 19)),  # Visa
    ("50", "50", (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5018", "5018", (12,)),  # Maestro's shortest, by the issuers that have them
    ("5020", "5020", (12,)),
    ("5038", "5038", (12,)),
    ("51", "55", (16,)),  # Mastercard
    ("56", "58", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("6011", "6011", (16, 17, 18, 19)),  # Discover
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("6304", "6304", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("6390", "6390", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("644", "649", (16, 17, 18, 19)),  # Discover
    ("65", "65", (16, 17, 18, 19)),  # Discover, RuPay
    ("6759", "6763", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("81", "82", (16,)),  # RuPay
    ("9792", "9792", (16,)),  # Troy
)
_SHORTEST, _LONGEST = 12, 19


def _lengths_by_prefix() -> list[tuple[int, ...]]:
    """For each of the 10,000 first four digits the lengths that a card may have, longest first."""
    found: list[set[int]] = [set() for _ in range(10_000)]
    for first, last, lengths in _ISSUERS:
        low, high = int(first.ljust(4, "0")), int(last.ljust(4, "9"))
        for prefix in range(low, high + 1):
            found[prefix].update(lengths)
    return [tuple(sorted(lengths, reverse=True)) for lengths in found]


_LENGTHS = _lengths_by_prefix()

_DIGITS = re.compile(r"\d+")
# What people, word processors and those who want to get past put between the digits of one number: spaces, dashes,
# and characters without width. At most three at a time.
_GAP = re.compile(
    r"[ \t_\-\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
    r"\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]{1,3}"
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def find_cards(text: str) -> list[tuple[int, int, str]]:
    """Where card numbers stand in a text, and their digits.

    Args:
        text: Any text. The time is linear in its length, whatever it is.

    Returns:
        Start, end (in the text as it was given) and the ASCII digits, in order and without overlap.
    """
    return [card for run in _runs(text) for card in _cards_in(text, run)]


def _runs(text: str) -> Iterator[list[tuple[int, int]]]:
    """Groups of digits that may belong to one number: nothing but a short gap stands between two of them."""
    run: list[tuple[int, int]] = []
    for match in _DIGITS.finditer(text):
        start, end = match.span()
        # One gap pattern at one place, three characters at most: constant time.
        gap = _GAP.match(text, run[-1][1], start) if run else None
        if run and (gap is None or gap.end() != start):
            yield run
            run = []
        run.append((start, end))
    if run:
        yield run


def _cards_in(text: str, run: list[tuple[int, int]]) -> Iterator[tuple[int, int, str]]:
    """The cards of one run. A card begins where a group begins and ends where one ends: a longer number has none."""
    if sum(end - start for start, end in run) < _SHORTEST:
        return
    digits = [unicodedata.decimal(text[place]) for start, end in run for place in range(start, end)]
    first_of = [0, *accumulate(end - start for start, end in run)]
    ends = {digit: group for group, digit in enumerate(first_of[1:])}
    sums = _luhn_sums(digits)
    group = 0
    while group < len(run):
        first = first_of[group]
        card = None
        if first + _SHORTEST <= len(digits) and not _is_part_of_number(text, run[group][0], len(digits)):
            card = _longest(digits, first, ends, sums)
        if card is None:
            group += 1
            continue
        last = ends[first + len(card)]
        yield run[group][0], run[last][1], card
        group = last + 1


def _longest(digits: list[int], first: int, ends: dict[int, int], sums: tuple[list[int], list[int]]) -> str | None:
    """The longest card that begins at a digit."""
    prefix = digits[first] * 1000 + digits[first + 1] * 100 + digits[first + 2] * 10 + digits[first + 3]
    for length in _LENGTHS[prefix]:
        end = first + length
        if end in ends:
            undoubled = sums[(end - 1) % 2]
            # The sum says so at once; stdnum, which takes a call for each, has the last word.
            if (undoubled[end] - undoubled[first]) % 10 == 0:
                number = "".join(map(str, digits[first:end]))
                if _is_luhn(number):
                    return number
    return None


def _luhn_sums(digits: list[int]) -> tuple[list[int], list[int]]:
    """Running Luhn sums in which the digits at even, and those at odd places are the undoubled ones."""
    return (
        [0, *accumulate(_DOUBLED[digit] if place % 2 else digit for place, digit in enumerate(digits))],
        [0, *accumulate(digit if place % 2 else _DOUBLED[digit] for place, digit in enumerate(digits))],
    )


def _is_part_of_number(text: str, start: int, digits: int) -> bool:
    """Whether the digits are a decimal fraction, or a telephone number in its international form."""
    before = text[start - 1] if start else ""
    if before == "+":
        return digits <= 15
    return before in {".", ","} and start > 1 and text[start - 2].isdecimal()


def _is_luhn(number: str) -> bool:
    from stdnum import luhn

    return luhn.is_valid(number)


class CardGuard:
    """Finds the numbers of payment cards, and redacts them or blocks the call.

    Found are 13 to 19 digits (12 for some Maestro cards) with an issuer's prefix and a valid check digit, also with
    spaces, dashes and zero-width characters between them, and in the digits of any script.

    Args:
        action: "redact" puts `[CARD]` in their place, "block" ends the call.
        keep_last4: Leave the last four digits, as in `[CARD 1111]`.

    Example:
        >>> from llmops_sdk.guardrails import CardGuard, GuardContext
        >>> number = "4111 " + "1111 " * 3
        >>> CardGuard().check(f"Pay with {number}please", GuardContext(rail="input")).text
        'Pay with [CARD] please'
    """

    name = "cards"

    def __init__(self, action: Literal["redact", "block"] = "redact", *, keep_last4: bool = False) -> None:
        if action not in ("redact", "block"):
            raise ValueError(f'a card guard can "redact" or "block", not {action!r}')
        self.action: Literal["redact", "block"] = action
        self.keep_last4 = keep_last4
        self.version = f"1:{action}" + (":keep_last4" if keep_last4 else "")

    def check(self, text: str, context: GuardContext) -> Verdict:  # noqa: ARG002 - both rails are alike to it
        """What to do with a text."""
        cards = find_cards(text)
        if not cards:
            return Verdict("pass")
        reason = "1 card number" if len(cards) == 1 else f"{len(cards)} card numbers"
        spans: tuple[Span, ...] = tuple((start, end, "CARD") for start, end, _ in cards)
        if self.action == "block":
            return Verdict("block", None, reason, spans)
        parts: list[str] = []
        done = 0
        for start, end, digits in cards:
            parts += text[done:start], f"[CARD {digits[-4:]}]" if self.keep_last4 else "[CARD]"
            done = end
        return Verdict("redact", "".join((*parts, text[done:])), reason, spans)
