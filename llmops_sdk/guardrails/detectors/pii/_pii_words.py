"""Find personal data in words and signs: e-mail, URL, IP, date of birth, street address."""

from __future__ import annotations

import functools
import ipaddress
import re
import string
from collections.abc import Iterator, Sequence
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.guardrails.detectors.pii._pii_found import Found

__all__ = ["ADDRESS_SIGNS", "address", "date_of_birth", "email", "ip", "url"]

# --- E-mail

_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}+@(?:[\w-]{1,63}\.){1,8}([^\W\d_]{2,24}|xn--[A-Za-z0-9-]{2,24})(?![A-Za-z0-9])"
)
_AT = r"(?: {0,2}@ {0,2}| ?[\[({] ?(?i:at) ?[\])}] ?)"
_DOT = r"(?: ?\. ?| ?[\[({] ?(?i:dot) ?[\])}] ?)"
_SPACED_EMAIL = re.compile(
    rf"(?<![\w.+-])[\w.+-]{{1,64}}+{_AT}(?:[\w-]{{1,63}}{_DOT}){{1,5}}"
    r"(?:com|org|net|edu|gov|io|ai|dev|app|info|eu|de|fr|uk|us|ca|ch|es|it|nl|se|in|jp|br|au)(?![A-Za-z0-9])"
)
_BRACKETS_AT = re.compile(r"[\[({] ?[Aa][Tt] ?[\])}]")
_LOCAL, _MOST_SPACES = f"{string.ascii_letters}{string.digits}_.+-", 2
_SPARSE = 32
"""With more than one "@" in so many characters, to look at each takes longer than to search the text."""
_LONGEST_LOCAL = 65
"""No address begins earlier before its "@", in characters."""
# The ends of file names with an @, as in "logo@2x.png".
_FILES = frozenset(
    ["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "py", "html", "json", "md", "txt", "pdf"]
)


def email(text: str) -> Iterator[Found]:
    """Yield e-mail addresses, also those with spaces around the signs."""
    if text.isascii() and text.count("@") * _SPARSE <= len(text) and not _BRACKETS_AT.search(text):
        plain, spaced = _at_signs(text)
    else:
        at = text.find("@")
        plain = _EMAIL.finditer(text, max(0, at - _LONGEST_LOCAL)) if at >= 0 else ()
        spaced = _SPACED_EMAIL.finditer(text)
    found: set[tuple[int, int]] = set()
    for match in plain:
        start, end = match.span()
        start += len(match[0]) - len(match[0].lstrip(".-+"))
        if match[1].lower() not in _FILES and text[start] != "@" and not text.startswith("git@", start):
            found.add((start, end))
            yield Found(0.97, start, end, "EMAIL")
    for match in spaced:
        if match.span() not in found and not text.startswith("git@", match.start()):
            yield Found(0.8, *match.span(), "EMAIL")


def _at_signs(text: str) -> tuple[list[re.Match[str]], list[re.Match[str]]]:
    """Return the matches of both patterns in an ASCII text whose addresses all have an "@".

    An address begins where the word before its "@" does, so nothing else in the text is searched.
    """
    plain: list[re.Match[str]] = []
    spaced: list[re.Match[str]] = []
    plain_end = spaced_end = 0
    at = text.find("@")
    while at >= 0:
        before = text[max(0, at - _LONGEST_LOCAL - _MOST_SPACES) : at]
        local = before.rstrip(" ")
        start = at - len(before) + len(local.rstrip(_LOCAL))
        if len(local) == len(before) and start >= plain_end and (match := _EMAIL.match(text, start)):
            plain.append(match)
            plain_end = match.end()
        if start >= spaced_end and (match := _SPACED_EMAIL.match(text, start)):
            spaced.append(match)
            spaced_end = match.end()
        at = text.find("@", at + 1)
    return plain, spaced


# --- URL and IP

_URL = re.compile(
    r"(?<![A-Za-z0-9+.-])(?:(?i:https?|ftps?|wss?)://|(?i:www)\.(?=[\w-]{1,63}\.))[^\s<>\"'`{}|\\^\x00-\x1f]{3,}+"
)
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
# The first digit stands in a set, which the engine finds much faster than a place behind some characters.
_IPV4 = re.compile(
    r"[0-9](?<![\w.-][0-9])(?<!\bv [0-9])(?:(?<=2)(?:5[0-5]|[0-4][0-9])|(?<=1)[0-9]{2}|[0-9])?"
    rf"\.(?:{_OCTET}\.){{2}}{_OCTET}(?![\w-]|\.[0-9])"
)
_VERSION_BEFORE = re.compile(r"(?i:version|release|\bv)[ :=]{0,2}\Z")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{3,44}+(?![\w:])")


def url(text: str) -> Iterator[Found]:
    """Yield URLs."""
    for match in _URL.finditer(text):
        end = match.start() + len(match[0].rstrip(".,;:!?)]*_'"))
        if end - match.start() > len("www.a."):
            yield Found(0.96, match.start(), end, "URL")


def ip(text: str) -> Iterator[Found]:
    """Yield addresses of IP 4 and 6, but no versions and no clock times."""
    for match in _IPV4.finditer(text):
        if not _VERSION_BEFORE.search(text, max(0, match.start() - 12), match.start()):
            yield Found(0.95, *match.span(), "IP")
    # What is no clock time has three groups, and then three colons.
    for match in _IPV6.finditer(text) if text.count(":") > 2 else ():
        number = match[0].rstrip(".")
        groups = [group for group in number.split(":") if group]
        if len(groups) < 3 or not any(character.isdigit() for character in number) or number.count(":") > 7:
            continue
        if number.endswith(":") and not number.endswith("::"):
            number = number[:-1]
        if _is_ipv6(number):
            yield Found(0.95, match.start(), match.start() + len(number), "IP")


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


# --- Date of birth

_MONTHS = {
    "j": "an(?:uary|uar)?|une?|uni|uly?|uli", "f": "eb(?:ruary|ruar)?", "m": "ar(?:ch|s|zo)?|ay|ai",
    "a": "pr(?:il)?|ug(?:ust)?", "s": "ept?(?:ember)?", "o": "[ck]t(?:ober)?", "n": "ov(?:ember)?",
    "d": "e[cz](?:ember)?",
}  # fmt: skip
"""The rest of the names of months, by their first letter."""
_MONTH_NAME = rf"(?i:{'|'.join(f'{first}(?:{rest})' for first, rest in _MONTHS.items())})\.?"
_BEHIND_FIRST = rf"(?i:{'|'.join(f'(?<={first})(?:{rest})' for first, rest in _MONTHS.items())})\.?"
# The first character stands in a set, which the engine finds much faster than a choice of patterns.
_DATE = re.compile(
    rf"[0-9{''.join(_MONTHS)}{''.join(_MONTHS).upper()}](?<![\w.-].)"
    r"(?:(?<=[0-9])(?:[0-9]?([/.-])[0-9]{1,2}\1(?:[0-9]{4}|[0-9]{2})|[0-9]{3}([/.-])[0-9]{1,2}\2[0-9]{1,2}"
    rf"|[0-9]?(?:st|nd|rd|th|\.)?[ -](?:of )?{_MONTH_NAME},?[ -][0-9]{{4}})"
    rf"|{_BEHIND_FIRST} [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}})(?![\w-])"
)
_BIRTH = re.compile(
    r"[bdgnBDGN](?i:(?<=b)(?:(?<!\w.)orn\b|irth)|(?<=d)(?<!\w.)(?:ob\b|\.o\.b)|(?<=g)(?:eboren|eburt)"
    r"|(?<=n)(?:aissance|(?<!\w.)[ée]e? le\b|acid|acimiento|ascit))"
)
_BIRTH_AFTER = re.compile(r"[^.\n]{0,24}(?i:birthday|date of birth|\bdob\b)")
_BIRTH_BEFORE = 64


def date_of_birth(text: str) -> Iterator[Found]:
    """Yield the first date behind each word of birth, and one right before "birthday"."""
    done = 0
    for match in _DATE.finditer(text):
        start, end = match.span()
        is_behind = _BIRTH.search(text, max(done, start - _BIRTH_BEFORE), start) is not None
        if is_behind or _BIRTH_AFTER.match(text, end, end + 40):
            yield Found(0.9, start, end, "DATE_OF_BIRTH")
        done = end


# --- Street address

_NAME = r"[^\W\d_][^\W\d_'\u2019.-]{0,24}+(?:['\u2019.-][^\W\d_'\u2019.-]{1,24}+)*+\.?"
_CAPITAL_NAME = rf"(?=[^\W\d_a-z\u00df-\u00ff]){_NAME}"
_STREET = (
    r"(?i:street|st|str|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|square|squares|sq|place|pl|way"
    r"|terrace|terr|crescent|close|highway|hwy|parkway|pkwy|trail|trl|alley|row|circle|cir|loop|plaza|mews)\b\.?"
)
_UNIT = r"(?:,? (?i:apt|apartment|suite|ste|unit|flat|no)\.? ?#?[A-Za-z0-9-]{1,6}\b)?"
_BEFORE_NAME = (
    r"(?i:rue|avenue|boulevard|place|chemin|impasse|all[ée]e|calle|avenida|paseo|plaza|via|viale|piazza|corso|rua|largo"
    r"|pra[çc]a|travessa|ul\.|ulica)"
)
_LINKS = r"(?:(?:de|du|des|della|delle|del|di|do|da|dos|das|la|le|les|l'|d') ?){0,3}+"
_LINKS_SIGN = _LINKS.removesuffix("+")
_ENDINGS = (
    r"(?:stra(?:ß|ss)e|str\.|weg|platz|gasse|allee|damm|ufer|straat|laan|plein|gracht|gatan|v[äa]gen|gr[äa]nd|gata|gate|vei"
    r"|veien|vej|gade|all[eé]|katu|tie|kuja|polku|tn?\. |utca|u\.)"
)
_ADDRESSES = (
    # 14 Crown Street, Suite 5
    re.compile(
        r"[0-9](?<![\w.-][0-9])[0-9]{0,4}[A-Za-z]?(?:[-/][0-9]{1,4})?,?"
        rf" (?:{_CAPITAL_NAME} ){{1,4}}{_STREET}{_UNIT}"
    ),
    # 12, rue de la Paix
    re.compile(
        rf"[0-9](?<![\w.-][0-9])[0-9]{{0,3}}(?: ?bis)?,? {_BEFORE_NAME}"
        rf" {_LINKS}{_CAPITAL_NAME}(?: {_CAPITAL_NAME}){{0,3}}"
    ),
    # Calle Mayor 5
    re.compile(
        rf"(?<!\w){_BEFORE_NAME} {_LINKS}{_CAPITAL_NAME}(?: {_CAPITAL_NAME}){{0,3}},? [0-9]{{1,5}}[A-Za-z]?(?!\w)"
    ),
    # Hauptstraße 12a, Kiannonkatu 98
    re.compile(rf"(?<!\w)(?=[^\W\d_a-z])[^\W\d_]{{2,30}}?{_ENDINGS} [0-9]{{1,5}}[A-Za-z]?{_UNIT}(?!\w)"),
    re.compile(r"(?<!\w)(?i:p\.? ?o\.? ?box|postfach) [0-9]{1,7}(?!\w)"),
    re.compile(r"(?<!\w)(?:PSC|Unit|CMR) [0-9]{1,5},? Box [0-9]{1,5}(?!\w)"),
    re.compile(r"[0-9](?<!\w[0-9])[0-9]{0,4} (?:[^\W\d_][\w.'\u2019-]{0,24} ){1,3}(?i:apt|suite)\.? ?[0-9]{1,5}(?!\w)"),
)

_CAPITAL = "[^a-z0-9 ][^ ]*"
_SIGNS = (
    rf"[0-9][A-Za-z]?,? (?:{_CAPITAL} ){{1,4}}{_STREET}",
    rf"[0-9](?: ?bis)?,? {_BEFORE_NAME} {_LINKS_SIGN}{_CAPITAL}",
    rf"{_BEFORE_NAME} {_LINKS_SIGN}{_CAPITAL}(?: {_CAPITAL}){{0,3}} [0-9]",
    rf"{_ENDINGS} [0-9]",
    "(?i:box|postfach) [0-9]",
    "Box [0-9]",
    r"[0-9] (?:[^ ]+ ){1,3}(?i:apt|suite)\.? ?[0-9]",
)
"""For each of `_ADDRESSES`, what a text with one matches, for google-re2."""
ADDRESS_SIGNS = "|".join(_SIGNS)
"""What each text with an address matches, for google-re2."""


@functools.cache
def _address_sieve() -> Any:
    """Return the sieve, which tells in one pass which of the forms a text may have."""
    sieve = require("re2", extra="guards", purpose="the guard pii").Set.SearchSet()
    for signs in _SIGNS:
        sieve.Add(signs)
    sieve.Compile()
    return sieve


def address(text: str) -> Iterator[Found]:
    """Yield street addresses in the forms of some languages, without the town."""
    found: Sequence[int] = _address_sieve().Match(text.encode("utf-8", "replace")) or ()
    for index in found:
        for match in _ADDRESSES[index].finditer(text):
            yield Found(0.75, *match.span(), "ADDRESS")
