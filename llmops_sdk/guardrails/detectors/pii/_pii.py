"""Find personal data in texts, also behind disguises."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._signs import SignSearch, compiled
from llmops_sdk.guardrails.detectors._stretches import Stretches
from llmops_sdk.guardrails.detectors.pii._pii_found import Found, without_overlaps
from llmops_sdk.guardrails.detectors.pii._pii_numbers import (
    DEFAULT_REGIONS,
    IBAN_SIGNS,
    card,
    iban,
    national_id,
    phone,
    us_ssn,
)
from llmops_sdk.guardrails.detectors.pii._pii_words import ADDRESS_SIGNS, address, date_of_birth, email, ip, url
from llmops_sdk.guardrails.normalise import Decoding, QuickRead, Read, reading, views

__all__ = ["DEFAULT_KINDS", "KINDS", "PiiDetector"]

_DIGITS = r"[0-9](?:[^0-9\n]{0,3}[0-9])"
KINDS: dict[str, tuple[Callable[[str], Iterator[Found]] | None, str]] = {
    "EMAIL": (email, r"@ {0,2}[^ ]|(?i:[\[({] ?at ?[\])}])"),
    "PHONE": (None, r"[0-9](?:[ .()/-]{0,3}[0-9]){6}"),  # needs the regions
    "CARD": (card, rf"{_DIGITS}{{11}}"),
    "IBAN": (iban, IBAN_SIGNS),
    "US_SSN": (us_ssn, r"[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}|[0-9]{9}"),
    "NATIONAL_ID": (national_id, r"[0-9](?:[ .-]?[0-9]){5}|[A-Z]{6}[0-9]{2}[A-Z]"),
    "IP": (ip, r"(?:[0-9]{1,3}\.){3}[0-9]|:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:"),
    "URL": (url, r"://|(?i:www\.)"),
    "DATE_OF_BIRTH": (
        date_of_birth,
        (
            r"(?i:birth|\bdob\b)|(?i:\bborn\b|\bd\.o\.b|geboren|geburt|naissance|\bn.{1,2}e? le\b)[^0-9]*[0-9]"
            "|(?i:nacid|nacimiento|nascit)[^0-9]*[0-9]"
        ),
    ),
    "ADDRESS": (address, ADDRESS_SIGNS),
}
"""What finds each kind, and a regular expression of google-re2 that each text with one matches."""
DEFAULT_KINDS = tuple(kind for kind in KINDS if kind != "URL")
"""All but URL: most URLs name no person."""

_LONG = 4096
"""A longer text is sieved twice, in bytes."""
_SPACED_KINDS = frozenset({"ADDRESS"})
"""What is found only in a text with a space. Its many states make a sieve of all kinds slow on random letters."""
_WORD_KINDS = frozenset({"IBAN", "URL", "DATE_OF_BIRTH", "ADDRESS"})
"""What has words or letters that random text has, too."""
_AT_ONCE = 1 << 15
"""So many characters of stretches are searched at once, to bound the memory."""
_BETWEEN = "\n" * 64
"""What stands between them: no finding holds a line break, and no word tells anything about one so far behind it."""
_BY_START = attrgetter("start")
_GUESS = 0.75
"""The factor of the score in a text whose words were joined."""

# A repetition of a class that is common in random letters, as `.{0,40}`, would make the sieve a thousand times slower.
_SIEVE_MEMORY = 64 << 20
"""The most bytes for the states of the sieve, far more than it needs: without memory it would find nothing."""

_WORDS = (
    "born|birth|birthday|dob|geboren|geburt|naissance|nacido|nacida|nacimiento|phone|telephone|tel|call|mobile|cell|fax"
    "|dial|whatsapp|sms|desk|office|contact|reach|messages?|answering|ssn|social|security|nhs|bsn|cpr|pesel|rue|avenue"
    "|boulevard|place|chemin|impasse|calle|avenida|paseo|plaza|via|viale|piazza|corso|rua|largo|ulica|postfach|psc"
)
_STRETCHES = Stretches(
    context=rf"(?i:\b(?:{_WORDS})\b|\bd\.o\.b|\bwww\.|\(at\))",
    far=rf"@(?:$|\s)|(?i:\b(?:{_WORDS}|d\.o\.b)\b)",
    reach=6,
    far_digits=True,
    far_signs=rf"@|(?i:\b(?:{_WORDS}|d\.o\.b)\b)",
)


@public("llmops_sdk.guardrails.detectors")
class PiiDetector:
    """Finds personal data: addresses, numbers and dates of people.

    It reads the text as it is, and behind disguises: characters that look alike or are invisible, escapes, base64, and
    spaces inside a value. Of base64 it decodes 512 KB; if a text has more, the detection has `truncated` set.

    Args:
        kinds: What to find, of `KINDS`; by default all but "URL".
        regions: The countries, in two letters, whose telephone numbers are found without a country code.

    Raises:
        ConfigError: A kind or a region is unknown.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors.pii._pii import PiiDetector
        >>> found = PiiDetector(kinds=("EMAIL",)).detect("Ask ada@example.org", GuardContext(rail="input"))
        >>> [(one.kind, one.start, one.end) for one in found.findings]
        [('EMAIL', 4, 19)]
    """

    name = "pii"

    def __init__(self, kinds: Sequence[str] = DEFAULT_KINDS, regions: Sequence[str] = DEFAULT_REGIONS) -> None:
        self.kinds = _checked("kinds", [kind.upper() for kind in kinds] if not isinstance(kinds, str) else kinds)
        self.regions = _checked(
            "regions", [one.upper() for one in regions] if not isinstance(regions, str) else regions
        )
        unknown = next((kind for kind in self.kinds if kind not in KINDS), None)
        if unknown is not None:
            raise ConfigError(f"pii finds no {unknown!r}; it finds {', '.join(KINDS)}", value=unknown)
        wrong = next((one for one in self.regions if not re.fullmatch("[A-Z]{2}", one)), None)
        if wrong is not None:
            raise ConfigError(f"a region of pii must be two letters, as in 'US', not {wrong!r}", value=wrong)
        self.version = f"2:{','.join(self.kinds)}:{','.join(self.regions)}"
        self._signs = SignSearch(KINDS[kind][1] for kind in self.kinds)
        self._finders = [KINDS[kind][0] or self._phone for kind in self.kinds]

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - it treats all rails alike
        """Return the personal data in a text."""
        decoding = Decoding()
        findings = tuple(sorted(self._findings(text, decoding), key=_BY_START))
        if not findings:
            return Detection(truncated=decoding.is_cut)
        counts = Counter(one.kind for one in findings)
        reason = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        score = max(one.score or 0 for one in findings)
        return Detection(found=True, findings=findings, score=score, reason=reason, truncated=decoding.is_cut)

    def _findings(self, text: str, decoding: Decoding) -> Iterator[Finding]:
        """Yield the personal data in a text, in no order; stretches that are plain are searched together."""
        ascii_only: list[tuple[int, int]] = []
        others: list[tuple[int, int]] = []
        size = 0
        for start, end, read in _STRETCHES.find(text, self._spans, self._reading, decoding, self._signs):
            stretch = text[start:end]
            if isinstance(read, QuickRead) and read.is_only_view(stretch):
                (ascii_only if stretch.isascii() else others).append((start, end))
                size += end - start
            else:
                for one in self._in_stretch(stretch, read):
                    yield Finding(one.kind, start + one.start, start + one.end, one.score)
            if size > _AT_ONCE:
                yield from self._in_plain(text, ascii_only, others)
                ascii_only, others, size = [], [], 0
        yield from self._in_plain(text, ascii_only, others)

    def _in_plain(self, text: str, *groups: Sequence[tuple[int, int]]) -> Iterator[Finding]:
        """Yield the personal data in the stretches of each group, which have no other view."""
        for stretches in filter(None, groups):
            joined = _BETWEEN.join([text[start:end] for start, end in stretches])
            following = iter(stretches)
            shift = stop = -1
            length = 0
            for one in without_overlaps(self._in_view(joined)):
                while one.start >= stop:
                    start, end = next(following)
                    shift, stop = start - length, length + end - start
                    length = stop + len(_BETWEEN)
                yield Finding(one.kind, one.start + shift, one.end + shift, one.score)

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text that the rest cannot affect."""
        return _STRETCHES.settled(text, self._spans)

    def _spans(self, text: str, read: Read = views) -> list[tuple[int, int]]:
        return [(one.start, one.end) for one in self._in_stretch(text, read)]

    def _in_stretch(self, text: str, read: Read = views) -> list[Found]:
        found: list[Found] = []
        for view in read(text):
            if view.text is text:  # as written
                found += self._in_view(text)
                continue
            factor = _GUESS if view.is_guess else 1.0
            for one in self._in_view(view.text):
                start, end = view.original(one.start, one.end)
                found.append(Found(one.score * factor, start, end, one.kind))
        return without_overlaps(found)

    def _reading(self, text: str, decoding: Decoding) -> Read | None:
        return reading(text, self._may_match, decoding)

    def _may_match(self, _: str, data: bytes) -> bool:
        # It stops at the first sign; `_kinds_in` reads to the end.
        return any(search(data) for search in (self._searches[:1] if len(data) < _LONG else self._searches[1:]))

    def _in_view(self, text: str) -> Iterator[Found]:
        for index in self._kinds_in(text.encode("utf-8", "replace")):
            yield from self._finders[index](text)

    def _kinds_in(self, data: bytes) -> Sequence[int]:
        """Return the places in `kinds` of those that a text may have."""
        is_spaced = b" " in data
        if is_spaced and len(data) < _LONG:
            return self._sieve.Match(data) or ()
        found: list[int] = []
        for kinds, sieve in self._sieves if is_spaced else self._unspaced:
            found += [kinds[index] for index in sieve.Match(data) or ()]
        return sorted(found)

    @cached_property
    def _sieve(self) -> Any:
        """Make the sieve, which tells in one pass over a text which kinds it may have."""
        return _sieve(self.kinds)

    @cached_property
    def _unspaced(self) -> list[tuple[list[int], Any]]:
        """Make the sieve of a text without a space."""
        group = [index for index, kind in enumerate(self.kinds) if kind not in _SPACED_KINDS]
        return [(group, _sieve(self.kinds[index] for index in group))] if group else []

    @cached_property
    def _searches(self) -> list[Callable[[bytes], object]]:
        """Make searches for the signs of all kinds, and of those of each of `_sieves`."""
        groups = [range(len(self.kinds)), *(kinds for kinds, _ in self._sieves)]
        return [compiled("|".join(KINDS[self.kinds[index]][1] for index in group)).search for group in groups]

    @cached_property
    def _sieves(self) -> list[tuple[list[int], Any]]:
        """Make two sieves. One of all kinds has so many states that random letters make it slow."""
        groups = [
            [index for index, kind in enumerate(self.kinds) if (kind in _WORD_KINDS) is is_word]
            for is_word in (False, True)
        ]
        return [(group, _sieve(self.kinds[index] for index in group)) for group in groups if group]

    def _phone(self, text: str) -> Iterator[Found]:
        return phone(text, self.regions)


def _sieve(kinds: Iterable[str]) -> Any:
    re2 = require("re2", extra="guards", purpose="the guard pii")
    options = re2.Options()
    options.max_mem = _SIEVE_MEMORY
    sieve = re2.Set.SearchSet(options)
    for kind in kinds:
        sieve.Add(KINDS[kind][1])
    sieve.Compile()
    return sieve


def _checked(name: str, value: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigError(f"{name} of pii must be a list, as in [{value!r}], not a bare string", value=value)
    return tuple(dict.fromkeys(value))
