"""The secret formats that are redacted by default, each with what a scan looks for before it tries the whole pattern.

Sieves come first, each finer and slower than the one before. LITERALS are a few fixed characters of each format, all
searched for at once; of those that are in ordinary text too (`://`, `sk-`) some more characters are asked for at once
(COMMON), of the others (RARE_LITERALS) only then (RARE). The sieves are read by the regular expressions of Rust that
come with pydantic: linear in time whatever the text, and a tenth of the time of `re`, which tries an alternation at
every character. Only what passes them meets the patterns themselves.

Every pattern is linear too: a run of characters is taken whole or not at all (possessive quantifiers), begins only
where its fixed prefix stands, and a look ahead is bounded.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

__all__ = ["COMMON", "CONTEXT_KEY", "CUT", "LITERALS", "PATTERNS", "RARE", "RARE_LITERALS", "SHORT", "SecretPattern"]

CUT = "…"
"""What the capture puts where it cut a text: a secret's beginning just before it is redacted too."""

SHORT = "SK[0-9a-f]{4}"
"""A sieve of its own: a literal of two characters among the others would cost ten times as much."""

_WORD = "[A-Za-z0-9_]"
_WORDS = "[A-Za-z0-9_-]"
_NOT_AFTER = "(?<![A-Za-z0-9])"
# After a name as in `key = "value"`, `'key': 'value'`, `key => value`, `("key", "value")`.
_IS = r"[\"'\]]{0,2}\s{0,4}(?:=>|[:=,])\s{0,4}[\"'\[(]{0,3}"
# Words of prose after "Bearer" or "Authorization:", as in "bearer token-based".
_NO_PROSE = r"(?![a-z/-]{1,31}(?![A-Za-z0-9._~+/=-]))"
# "task-force" is no candidate; what stands before may be an escape, as in `\nsk-`.
_SK = r"(?:^|[^A-Za-z0-9]|\\[nrt])sk-[A-Za-z0-9][A-Za-z0-9-]{3}"
# Not words joined by hyphens, as a CSS class or a package's name is: such have neither digits nor capitals.
_MIXED = rf"(?={_WORDS}{{0,64}}?(?:[A-Z0-9_]|[a-z]{{16}}))"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPattern:
    """One format.

    Attributes:
        kind: Stands in the replacement and in `losses`.
        literals: One of them is in every text that the pattern matches.
        candidate: What the second sieve looks for, in Rust's syntax.
        common: Whether the literals are in ordinary text too.
        pattern: The whole; where it has a group, that is the secret, and a match without it is none.
    """

    kind: str
    literals: tuple[str, ...]
    candidate: str
    pattern: str
    common: bool = False

    def compiled(self) -> re.Pattern[str]:
        """The pattern, compiled at its first use: two dozen of them at once would take ten milliseconds."""
        return _compiled(self.pattern)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _token(
    kind: str,
    prefix: str,
    least: int,
    *literals: str,
    body: str = _WORD,
    check: str = "",
    tail: str = "",
) -> SecretPattern:
    """A prefix and at least so many characters after it, or fewer where the text was cut."""
    common = literals == ("sk-",)
    return SecretPattern(
        kind=kind,
        literals=literals,
        candidate=_SK if common else prefix + body + "{4}",
        pattern=f"{_NOT_AFTER}{prefix}(?:{check}{body}{{{least},}}+{tail}|{body}{{4,{least - 1}}}+(?={CUT}))",
        common=common,
    )


_KEY_BEGIN = "-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_KEY_END = "-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_AWS_NAME = r"(?i:aws[_.\s-]?secret(?:[_.\s-]?access)?(?:[_.\s-]?key)?|secret[_.\s-]?access[_.\s-]?key)"
_BEARER = r"[A-Za-z0-9._~+/-]"

