"""Find canaries: random tokens that an application plants in its prompt, to notice when the prompt leaks."""

from __future__ import annotations

import base64
import codecs
import re
import secrets
import string
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._mapped import Mapped, digest, merged, unescaped
from llmops_sdk.guardrails.normalise._sieve import sieve

__all__ = ["CanaryDetector", "new_canary"]

_LETTERS = string.ascii_lowercase + "234567"
_LENGTH = 24
_SHORTEST, _LONGEST = 10, 200
_MOST_GIVEN, _MOST_MADE = 100, 100

_made: deque[str] = deque(maxlen=_MOST_MADE)

_SEPARATORS = re.compile(r"[\W_]+")
_CUT_ESCAPE = re.compile(r"(?:%(?:25?)?[0-9A-Fa-f]?|&(?:amp;?)?#?[A-Za-z0-9]{0,31}|\\[ux]?[0-9A-Fa-f]{0,3})\Z")


def new_canary() -> str:
    """Return a new random token of 24 letters and digits. Put it into a system prompt, or into a document.

    Every `CanaryDetector` of this process finds the 100 tokens made last.

    Example:
        >>> from llmops_sdk.guardrails.detectors._canary import new_canary
        >>> len(new_canary())
        24
    """
    token = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    _made.append(token)
    return token


