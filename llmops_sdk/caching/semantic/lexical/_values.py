"""Read the values of a text: numbers in digits or words, times, money and quantities with their units."""

from __future__ import annotations

import re
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.caching.semantic.lexical._tokens import BREAK, Word
from llmops_sdk.caching.semantic.lexical._words import words

__all__ = ["DATE_WORDS", "Value", "read_value"]

_NUMBER = re.compile(r"([£$€¥₹]?)(\d++(?:[.,:/]\d++)*+)([^\W\d_]*+%?)")
_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = {
    name: 10 * tens
    for tens, name in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_COUNTS = {name: count for count, name in enumerate(_SMALL)} | _TENS | {"dozen": 12}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "k": 1_000}
_CURRENCIES = {
    "£": "gbp", "$": "usd", "€": "eur", "¥": "jpy", "₹": "inr", "pound": "gbp", "pounds": "gbp", "quid": "gbp",
    "gbp": "gbp", "dollar": "usd", "dollars": "usd", "usd": "usd", "bucks": "usd", "euro": "eur", "euros": "eur",
    "eur": "eur", "yen": "jpy", "jpy": "jpy", "rupees": "inr", "inr": "inr", "chf": "chf", "cad": "cad", "aud": "aud",
}  # fmt: skip
# Unit: its dimension, and how many of the dimension's smallest unit it is.
_UNITS: dict[str, tuple[str, float]] = {
    "second": ("time", 1), "sec": ("time", 1), "minute": ("time", 60), "min": ("time", 60), "hour": ("time", 3600),
    "hr": ("time", 3600), "h": ("time", 3600), "day": ("time", 86_400), "week": ("time", 604_800),
    "fortnight": ("time", 1_209_600), "month": ("months", 1), "year": ("months", 12), "yr": ("months", 12),
    "mg": ("mass", 0.001), "g": ("mass", 1), "gram": ("mass", 1), "kg": ("mass", 1000), "kilo": ("mass", 1000),
    "kilogram": ("mass", 1000), "lb": ("pounds", 1), "lbs": ("pounds", 1), "oz": ("ounces", 1), "ounce": ("ounces", 1),
    "stone": ("stones", 1), "ml": ("volume", 1), "cl": ("volume", 10), "l": ("volume", 1000),
    "litre": ("volume", 1000), "liter": ("volume", 1000), "gallon": ("gallons", 1), "pint": ("pints", 1),
    "mm": ("length", 1), "cm": ("length", 10), "metre": ("length", 1000), "meter": ("length", 1000),
    "km": ("length", 1_000_000), "kilometre": ("length", 1_000_000), "kilometer": ("length", 1_000_000),
    "mile": ("miles", 1), "mi": ("miles", 1), "ft": ("feet", 1), "foot": ("feet", 1), "feet": ("feet", 1),
    "inch": ("inches", 1), "inches": ("inches", 1), "yard": ("yards", 1), "kb": ("data", 1), "mb": ("data", 1000),
    "gb": ("data", 1_000_000), "tb": ("data", 1_000_000_000), "kwh": ("energy", 1), "kw": ("power", 1),
    "w": ("power", 0.001), "mph": ("mph", 1), "kmh": ("kmh", 1), "%": ("percent", 1), "percent": ("percent", 1),
}  # fmt: skip
_PARTS = {"am": 0, "morning": 0, "pm": 12, "afternoon": 12, "evening": 12, "tonight": 12, "night": 12}
_NO_COUNT = words("""
    a the this that which new quick first second another no any every some each old other
""")
_AFTER_ONE = words("of or to for with in on at from that which i is and")
DATE_WORDS = words("""
    monday tuesday wednesday thursday friday saturday sunday january february march april june july august september
    october november december today tomorrow yesterday tonight weekday weekend spring summer autumn winter easter
    christmas mon tue tues wed thu thur thurs fri sat sun jan feb mar apr jun jul aug sep sept oct nov dec
""")


@public("llmops_sdk.caching.semantic.lexical")
class Value(NamedTuple):
    """A value of a text.

    Attributes:
        kind: "number", "year", "clock", "money", "quantity" or "code".
        unit: A currency, the dimension of a quantity, or "".
        amount: The number in the smallest unit of its dimension, minutes since midnight for a clock, or the code.
    """

    kind: str
    unit: str
    amount: float | str

    @property
    def key(self) -> str:
        """Return what is compared: equal for "50000" and "50,000", not for "007" and "7"."""
        amount = self.amount if isinstance(self.amount, str) else f"{self.amount:.12g}"
        return f"#{amount}" if self.kind in {"number", "year", "code"} else f"#{amount}{self.kind}{self.unit}"


def read_value(words: list[Word], at: int) -> tuple[Value, set[int]] | None:
    """Return the value that begins at a word and the positions that it takes, or None.

    Args:
        words: The words of a text.
        at: The position of the word.

    Example:
        >>> read_value([Word("fifty"), Word("pounds")], 0)
        (Value(kind='money', unit='gbp', amount=50), {0, 1})
    """
    text = words[at].text
    if text in {"noon", "midday", "midnight"}:
        return Value("clock", "am" if text == "midnight" else "pm", 0), {at}
    if text == "half" and _text(words, at + 1) in {*_COUNTS, "past"}:
        return _half_past(words, at)
    match = _NUMBER.fullmatch(text)
    if match is not None:
        return _digits(words, at, match)
    if text in _COUNTS:
        return _number_words(words, at)
    if any(letter.isdigit() for letter in text):
        return Value("code", "", text), {at}
    return None


def _text(words: list[Word], at: int) -> str:
    return words[at].text if 0 <= at < len(words) else BREAK


