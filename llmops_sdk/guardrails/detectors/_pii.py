"""Find personal data in texts, also behind disguises."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._normalise import views
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._pii_found import Found, without_overlaps
from llmops_sdk.guardrails.detectors._pii_numbers import DEFAULT_REGIONS, card, iban, national_id, phone, us_ssn
from llmops_sdk.guardrails.detectors._pii_words import address, date_of_birth, email, ip, url
from llmops_sdk.guardrails.detectors._stretches import Stretches

__all__ = ["DEFAULT_KINDS", "KINDS", "PiiDetector"]

KINDS: dict[str, Callable[[str], Iterator[Found]] | None] = {
    "EMAIL": email,
    "PHONE": None,  # needs the regions
    "CARD": card,
    "IBAN": iban,
    "US_SSN": us_ssn,
    "NATIONAL_ID": national_id,
    "IP": ip,
    "URL": url,
    "DATE_OF_BIRTH": date_of_birth,
    "ADDRESS": address,
}
DEFAULT_KINDS = tuple(kind for kind in KINDS if kind != "URL")
"""All but URL: most URLs name no person."""

_GUESS = 0.75
"""The factor of the score in a text whose words were joined."""
# A text without these has no finding.
_MAY_HOLD = re.compile(r"[@0-9%&\\\x80-\U0010ffff]|[:.][/\w]|[A-Za-z+/_-]{16}|(?i:at) ?[\])}]")

_WORDS = (
    "born|birth|dob|d\\.o\\.b|geboren|geburt|naissance|nacid|nacim|nascit|phone|telephone|tel|call|mobile|cell|fax|dial"
    "|whatsapp|sms|desk|office|contact|reach|messages?|answering|ssn|social|security|nhs|bsn|cpr|pesel|rue|avenue"
    "|boulevard|place|chemin|impasse|calle|avenida|paseo|plaza|via|viale|piazza|corso|rua|largo|ulica|postfach|psc"
)
_STRETCHES = Stretches(context=rf"(?i:{_WORDS})\b", far=rf"[0-9]|(?i:\b(?:{_WORDS}))", reach=6)


class PiiDetector:
    """Finds personal data: addresses, numbers and dates of people.

    It reads the text as it is, and behind disguises: characters that look alike or are invisible, escapes, base64, and
    spaces inside a value.

    Args:
        kinds: What to find, of `KINDS`; by default all but "URL".
        regions: The countries, in two letters, whose telephone numbers are found without a country code.

    Raises:
        ConfigError: A kind or a region is unknown.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors._pii import PiiDetector
        >>> found = PiiDetector(kinds=("EMAIL",)).detect("Ask ada@example.org", GuardContext(rail="input"))
        >>> [(one.kind, one.start, one.end) for one in found.findings]
        [('EMAIL', 4, 19)]
    """

    name = "pii"

    def __init__(self, kinds: Sequence[str] = DEFAULT_KINDS, regions: Sequence[str] = DEFAULT_REGIONS) -> None:
        self.kinds = _checked("kinds", [kind.upper() for kind in kinds] if not isinstance(kinds, str) else kinds)
        self.regions = _checked("regions", [one.upper() for one in regions] if not isinstance(regions, str) else regions)
        unknown = next((kind for kind in self.kinds if kind not in KINDS), None)
        if unknown is not None:
            raise ConfigError(f"pii finds no {unknown!r}; it finds {', '.join(KINDS)}", value=unknown)
        wrong = next((one for one in self.regions if not re.fullmatch("[A-Z]{2}", one)), None)
        if wrong is not None:
            raise ConfigError(f"a region of pii must be two letters, as in 'US', not {wrong!r}", value=wrong)
        self.version = f"1:{','.join(self.kinds)}:{','.join(self.regions)}"
        self._finders = [finder for kind in self.kinds if (finder := KINDS[kind]) is not None]

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - it treats all rails alike
        """Return the personal data in a text."""
        findings = tuple(
            Finding(one.kind, start + one.start, start + one.end, one.score)
            for start, end in _STRETCHES.find(text, self._spans)
            for one in self._in_stretch(text[start:end])
        )
        if not findings:
            return Detection()
        counts = Counter(one.kind for one in findings)
        reason = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        return Detection(found=True, findings=findings, score=max(one.score or 0 for one in findings), reason=reason)

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text that the rest cannot affect."""
        return _STRETCHES.settled(text, self._spans)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        return [(one.start, one.end) for one in self._in_stretch(text)]

    def _in_stretch(self, text: str) -> list[Found]:
        if not _MAY_HOLD.search(text):
            return []
        found: list[Found] = []
        for view in views(text):
            factor = _GUESS if view.is_guess else 1.0
            for one in self._in_view(view.text):
                start, end = view.original(one.start, one.end)
                found.append(Found(one.score * factor, start, end, one.kind))
        return without_overlaps(found)

    def _in_view(self, text: str) -> Iterator[Found]:
        yield from chain.from_iterable(finder(text) for finder in self._finders)
        if "PHONE" in self.kinds:
            yield from phone(text, self.regions)


def _checked(name: str, value: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigError(f"{name} of pii must be a list, as in [{value!r}], not a bare string", value=value)
    return tuple(dict.fromkeys(value))
