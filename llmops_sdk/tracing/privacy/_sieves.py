"""Rule out texts without a secret, before the scan tries the patterns.

Each sieve is finer and slower than the one before. The first ask for a few fixed characters of any format. Some of
these are common in ordinary text (`://`, `sk-`), so the next ask for more characters of those formats. The last ask for
more characters of all others. The sieves run on the Rust regular expressions that come with pydantic: linear in time,
and ten times faster than `re`, which tries an alternation at each character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

from pydantic import ConfigDict, StringConstraints, TypeAdapter

from llmops_sdk.tracing.privacy._more_formats import MORE_LITERALS
from llmops_sdk.tracing.privacy._secrets import COMMON, DOTTED, PATTERNS, SHORT, SecretPattern

__all__ = ["MORE_SIEVE", "VENDOR_LITERALS", "WORD_LITERALS", "may_hold_name", "may_hold_secret", "patterns_for"]

# One of these is in each text with a secret. The engine takes 64 beginnings of at most four characters in one pass, and
# ten times as long for one more. It compares 16 bytes at once with 16 sets of literals; the set of a literal is its
# place modulo 16, and a set of literals that are alike matches less by chance. So literals that are alike stand one
# below the other, and a row has 16. An order at random takes two to eight times as long. The literals that are common
# in ordinary text stand at the end, so that the others keep their places without them.
_COMMON_LITERALS = ("sk-", r":\\/", r":\\\\", "://")
VENDOR_LITERALS = (
    *("SKb", "glc_", "tvly-", "gsk_", "ghp_", "whsec_", r"hvs\.", "SK8"),
    *("glptt-", "SK6", "glagent-", "SK4", "sntry", "SK7", "ghs_", "xai-"),
    *("SKa", "gldt-", "npm_", "glimt-", "AIza", "sbp_", "ghr_", "SKc"),
    *("hf_", "pa-", "glsoat-", "fw_", "SK1", "SKd", "gloas-", "xox"),
    *("SKf", r"SG\.", "pplx-", "glft-", "ghu_", "pcsk_", r"hvb\.", "r8_"),
    *("glpat-", "SK3", "nvapi-", "SKe", "SK5", "SK9", "gho_", "xapp-"),
    *("eyJ", "glcbt-", "ntn_", "glffct-", "dapi", "ABSK", "lsv2_", "SK0"),
    *("glrt-", r"ya29\.", "glsa_", "SK2", *_COMMON_LITERALS),
)
"""Beginnings of keys that vendors give out, and of addresses."""

# Without the word or the sign at its end, many of these would be a part of ordinary words.
WORD_LITERALS = (
    *("_KEY", "OKEN", "-key", "_string", r"ken\\", "AKIA", r"pwd\\", "apikey"),
    *(r"\.slack", "sig=", "PMAK-", "ken=", "okie", r"arer[ \t%]", "nString", "assphrase"),
    *("_key", "ecret", "lin_", "_live_", r"ken\n", "_v1_", "WILIO", "assw"),
    *(r"Key\n", "Key=", 'pwd"', "uth=", "redential", "ken%", "dckr_", "ASIA"),
    *("wilio", "horization", "--END", "ASSW", "ken'", "pwd'", r"pwd\n", "asscode"),
    *(r"Key\\", r"\\u00", "pwd=", "key=", "APIKEY", 'ken"', 'Key"', "GOCSPX-"),
    *("pypi-", "HORIZATION", "-Key", "ASSPHRASE", "ECRET", "PWD=", "pat_", r"asic[ \t%]"),
    *("Key'", "ure=", "--BEGIN", "-string"),
)
r"""Parts of names of secrets, and of the words before a secret. An escape may hide one, so `\u00` is one too."""

_MORE = (":AA", "Q~", ".atlasv1.", "discord.com", "discordapp.com", "webhook.office")
MORE_SIEVE = tuple(re.escape(one) for one in sorted((*MORE_LITERALS, *_MORE)))
"""Beginnings of further keys, and what stands in the middle of a few."""
_SHORTEST = 4


def _sieve(pattern: str) -> Callable[[str], bool]:
    """Return a test for a match, by Rust's linear-time engine."""
    matching = Annotated[str, StringConstraints(pattern=pattern)]
    adapter: TypeAdapter[str] = TypeAdapter(matching, config=ConfigDict(regex_engine="rust-regex"))
    return adapter.validator.isinstance_python


