"""Find numbers that name a person: telephone, IBAN, social security and other national ids, cards."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.guardrails.detectors._cards import find_cards
from llmops_sdk.guardrails.detectors._signs import compiled
from llmops_sdk.guardrails.detectors.pii._pii_found import Found

__all__ = ["DEFAULT_REGIONS", "IBAN_SIGNS", "card", "iban", "national_id", "phone", "us_ssn"]

DEFAULT_REGIONS = ("US", "GB", "IE", "DE", "FR", "ES", "IT", "NL", "BE", "CH", "AT", "SE", "NO", "DK", "PL", "IN", "AU")
"""The countries whose telephone numbers are recognised without a country code."""

# --- Telephone

# The first character stands in a set, which the engine finds much faster than a place behind some characters.
_NOT_BEFORE = "A-Za-z0-9_+.:/@#=-"
_MORE_DIGITS = r"(?:(?:[)]-|[ ]?[(/)][ ]?|[ .-]{1,2})?+[0-9])"
_PHONE = re.compile(
    rf"([+(0-9](?<![{_NOT_BEFORE}][+(0-9])(?:(?<=[0-9])|(?<=\+) ?[0-9]|(?<=\()[0-9]){_MORE_DIGITS}{{6,17}}+)"
    r"(?:[ ]?(?:x|ext\.?|#)[ ]?[0-9]{1,6})?(?![A-Za-z0-9_]|[.:,/][0-9]|[-.]?[0-9])"
)
# More digits than a number has: another number follows it.
_PHONE_AND_MORE = re.compile(rf"\+(?<![{_NOT_BEFORE}]\+) ?[0-9]{_MORE_DIGITS}{{15,17}}+")
_DIGITS = re.compile("[0-9]+")
_NO_DIGITS = dict.fromkeys(map(ord, "+ ()/.-"))
"""Takes everything but the digits out of a number."""
_PHONE_WORD = re.compile(
    r"(?i:phone|tel\b|tel[.:]|call|mobile|\bcell\b|\bfax\b|dial|whatsapp|\bsms\b|\bdesk\b|\boffice\b|contact"
    r"|\breach\b|messages? to|answering|handy|t[eé]l[eé]fono?|portable|\bmob\b)"
)
_PARTS_OF_PHONE_WORDS = (
    *("phone", "tel", "call", "mob", "cell", "fax", "dial", "whatsapp", "sms", "desk", "office", "contact", "reach"),
    *("message", "answering", "handy", "portable"),
)
"""Each of these words has one of them, in lower case."""
_WORD_AFTER_PHONE = re.compile(r"[ \t]?-?[(]?(?i:office|fax|mobile|cell|desk|home|work)\b")
# Dates, and a year and a range, which have the same shape.
_NO_PHONE = re.compile(r"(?:19|20)[0-9]{2}[-./ ][0-9]{1,2}[-./ ][0-9]{1,2}\b|[0-9]{1,2}[-./][0-9]{1,2}[-./](?:19|20)")
_BEFORE, _AFTER = 48, 12
"""How many characters before and after a number may have a word that tells what it is."""
_SERVICES = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan"),
)


def phone(text: str, regions: Sequence[str]) -> Iterator[Found]:
    """Yield telephone numbers: valid ones in a usual form, and any behind a word such as "call"."""
    for match in _PHONE_AND_MORE.finditer(text) if "+" in text else ():
        size = _end_of_international(match[0])
        if size:
            yield Found(0.95, match.start(), match.start() + size, "PHONE")
    may_have_words = not text.isascii() or _has_part_of_phone_words(text)
    for match in _PHONE.finditer(text):
        start, end = match.span()
        number = match[1]
        digits = number.translate(_NO_DIGITS)
        if not 7 <= len(digits) <= 15:
            continue
        is_international = number[0] == "+"
        if not is_international and _NO_PHONE.match(match[0]):
            continue
        if is_international or digits.startswith("00"):
            if _is_international(digits if is_international else digits.lstrip("0"), "(0)" in number):
                yield Found(0.95, start, end, "PHONE")
                continue
            score = 0.0
        else:
            score = _national_score(number, digits, regions)
        if score == 0.0 and len(digits) < 8 and len(_DIGITS.findall(number)) == 1 and not is_international:
            continue
        if (may_have_words and _has_phone_word(text, start)) or _WORD_AFTER_PHONE.match(text, end, end + _AFTER):
            yield Found(0.9 if score else 0.6, start, end, "PHONE")
        elif score == _USUAL:
            yield Found(_USUAL, start, end, "PHONE")


_USUAL, _BARE = 0.7, 0.1
"""The scores of a valid number: one in a usual form needs no word."""


def _national_score(number: str, digits: str, regions: Sequence[str]) -> float:
    if not _national_numbers(tuple(regions)).fullmatch(digits):
        return 0.0
    groups = _DIGITS.findall(number)
    is_usual = len(groups) > 1 and (
        number[0] in "(0" or (len(groups) >= 3 and len(digits) >= 9 and max(map(len, groups)) <= 4)
    )
    return _USUAL if is_usual else _BARE


def _end_of_international(number: str) -> int:
    """Return the length of the longest valid number at the beginning of several, or 0."""
    digits = ""
    found = 0
    for group in _DIGITS.finditer(number):
        digits += group[0]
        if 7 <= len(digits) <= 15 and _is_international(digits, "(0)" in number[: group.end()]):
            found = group.end()
    return found


def _is_international(digits: str, has_trunk_zero: bool) -> bool:
    codes = _codes()
    for length in (1, 2, 3):
        for region in codes.get(int(digits[:length] or "0"), ()):
            national = digits[length + has_trunk_zero :]
            if region != "001" and _numbers_of(region)[1].fullmatch(national):
                return True
    return False


@functools.cache
def _national_numbers(regions: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of the numbers of some countries, as they are dialled there."""
    forms: list[str] = []
    for region in regions:
        prefix, numbers = _numbers_of(region)
        # Where calls inside the country need a prefix, a number without it is not written so.
        optional = "?" if prefix == "1" else ""
        forms.append(f"(?:{prefix}){optional}(?:{numbers.pattern})" if prefix else numbers.pattern)
    return re.compile("|".join(forms) or "(?!)")