PATTERNS: tuple[SecretPattern, ...] = (
    SecretPattern(
        kind="aws_access_key",
        literals=("AKIA", "ASIA"),
        candidate="A(?:K|S)IA[A-Z0-9]{4}",
        pattern=rf"{_NOT_AFTER}A[KS]IA(?:[A-Z0-9]{{16}}(?![A-Za-z0-9])|[A-Z0-9]{{4,15}}+(?={CUT}))",
    ),
    SecretPattern(
        kind="aws_secret_key",
        literals=("ecret", "ECRET"),
        candidate=r"[Aa][Ww][Ss].?[Ss](?:ecret|ECRET)|[Ss](?:ecret|ECRET).?[Aa](?:ccess|CCESS)",
        pattern=rf"{_AWS_NAME}{_IS}([A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+])=?|[A-Za-z0-9/+]{{4,39}}+(?={CUT}))",
    ),
    _token("github_token", "gh[oprsu]_", 36, "gho_", "ghp_", "ghr_", "ghs_", "ghu_"),
    _token("github_token", "github_pat_", 22, "github_pat_"),
    _token(
        "gitlab_token",
        "gl(?:pat|ptt|dt|rt)-",
        20,
        *("glpat-", "glptt-", "gldt-", "glrt-"),
        body=_WORDS,
        tail=r"(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?",
    ),
    _token(
        "slack_token",
        r"(?:xoxe\.)?xox[abeprs]-",
        10,
        "xox",
        body="[A-Za-z0-9-]",
        check=r"(?=[A-Za-z0-9-]{0,24}\d)",
    ),
    _token("slack_token", "xapp-", 20, "xapp-", body="[A-Za-z0-9-]", check=r"(?=[A-Za-z0-9-]{0,24}\d)"),
    SecretPattern(
        kind="slack_webhook",
        literals=("hooks.slack",),
        candidate=r"hooks\.slack\.com",
        pattern=rf"hooks\.slack\.com/[a-z]{{1,16}}/([A-Za-z0-9/_+-]{{20,}}+|[A-Za-z0-9/_+-]{{4,19}}+(?={CUT}))",
    ),
    _token("anthropic_key", "sk-ant-", 20, "sk-", body=_WORDS, check=_MIXED),
    _token("openai_key", "sk-(?:proj|svcacct|admin|None|or-v1)-", 20, "sk-", body=_WORDS, check=_MIXED),
    _token("openai_key", "sk-", 32, "sk-", body="[A-Za-z0-9]"),
    _token("groq_key", "gsk_", 40, "gsk_"),
    _token("xai_key", "xai-", 60, "xai-"),
    _token("google_api_key", "AIza", 35, "AIza", body=_WORDS),
    _token("google_oauth", "GOCSPX-", 24, "GOCSPX-", body=_WORDS),
    _token("google_oauth", r"ya29\.", 20, "ya29.", body=_WORDS),
    _token("stripe_key", "[rs]k_live_", 16, "k_live_"),
    _token("stripe_key", "whsec_", 24, "whsec_", body="[A-Za-z0-9+/]"),
    _token("huggingface_token", "hf_", 34, "hf_"),
    _token("npm_token", "npm_", 36, "npm_"),
    _token("pypi_token", "pypi-AgE", 32, "pypi-", body=_WORDS),
    SecretPattern(
        kind="sendgrid_key",
        literals=("SG.",),
        candidate=rf"SG\.{_WORDS}{{4}}",
        pattern=rf"{_NOT_AFTER}SG\.(?:{_WORDS}{{22}}\.{_WORDS}{{43,}}+|{_WORDS}{{4,22}}+(?:\.{_WORDS}{{0,42}}+)?(?={CUT}))",
    ),
    SecretPattern(
        kind="twilio_key",
        literals=("SK",),
        candidate=SHORT,
        pattern=rf"{_NOT_AFTER}SK(?:[0-9a-f]{{32}}(?![A-Za-z0-9])|[0-9a-f]{{4,31}}+(?={CUT}))",
    ),
    SecretPattern(
        kind="twilio_key",
        literals=("wilio", "WILIO"),
        candidate="[Tt](?:wilio|WILIO)",
        pattern=rf"(?i:twilio[\w.\s-]{{0,24}}?(?:token|secret)){_IS}([A-Za-z0-9]{{32}}(?![A-Za-z0-9]))",
    ),
    SecretPattern(
        kind="jwt",
        literals=("eyJ",),
        candidate=rf"eyJ{_WORDS}{{8}}",
        # The last form takes what is none, so that a run is read from its beginning only.
        pattern=(
            rf"{_NOT_AFTER}(?:(eyJ{_WORDS}{{8,}}+(?:\.eyJ{_WORDS}{{4,}}+(?:\.{_WORDS}++)?"
            rf"|\.{_WORDS}*+\.{_WORDS}{{8,}}+(?:\.{_WORDS}++){{0,2}}|(?:\.{_WORDS}*+){{0,2}}(?={CUT})))|eyJ{_WORDS}{{8,}}+)"
        ),
    ),
    SecretPattern(
        kind="private_key",
        literals=("-----BEGIN",),
        candidate="-----BEGIN",
        # To its end; where that is missing, as far as the lines look like one.
        pattern=(
            rf"{_KEY_BEGIN}(?:(?:-(?!-)|[^-])++{_KEY_END}"
            r"|\s*+(?:[A-Za-z][A-Za-z-]{2,30}: [^\n]{0,200}\n\s*+){0,8}(?:[A-Za-z0-9+/=]{16,}+\s*+)*+[A-Za-z0-9+/=]*+)"
        ),
    ),
    SecretPattern(
        kind="private_key",
        literals=("-----END",),
        candidate="-----END",
        pattern=rf"\A{CUT}[A-Za-z0-9+/=\s]*+{_KEY_END}",
    ),
    SecretPattern(
        kind="authorization",
        literals=("uthorization", "UTHORIZATION"),
        candidate="[Aa](?:uthorization|UTHORIZATION)",
        pattern=(
            rf"(?i:authorization){_IS}(?:(?i:basic|bearer|token|digest|apikey|negotiate)\s{{1,4}}{_NO_PROSE}"
            rf"|(?=[^\s\"']{{0,64}}\d))([^\s\"'\\,;<>()\[\]{{}}{CUT}]{{8,}}+)"
        ),
    ),
    SecretPattern(
        kind="authorization",
        literals=("earer ", "earer\t"),
        candidate=rf"[Bb]earer\s{{1,4}}{_BEARER}{{4}}",
        pattern=(rf"(?<![A-Za-z0-9])(?i:bearer)\s{{1,4}}{_NO_PROSE}({_BEARER}{{16,}}+=*+|{_BEARER}{{4,}}+(?={CUT}))"),
    ),
    SecretPattern(
        kind="authorization",
        literals=("pi-key", "pi-Key", "PI-Key"),
        candidate="[Aa](?:pi|PI)-[Kk]ey",
        pattern=rf"(?i:api-key){_IS}(?=[^\s\"']{{0,64}}\d)({_BEARER}{{16,}}+=*+)",
    ),
    SecretPattern(
        kind="url_credentials",
        literals=("://", r":\/", r":\\"),
        candidate=rf":(?:\\*/){{2}}[^\s/\"'<>@]*:[^\s/\"'<>]+[@{CUT}]",
        common=True,
        # Up to the last @ before the path; digits and then ? or # are a port.
        pattern=(
            rf"(?<=://)(?!\[REDACTED:)([^\s/\"'<>@:]{{0,256}}+:(?!\d{{1,5}}[?#])"
            rf"[^\s/\"'<>@]{{1,512}}(?:@[^\s/\"'<>@?#,;]{{1,512}}(?=@))*+(?=@|{CUT}))"
        ),
    ),
)
"""The formats; of two that match the same text, the earlier one names it."""

CONTEXT_KEY = re.compile(r"secret|authorization|twilio|api-key|\$head", re.IGNORECASE)
"""A name, of a key or an attribute, that says what its value is."""


def _any_of(*texts: str) -> str:
    return "|".join(dict.fromkeys(texts))


LITERALS = _any_of(
    *(re.escape(text) for pattern in PATTERNS if pattern.candidate != SHORT for text in pattern.literals), r"\\u00"
)
"""The first sieve. An escape may hide a literal, so `\\u00` is one too."""

COMMON = tuple(dict.fromkeys(pattern.candidate for pattern in PATTERNS if pattern.common))

_RARE = [pattern for pattern in PATTERNS if not pattern.common and pattern.candidate != SHORT]
RARE_LITERALS = _any_of(*(re.escape(text) for pattern in _RARE for text in pattern.literals), r"\\u00")
RARE = _any_of(*(pattern.candidate for pattern in _RARE), r"\\u00[2-7][0-9A-Fa-f]")
"""`\\u00` only where it stands for a printable character: control characters often are so."""