def _any_of(patterns: Iterable[str]) -> str:
    return "|".join(dict.fromkeys(patterns))


_has_vendor_literal = _sieve(_any_of(VENDOR_LITERALS))
# Of a format that is not common, and whose literal holds one that is.
_has_rare_vendor_literal = _sieve(_any_of((*VENDOR_LITERALS[: -len(_COMMON_LITERALS)], "csk-")))
# In passes of their own: one more beginning in the first pass would take ten times its time. They are more than one
# pass takes, and the short ones of two passes would slow both.
_LONGER = [one for one in MORE_SIEVE if len(one.replace("\\", "")) >= _SHORTEST]
_has_more_short = _sieve(_any_of(one for one in MORE_SIEVE if one not in _LONGER))
_has_more_first = _sieve(_any_of(_LONGER[: len(_LONGER) // 2]))
_has_more_last = _sieve(_any_of(_LONGER[len(_LONGER) // 2 :]))
_has_word_literal = _sieve(_any_of(WORD_LITERALS))
# In three: the engine searches each from a literal inside it, and their alternation byte by byte.
_has_common = tuple(map(_sieve, (SHORT, *COMMON)))
# Its literal, a point, is in most texts.
_has_dotted = _sieve(DOTTED)
# `\u00` only for printable characters, because control characters are often escaped.
_has_rare = _sieve(
    _any_of(
        (
            *(one.candidate for one in PATTERNS if one.candidate not in {SHORT, DOTTED, *COMMON}),
            r"\\u00[2-7][0-9A-Fa-f]",
        )
    )
)

# One scan rules out most groups of patterns.
_GROUP_SIZE = 8


def _has_literal_of(patterns: Iterable[SecretPattern]) -> Callable[[str], bool]:
    texts = {text for pattern in patterns for text in pattern.literals}
    return _sieve(_any_of(re.escape(text) for text in sorted(texts)))


_GROUPS = tuple(
    (_has_literal_of(group), group)
    for group in (PATTERNS[at : at + _GROUP_SIZE] for at in range(0, len(PATTERNS), _GROUP_SIZE))
)


def may_hold_secret(text: str) -> bool:
    """Tell whether a text may hold a secret; False is certain.

    Args:
        text: Any text, also JSON with its escapes.

    Example:
        >>> from llmops_sdk.tracing.privacy._sieves import may_hold_secret
        >>> may_hold_secret("task-force, https://bank.example"), may_hold_secret("password: " + "x")
        (False, True)
    """
    if not text.isascii():
        text = _valid(text)
    has_vendor_literal = _has_vendor_literal(text)
    has_word_literal = _has_word_literal(text)
    if has_vendor_literal:
        for has_candidate in _has_common:
            if has_candidate(text):
                return True
    may = (
        has_word_literal
        or _has_more_short(text)
        or _has_more_first(text)
        or _has_more_last(text)
        or (has_vendor_literal and _has_rare_vendor_literal(text))
    )
    return (may and _has_rare(text)) or _has_dotted(text)


def may_hold_name(text: str) -> bool:
    """Tell whether a text may hold the name of a secret, whose value may be short; False is certain."""
    return not text.isascii() or _has_word_literal(text)


def patterns_for(text: str) -> Iterator[SecretPattern]:
    """Yield the patterns that may match the text, in their order."""
    if not text.isascii():
        text = _valid(text)
    for has_literal, group in _GROUPS:
        if has_literal(text):
            yield from group


def _valid(text: str) -> str:
    # The sieves reject text that is not valid UTF-8, which would look like "no match".
    return text.encode("utf-8", "replace").decode()