@functools.cache
def _codes() -> dict[int, tuple[str, ...]]:
    return require("phonenumbers", extra="guards", purpose="finding telephone numbers").COUNTRY_CODE_TO_REGION_CODE


@functools.cache
def _numbers_of(region: str) -> tuple[str, re.Pattern[str]]:
    """Return a country's trunk prefix, and the pattern of its numbers without it."""
    library = require("phonenumbers", extra="guards", purpose="finding telephone numbers")
    country = library.PhoneMetadata.metadata_for_region(region)
    if country is None:
        return "", re.compile(r"(?!)")
    patterns = {getattr(country, service).national_number_pattern for service in _SERVICES if getattr(country, service)}
    return country.national_prefix or "", re.compile("|".join(sorted(one for one in patterns if one)) or "(?!)")


# --- IBAN

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}+")
_IBAN_LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        "(..)(..)",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24"
        "FI18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20"
        "LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33"
        "SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20",
    )
}
"""The number of characters for each country, by the IBAN registry."""
IBAN_SIGNS = rf"(?:\b|_)(?i:{'|'.join(_IBAN_LENGTHS)})[0-9]{{2}}[ -]?[A-Za-z0-9]{{1,4}}[ -]?[A-Za-z0-9]"
"""What each text with an IBAN matches, for google-re2; longer repetitions would make it slow on random letters."""


_BEGINS = r"(?:^|[^A-Za-z0-9])"
_IBAN_BEGINS = rf"{_BEGINS}[A-Za-z]{{2}}[0-9]{{2}}"
_COUNTRY_BEGINS = rf"{_BEGINS}(?i:{'|'.join(_IBAN_LENGTHS)})[0-9]{{2}}"
_LONG = 1024


