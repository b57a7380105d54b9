"""The form of a prompt in a few numbers: how long it is, how many numbers and symbols it has, how it is laid out."""

from __future__ import annotations

import math
import re
import string

__all__ = ["FORM", "form_of", "words_of"]

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+")
_NEGATIONS = frozenset(["not", "except", "never", "false", "incorrect", "without"])
_DIGITS, _CAPITALS = string.digits.encode(), string.ascii_uppercase.encode()
_NO_SYMBOLS = bytes(code for code in range(128) if chr(code).isalnum() or chr(code).isspace())

FORM = (
    "log_characters", "log_words", "log_digits", "share_of_digits", "log_symbols", "share_of_symbols", "log_numbers",
    "log_lines", "log_mean_line", "log_first_line", "share_of_capitals", "mean_word", "share_of_distinct_words",
    "has_question", "has_gap", "has_negation", "has_code_or_formula",
)  # fmt: skip
"""The names of the numbers, in order."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without marks."""
    return _WORD.findall(text.lower())


def form_of(text: str, words: list[str]) -> list[float]:
    """Return the numbers named in `FORM`.

    Args:
        text: The text.
        words: Its words, from `words_of`.
    """
    characters = len(text)
    digits, symbols, capitals = _counts(text)
    first, *others = text.split("\n")
    log = math.log1p
    return [
        log(characters),
        log(len(words)),
        log(digits),
        digits / (characters + 1),
        log(symbols),
        symbols / (characters + 1),
        log(len(_NUMBER.findall(text))),
        log(len(others) + 1),
        log(sum(map(len, others)) / max(len(others), 1)),
        log(len(first)),
        capitals / (characters + 1),
        sum(map(len, words)) / max(len(words), 1),
        len(set(words)) / (len(words) + 1),
        float("?" in text),
        float("__" in text),
        float(not _NEGATIONS.isdisjoint(words)),
        float("\\" in text or "$" in text or "```" in text or "def " in text),
    ]


def _counts(text: str) -> tuple[int, int, int]:
    """Return the digits, the symbols and the capitals of a text."""
    characters = len(text)
    if not text.isascii():
        symbols = characters - sum(map(str.isalnum, text)) - sum(map(str.isspace, text))
        return sum(map(str.isdigit, text)), symbols, sum(map(str.isupper, text))
    # The same in a tenth of the time.
    encoded = text.encode()
    return (
        characters - len(encoded.translate(None, _DIGITS)),
        len(encoded.translate(None, _NO_SYMBOLS)),
        characters - len(encoded.translate(None, _CAPITALS)),
    )