def _half_past(words: list[Word], at: int) -> tuple[Value, set[int]] | None:
    place = at + 2 if _text(words, at + 1) == "past" else at + 1
    hour = _COUNTS.get(_text(words, place))
    if hour is None and _text(words, place).isdecimal():
        hour = int(_text(words, place)[:2])
    if hour is None or hour > 12:
        return None
    part, taken = _part_of_day(words, place + 1)
    return Value("clock", part, hour % 12 * 60 + 30), {*range(at, place + 1), *taken}


def _digits(words: list[Word], at: int, match: re.Match[str]) -> tuple[Value, set[int]]:
    sign, digits, ending = match.groups()
    taken = {at}
    if len(digits) > 15 or "/" in digits:
        return Value("code", "", f"{digits}{ending}"), taken
    if ":" in digits:
        return _clock(words, at, digits, ending)
    number = float(digits.replace(",", "")) if _is_grouped(digits) else None
    if number is None:
        return Value("code", "", f"{digits}{ending}"), taken
    if ending in {"k", "m", "bn"} and (sign or ending == "k"):
        number, ending = number * {"k": 1e3, "m": 1e6, "bn": 1e9}[ending], ""
    if sign:
        number, more = _scaled(words, at, number)
        return Value("money", _CURRENCIES[sign], number), taken | more
    if ending in {"st", "nd", "rd", "th"}:
        return Value("number", "", number), taken
    if ending in {"am", "pm"} and number <= 12:
        return Value("clock", ending, int(number) % 12 * 60), taken
    if ending in _UNITS:
        dimension, factor = _UNITS[ending]
        return Value("quantity", dimension, number * factor), taken
    if ending in _CURRENCIES:
        return Value("money", _CURRENCIES[ending], number), taken
    if ending:
        return Value("code", "", f"{digits}{ending}"), taken
    plain = digits.isdecimal() and len(digits) >= 5
    return _with_unit(words, at, number, is_code=plain or (digits[0] == "0" and len(digits) > 1 and "." not in digits))


def _is_grouped(digits: str) -> bool:
    """Return whether it is a number: commas stand before groups of three digits, and there is at most one point."""
    whole, _, rest = digits.partition(".")
    return "," not in rest and "." not in rest and all(len(group) == 3 for group in whole.split(",")[1:])


def _clock(words: list[Word], at: int, digits: str, ending: str) -> tuple[Value, set[int]]:
    hours, _, minutes = digits.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal()) or int(hours) > 24 or int(minutes) > 59:
        return Value("code", "", f"{digits}{ending}"), {at}
    part, taken = (ending, set[int]()) if ending in {"am", "pm"} else _part_of_day(words, at + 1)
    hour = int(hours)
    if hour > 12:
        part, hour = "pm", hour - 12
    return Value("clock", part, hour % 12 * 60 + int(minutes)), {at, *taken}


def _scaled(words: list[Word], at: int, number: float) -> tuple[float, set[int]]:
    scale = _SCALES.get(_text(words, at + 1))
    return (number, set()) if scale is None else (number * scale, {at + 1})


def _number_words(words: list[Word], at: int) -> tuple[Value, set[int]] | None:
    text = words[at].text
    following = _text(words, at + 1)
    if text == "one" and (_text(words, at - 1) in _NO_COUNT or following == BREAK or following in _AFTER_ONE):
        return None
    number, last = _COUNTS[text], at
    if text in _TENS and _COUNTS.get(following, 99) < 10:
        number, last = number + _COUNTS[following], at + 1
    value, taken = _with_unit(words, last, number, is_code=False)
    return value, {at, *taken}


def _with_unit(words: list[Word], at: int, number: float, *, is_code: bool) -> tuple[Value, set[int]]:
    number, taken = _scaled(words, at, number)
    taken = {at, *taken}
    place = at + len(taken)
    unit = _text(words, place)
    if unit in {"pound", "pounds"} and _text(words, place + 1) == "of":
        return Value("quantity", "pounds", number), {*taken, place}
    if unit in _CURRENCIES:
        return Value("money", _CURRENCIES[unit], number), {*taken, place}
    known = _UNITS.get(unit) or (_UNITS.get(unit[:-1]) if unit.endswith("s") else None)
    if known is not None and len(unit) > 1:
        if _text(words, place + 1) == "old":
            return Value("number", "", number), {*taken, place, place + 1}
        return Value("quantity", known[0], number * known[1]), {*taken, place}
    spoken = unit == "at" and _text(words, place + 1) == "night"
    if number <= 12 and (unit in _PARTS or unit == "oclock" or spoken or _text(words, at - 1) == "at"):
        part, more = _part_of_day(words, place)
        if part or unit in {"oclock", "o"}:
            clock = {place} if unit == "oclock" else set[int]()
            return Value("clock", part, number % 12 * 60), {*taken, *clock, *more}
    if is_code:
        return Value("code", "", words[at].text), taken
    is_year = 1900 <= number <= 2100 and number == int(number) and len(taken) == 1
    return Value("year" if is_year else "number", "", number), taken


def _part_of_day(words: list[Word], at: int) -> tuple[str, set[int]]:
    """Return "am", "pm" or "" by the next four words, and the positions that say so."""
    for place in range(at, min(at + 4, len(words))):
        text = words[place].text
        if text == BREAK:
            break
        if text in _PARTS:
            lead = {one for one in range(at, place) if words[one].text in {"in", "the", "at", "this", "oclock"}}
            return ("am" if _PARTS[text] == 0 else "pm"), {place, *lead}
    return "", set()