@public("llmops_sdk.guardrails.detectors")
class CanaryDetector:
    """Finds canaries in a text: a part of a prompt that must stay secret has leaked.

    It finds a token in upper or lower case, with spaces, punctuation or invisible characters between its characters,
    backwards, in base64 at each alignment, in hex, in rot13, and with escapes of URLs, HTML and JSON.

    Args:
        tokens: Tokens to find, beside those that `new_canary` made in this process. Each has at least 10 letters or
            digits of ASCII, and must be random: an ordinary word would be found in ordinary text.

    Raises:
        ConfigError: A token is too short or too long, or there are more than 100.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors._canary import CanaryDetector, new_canary
        >>> token = new_canary()
        >>> CanaryDetector().detect("My prompt: " + "-".join(token.upper()), GuardContext(rail="output")).findings
        (Finding(kind='CANARY', start=11, end=58, score=None),)
    """

    name = "canary"

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        self._tokens = _checked(tokens)
        self.version = f"1:{digest(self._tokens)}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return the places of canaries."""
        found = self._find(text)
        return Detection(found=True, findings=found, reason="canary") if found else Detection()

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text without a part of a canary that may go on."""
        forms = self._forms()
        if not forms:
            # A canary may be made while the stream runs; what it cannot be in is out already.
            return len(text)
        cut = _CUT_ESCAPE.search(text, max(0, len(text) - 40))
        limit = cut.start() if cut else len(text)
        for view in _views(text[:limit]):
            limit = min(limit, _before_beginning(view, forms))
        for one in reversed(self._find(text)):
            if one.start < limit < one.end:
                limit = one.start
        return limit

    def _forms(self) -> list[_Forms]:
        return list(map(_forms_of, dict.fromkeys((*self._tokens, *_made))))

    def _find(self, text: str) -> tuple[Finding, ...]:
        forms = self._forms()
        if not forms or len(text) < _SHORTEST:
            return ()
        return merged(
            Finding("CANARY", *place) for view in _views(text) for place in _places(view, _squeezed(view.text), forms)
        )


def _checked(tokens: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tokens, str):
        raise ConfigError("tokens must be a list of tokens, not a bare string", key="tokens")
    result = tuple(tokens)
    if len(result) > _MOST_GIVEN:
        raise ConfigError(f"{len(result)} tokens are too many: give at most {_MOST_GIVEN}", key="tokens")
    for token in result:
        # The error does not show the token, which is a secret.
        if not isinstance(token, str) or len(_ascii_part(token)) < _SHORTEST or len(token) > _LONGEST:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"a canary must have {_SHORTEST} to {_LONGEST} letters or digits: make one with new_canary()",
                key="tokens",
            )
    return result


def _ascii_part(token: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "", token)


class _Forms(NamedTuple):
    """The forms of a token in letters and digits.

    Attributes:
        folded: Those that are looked for in lower case.
        exact: Those whose case matters.
    """

    folded: tuple[str, ...]
    exact: tuple[str, ...]


@lru_cache(maxsize=_MOST_GIVEN + _MOST_MADE)
def _forms_of(token: str) -> _Forms:
    """Return the forms of a token."""
    plain = _ascii_part(token).lower()
    spellings = dict.fromkeys((token, token.lower(), token.upper()))
    folded = [plain, plain[::-1], codecs.encode(plain, "rot13")]
    folded += [one.encode("utf-8", "replace").hex() for one in spellings]
    exact = [form for one in spellings for form in _base64_forms(one.encode("utf-8", "replace"))]
    return _Forms(tuple(dict.fromkeys(folded)), tuple(dict.fromkeys(exact)))


def _base64_forms(data: bytes) -> Iterator[str]:
    """Yield the part of base64 that neighbours do not change, for each alignment."""
    for before in range(3):
        code = base64.b64encode(b"\0" * before + data).rstrip(b"=").decode()
        first = (8 * before + 5) // 6
        last = (8 * (before + len(data))) // 6
        yield _ascii_part(code[first:last])


def _views(text: str) -> Iterator[Mapped]:
    """Yield the text as written, and without escapes and invisible characters."""
    yield Mapped(text)
    if not text.isascii() or "%" in text or "&" in text or "\\" in text:
        view = unescaped(text)
        if view.is_changed:
            yield view


_ASCII_SEPARATORS = bytes(code for code in range(128) if _SEPARATORS.match(chr(code)))


def _squeezed(text: str) -> str:
    if text.isascii():
        return text.encode().translate(None, _ASCII_SEPARATORS).decode()
    return _SEPARATORS.sub("", text)


def _lower(text: str) -> str:
    # Of the same length, which `lower` alone is not for every letter; the forms are ASCII.
    return text.lower() if text.isascii() else text.translate(_LOWER)


_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _places(view: Mapped, squeezed: str, forms: list[_Forms]) -> Iterator[tuple[int, int]]:
    folded = _lower(squeezed)
    hits = [
        hit
        for one in forms
        for text, needles in ((folded, one.folded), (squeezed, one.exact))
        # One search for all of them: most texts have none.
        if sieve("|".join(needles))(text)
        for needle in needles
        for hit in _hits(text, needle)
    ]
    if not hits:
        return
    # Only now is the map made, as it takes more time than the search.
    gaps = ((match.start(), match.end(), "") for match in _SEPARATORS.finditer(view.text))
    map_back = Mapped(view.text, gaps)
    for start, end in hits:
        yield view.original(*map_back.original(start, end))


def _hits(text: str, needle: str) -> Iterator[tuple[int, int]]:
    start = text.find(needle)
    while start >= 0:
        yield start, start + len(needle)
        start = text.find(needle, start + 1)


def _before_beginning(view: Mapped, forms: list[_Forms]) -> int:
    """Return where the longest end of the text begins that is the beginning of a form."""
    folded, exact = (tuple(chain.from_iterable(one)) for one in zip(*forms, strict=True))
    longest = max(map(len, (*folded, *exact)), default=1)
    # The end of the text, without separators, and where each of its characters is.
    tail = ""
    places: list[int] = []
    for at in range(len(view.text) - 1, -1, -1):
        character = view.text[at]
        if not _SEPARATORS.match(character):
            tail += character
            places.append(at)
            if len(tail) >= longest:
                break
    tail = tail[::-1]
    most = 0
    for text, needles in ((_lower(tail), folded), (tail, exact)):
        for needle in needles:
            for length in range(min(len(needle) - 1, len(text)), most, -1):
                if text.endswith(needle[:length]):
                    most = length
                    break
    return view.original(places[most - 1], places[most - 1] + 1)[0] if most else _length_of_source(view)


def _length_of_source(view: Mapped) -> int:
    return view.original(len(view.text) - 1, len(view.text))[1] if view.text else 0