def _iban_matches(text: str) -> Iterator[re.Match[str]]:
    if len(text) < _LONG or not text.isascii():
        yield from _IBAN.finditer(text)
        return
    # The linear engine finds the beginnings in random letters a hundred times as fast.
    data = text.encode()
    countries = (_IBAN.match(text, begin.end() - 4) for begin in compiled(_COUNTRY_BEGINS).finditer(data))
    if not any(match and _end_of_iban(match) for match in countries):
        return
    done = 0
    for begin in compiled(_IBAN_BEGINS).finditer(data):
        at = begin.end() - 4
        match = _IBAN.match(text, at) if at >= done else None
        if match:
            done = match.end()
            yield match


def _end_of_iban(match: re.Match[str]) -> int:
    """Return the end of an IBAN of the length that its country has, whatever its check digits, or 0."""
    length = _IBAN_LENGTHS.get(match[0][:2].upper())
    if length is None:
        return 0
    places = [place for place, character in enumerate(match[0]) if character.isalnum()]
    if len(places) < length:
        return 0
    end = match.start() + places[length - 1] + 1
    return 0 if match.string[end : end + 1].isalnum() else end


def iban(text: str) -> Iterator[Found]:
    """Yield IBANs, also in groups: by country, length and check digits."""
    for match in _iban_matches(text):
        end = _end_of_iban(match)
        if end and _is_valid("iban", "".join(filter(str.isalnum, text[match.start() : end]))):
            yield Found(0.99, match.start(), end, "IBAN")


# --- National ids

_SSN = re.compile(r"[0-9](?<![A-Za-z0-9-][0-9])[0-9]{2}([- ])[0-9]{2}\1[0-9]{4}(?![A-Za-z0-9-])")
_BARE_SSN = re.compile(r"[0-9](?<![A-Za-z0-9.-][0-9])[0-9]{8}(?![A-Za-z0-9-])")
_NO_SSN = frozenset({"078051120", "457555462", "219099999"})
"""Numbers that were published, as in an advertisement, and name nobody."""
_SSN_WORD = re.compile(r"(?i:\bssn\b|social security)")
_DAY, _MONTH = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])"

