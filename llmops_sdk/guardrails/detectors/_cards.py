"""Find payment card numbers by issuer, length and Luhn's check digit, in linear time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import accumulate, compress
from typing import Literal

from llmops_sdk._util._public import public
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext, Verdict
from llmops_sdk.guardrails.detectors._card_runs import ASCII_RUN, LONGEST, RUN, SHORTEST, settled_length
from llmops_sdk.guardrails.normalise._sieve import sieve

__all__ = ["CardDetector", "CardGuard", "find_cards"]

# ISO/IEC 7812: the first digits name the issuer, and with it the lengths. (first prefix, last prefix, lengths)
_ISSUERS: tuple[tuple[str, str, Iterable[int]], ...] = (
    ("1800", "1800", (15,)),  # JCB
    ("2131", "2131", (15,)),  # JCB
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("2221", "2720", (16,)),  # Mastercard
    ("300", "305", (14, 16)),  # Diners Club
    ("3095", "3095", (14, 16)),  # Diners Club
    ("34", "34", (15,)),  # American Express
    ("35", "35", (16,)),  # JCB has 3528 to 3589; test numbers come from all of 35
    ("3528", "3589", (17, 18, 19)),  # JCB
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


def _lengths_by_prefix() -> list[tuple[int, ...]]:
    """Return the lengths that a card may have for each of the 10,000 first four digits, longest first."""
    found: list[set[int]] = [set() for _ in range(10_000)]
    for first, last, lengths in _ISSUERS:
        low, high = int(first.ljust(4, "0")), int(last.ljust(4, "9"))
        for prefix in range(low, high + 1):
            found[prefix].update(lengths)
    return [tuple(sorted(lengths, reverse=True)) for lengths in found]


_LENGTHS = _lengths_by_prefix()


def _beginning(first: str, last: str) -> str:
    """Return a regular expression of what the prefixes from one to another begin with, and maybe some more."""
    for place, (low, high) in enumerate(zip(first, last, strict=True)):
        if low != high:
            return f"{first[:place]}[{low}-{high}]"
    return first


# To look for an issuer in all the digits takes much less time than to look at each group of digits.
_ISSUER = re.compile(f"(?={'|'.join(_beginning(first, last) for first, last, _ in _ISSUERS)})")
_LONGEST_PREFIX = 4

_MAY_BE_CARD = rf"[0-9](?:[ \t_-]{{0,3}}[0-9]){{{SHORTEST - 1}}}"
"""A text in ASCII with a card matches this."""
_ASCII_GAPS = b" \t_-"
_IS_DIGIT = bytes(chr(code).isdecimal() for code in range(128)) + bytes(128)
_TO_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)) + bytes(246)


def find_cards(text: str) -> list[tuple[int, int, str]]:
    """Return the start, end and ASCII digits of every card number, in order and without overlap, in linear time."""
    is_ascii = text.isascii()
    if is_ascii and not sieve(_MAY_BE_CARD)(text):
        return []
    return [
        card
        for run in (ASCII_RUN if is_ascii else RUN).finditer(text)
        if run.end() - run.start() >= SHORTEST
        for card in _cards_in(text, run.start(), run.group())
    ]


def _cards_in(text: str, offset: int, run: str) -> Iterator[tuple[int, int, str]]:
    """Yield the cards in a run of digits and gaps.

    A card begins and ends where groups of digits do: a longer number does not contain a card.
    """
    number = _digits_of(run)
    count = len(number)
    if count < SHORTEST or (count == len(run) and count > LONGEST) or not _ISSUER.search(number):
        return
    is_digit = _digit_marks(run)
    places = tuple(compress(range(len(run)), is_digit))
    # Of each digit whether it stands right behind another, and of what follows the last one.
    is_inside = bytes(compress(b"\0" + is_digit, is_digit)) + b"\0"
    sums = _luhn_sums(number, 0), _luhn_sums(number, 1)
    done = 0
    for match in _ISSUER.finditer(number, 0, count - SHORTEST + _LONGEST_PREFIX):
        first = match.start()
        if first < done or is_inside[first]:
            continue
        for length in _LENGTHS[int(number[first : first + _LONGEST_PREFIX])]:
            end = first + length
            if end > count or is_inside[end]:
                continue
            running = sums[(end - 1) % 2]
            if (running[end] - running[first]) % 10 == 0:
                start = offset + places[first]
                if not _is_part_of_number(text, start, count):
                    yield start, offset + places[end - 1] + 1, number[first:end]
                    done = end
                break


def _digit_marks(run: str) -> bytes:
    """Return for each character of a run whether it is a digit."""
    if run.isascii():
        return run.encode().translate(_IS_DIGIT)
    return bytes(map(str.isdecimal, run))


def _digits_of(run: str) -> str:
    """Return the digits of a run, in ASCII."""
    if run.isascii():
        return run.encode().translate(None, _ASCII_GAPS).decode()
    return "".join([str(unicodedata.decimal(character)) for character in run if character.isdecimal()])


def _luhn_sums(number: str, undoubled: int) -> list[int]:
    """Return running Luhn sums: the digits at even places count as they are if `undoubled` is 0, else the others."""
    values = bytearray(number.encode("ascii").translate(_TO_VALUES))
    values[1 - undoubled :: 2] = values[1 - undoubled :: 2].translate(_DOUBLED)
    return list(accumulate(values, initial=0))


def _is_part_of_number(text: str, start: int, digits: int) -> bool:
    """Return whether the digits are a decimal fraction, or an international telephone number."""
    before = text[start - 1] if start else ""
    if before == "+":
        return digits <= 15
    return before in {".", ","} and start > 1 and text[start - 2].isdecimal()


@public("llmops_sdk.guardrails")
class CardGuard:
    """Finds payment card numbers, and redacts them or blocks the call.

    A card number has 13 to 19 digits (some Maestro cards 12) of any script, an issuer's prefix and a valid check
    digit; it may contain spaces, dashes and zero-width characters.

    Args:
        action: "redact" replaces a number by `[CARD]`, "block" ends the call.
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
            raise ValueError(f'the action of a card guard must be "redact" or "block", not {action!r}')
        self.action: Literal["redact", "block"] = action
        self.keep_last4 = keep_last4
        self.version = f"1:{action}" + (":keep_last4" if keep_last4 else "")
        self.keeps_text = action == "block"

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text without a part of a card that may go on.

        A guard that blocks settles nothing before the end, so that a blocked stream yields nothing.
        """
        return settled_length(text, find_cards) if self.action == "redact" else 0

    def check(self, text: str, context: GuardContext) -> Verdict:  # noqa: ARG002 - it treats both rails alike
        """Return the verdict on a text."""
        cards = find_cards(text)
        if not cards:
            return Verdict("pass")
        reason = _reason(len(cards))
        findings = tuple(Finding("CARD", start, end) for start, end, _ in cards)
        if self.action == "block":
            return Verdict("block", None, reason, findings)
        parts: list[str] = []
        done = 0
        for start, end, digits in cards:
            parts += text[done:start], f"[CARD {digits[-4:]}]" if self.keep_last4 else "[CARD]"
            done = end
        return Verdict("redact", "".join((*parts, text[done:])), reason, findings)


@public("llmops_sdk.guardrails.detectors")
class CardDetector:
    """Finds payment card numbers, as `CardGuard` does, for the actions that the guard itself does not have."""

    name = "cards"
    version = "1"

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text without a part of a card that may go on."""
        return settled_length(text, find_cards)

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - it treats all rails alike
        """Return the card numbers in a text."""
        findings = tuple(Finding("CARD", start, end) for start, end, _ in find_cards(text))
        return Detection(found=bool(findings), findings=findings, reason=_reason(len(findings)) if findings else "")


def _reason(count: int) -> str:
    return "1 card number" if count == 1 else f"{count} card numbers"