_NATIONAL_IDS: tuple[tuple[str, str, str], ...] = (
    ("fr.nir", rf"[12] ?[0-9]{{2}} ?(?:{_MONTH}|[2-9][0-9]) ?[0-9][0-9AB] ?[0-9]{{3}} ?[0-9]{{3}} ?[0-9]{{2}}", ""),
    ("es.dni", "[0-9]{8}-?[A-Z]", ""),
    ("es.nie", "[XYZ]-?[0-9]{7}-?[A-Z]", ""),
    ("it.codicefiscale", "[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]", ""),
    ("be.nn", rf"[0-9]{{2}}\.?{_MONTH}\.?{_DAY}-?[0-9]{{3}}\.?[0-9]{{2}}", ""),
    ("pl.pesel", rf"[0-9]{{2}}(?:[02468][1-9]|[13579][0-2]){_DAY}[0-9]{{5}}", r"(?i:pesel)"),
    ("fi.hetu", rf"{_DAY}{_MONTH}[0-9]{{2}}[-+A-FU-Y][0-9]{{3}}[0-9A-FHJ-NPR-Y]", ""),
    ("no.fodselsnummer", rf"{_DAY}{_MONTH}[0-9]{{2}} ?[0-9]{{5}}", ""),
    ("se.personnummer", rf"(?:19|20)?[0-9]{{2}}{_MONTH}{_DAY}[-+][0-9]{{4}}", ""),
    ("dk.cpr", rf"{_DAY}{_MONTH}[0-9]{{2}}-[0-9]{{4}}", r"(?i:\bcpr)"),
    ("br.cpf", r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", ""),
    ("ch.ssn", r"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}", ""),
    ("cn.ric", rf"[1-9][0-9]{{5}}(?:19|20)[0-9]{{2}}{_MONTH}{_DAY}[0-9]{{3}}[0-9Xx]", ""),
    ("ro.cnp", rf"[1-9][0-9]{{2}}{_MONTH}{_DAY}[0-9]{{6}}", ""),
    ("gb.nhs", "[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", r"\bNHS\b"),
    ("nl.bsn", "[0-9]{9}", r"(?i:\bbsn\b|burgerservice)"),
)
"""Modules of stdnum, the form of a number, and the word that must stand before it where the check digit is weak."""
_PARTS_OF_ID_WORDS = {
    "pl.pesel": ("pesel",), "dk.cpr": ("cpr",), "gb.nhs": ("nhs",), "nl.bsn": ("bsn", "burgerserv"),
}  # fmt: skip
"""A text with such a word has one of these, without regard to case."""
_ID_FORMS = tuple(
    (module, re.compile(rf"(?<![A-Za-z0-9.-])(?:{form})(?![A-Za-z0-9]|-[0-9])"), re.compile(word) if word else None)
    for module, form, word in _NATIONAL_IDS
)


@functools.cache
def _id_sieve() -> Any:
    """Return the sieve, which tells in one pass which of the forms a text may have."""
    sieve = require("re2", extra="guards", purpose="the guard pii").Set.SearchSet()
    for _, form, _ in _NATIONAL_IDS:
        sieve.Add(form)
    sieve.Compile()
    return sieve


def us_ssn(text: str) -> Iterator[Found]:
    """Yield social security numbers of the United States: 3-2-4, or nine digits behind the word."""
    for match in _SSN.finditer(text):
        if _is_us_ssn(match[0]):
            yield Found(0.95, *match.span(), "US_SSN")
    for match in _BARE_SSN.finditer(text):
        if _has_word(_SSN_WORD, text, match.start()) and _is_us_ssn(match[0]):
            yield Found(0.9, *match.span(), "US_SSN")


def _is_us_ssn(number: str) -> bool:
    """Tell whether a number of social security may exist, by the rules of stdnum, whose cleaning takes longer."""
    digits = number.replace("-", "").replace(" ", "")
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    is_unused = area in {"000", "666"} or area[0] == "9" or group == "00" or serial == "0000"
    return not is_unused and digits not in _NO_SSN


def national_id(text: str) -> Iterator[Found]:
    """Yield national ids with a check digit."""
    found: Sequence[int] = _id_sieve().Match(text.encode("utf-8", "replace")) or ()
    folded = ""
    for index in found:
        module, form, word = _ID_FORMS[index]
        if word is not None:
            folded = folded or text.casefold()
            if not any(part in folded for part in _PARTS_OF_ID_WORDS[module]):
                continue
        for match in form.finditer(text):
            if (word is None or _has_word(word, text, match.start())) and _is_valid(module, match[0]):
                yield Found(0.9, *match.span(), "NATIONAL_ID")


def card(text: str) -> Iterator[Found]:
    """Yield payment card numbers."""
    for start, end, _ in find_cards(text):
        yield Found(0.98, start, end, "CARD")


def _has_phone_word(text: str, start: int) -> bool:
    before = text[max(0, start - _BEFORE) : start]
    if before.isascii() and not _has_part_of_phone_words(before):
        return False
    return _has_word(_PHONE_WORD, text, start)


def _has_part_of_phone_words(text: str) -> bool:
    # Substrings are found ten times as fast as words.
    folded = text.lower()
    return any(part in folded for part in _PARTS_OF_PHONE_WORDS)


def _has_word(word: re.Pattern[str], text: str, start: int) -> bool:
    return word.search(text, max(0, start - _BEFORE), start) is not None


@functools.cache
def _checker(module: str) -> Callable[[str], bool]:
    return importlib.import_module(f"stdnum.{module}").is_valid


def _is_valid(module: str, number: str) -> bool:
    return _checker(module)(number)
