"""Define the secret formats: how each is recognised, and what `_sieves` asks for before the scan tries the patterns.

The patterns are linear: possessive quantifiers take a run of characters whole or not at all, a match begins only at
a fixed prefix, and lookaheads are bounded.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from itertools import zip_longest

from llmops_sdk.tracing.privacy._more_formats import MORE_FORMATS
from llmops_sdk.tracing.privacy._secret_names import NAME_CANDIDATES, NAME_LITERALS, NAMED

__all__ = ["COMMON", "CUT", "DOTTED", "NAMED_LABEL", "PATTERNS", "SHORT", "SecretPattern"]

CUT = "…"
"""The mark where the capture cut a text. The patterns also match the beginning of a secret right before it."""

SHORT = "SK[0-9a-f]{4}"
"""The candidate of a format that begins with two characters only."""

_WORD_CHAR = "[A-Za-z0-9_]"
_WORD_OR_HYPHEN = "[A-Za-z0-9_-]"
_NOT_AFTER_WORD = "(?<![A-Za-z0-9])"
# Between a name and its value, as in `key = "value"`, `'key': 'value'`, `key => value`, `("key", "value")`.
_ASSIGNED = r"[\"'\]]{0,2}\s{0,4}(?:=>|[:=,])\s{0,4}[\"'\[(]{0,3}"
# Words of prose after "Bearer" or "Authorization:", as in "bearer token-based".
_NOT_PROSE = r"(?![a-z/-]{1,31}(?![A-Za-z0-9._~+/=-]))"
# Not "task-force". An escape may come before: of JSON, C, bytes, or percent encoding.
_SK_CANDIDATE = (
    r"(?:^|[^A-Za-z0-9]|\\(?:[abefnrtv]|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[0-7]{1,3})"
    r"|%(?:25){0,3}[0-9A-Fa-f]{2})sk-[A-Za-z0-9_-]{4}"
)
# Or a terminal's colour. In one expression with the others it would make the engine read each byte.
_SK_AFTER_COLOUR = r"\[[0-9;?]{0,20}[A-Za-z]sk-[A-Za-z0-9_-]{4}"
# Not names in code, which have at most a number at their end.
_RANDOM = (
    # Each choice needs a capital; to look for one first takes a fraction of the time.
    rf"(?=[a-z0-9_-]{{0,129}}+[A-Z])"
    rf"(?=(?:{_WORD_OR_HYPHEN}{{0,40}}?[A-Z]){{3}}|{_WORD_OR_HYPHEN}{{0,64}}?[A-Z]{_WORD_OR_HYPHEN}{{0,64}}?\d"
    rf"|{_WORD_OR_HYPHEN}{{0,64}}?\d{_WORD_OR_HYPHEN}{{0,64}}?[A-Z])"
)
_HAS_DIGIT = r"(?=[A-Za-z0-9_-]{0,64}?\d)"
# Not hyphenated words such as a CSS class or a package name: they have neither digits nor capitals.
_MIXED = rf"(?={_WORD_OR_HYPHEN}{{0,64}}?(?:[A-Z0-9_]|[a-z]{{16}}))"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPattern:
    """One secret format.

    Attributes:
        label: Its name in replacements, in `losses` and in verdicts.
        literals: Each text that the pattern matches contains one of them.
        candidate: The regular expression of the finer sieve, in Rust's syntax.
        common: Whether the literals are common in ordinary text.
        pattern: The regular expression. If it has a group, the group is the secret, and a match without it is none.
    """

    label: str
    literals: tuple[str, ...]
    candidate: str
    pattern: str
    common: bool = False

    def compiled(self) -> re.Pattern[str]:
        """Compile the pattern at its first use: all two dozen at once would take ten milliseconds."""
        return _compiled(self.pattern)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the start and end of each secret of this format in the text.

        Example:
            >>> from llmops_sdk.tracing.privacy._secrets import PATTERNS
            >>> [(one.label, one.spans("key AKIA" + "A1" * 8)) for one in PATTERNS[:1]]
            [('aws_access_key', [(4, 24)])]
        """
        if not any(literal in text for literal in self.literals):
            return []
        compiled = self.compiled()
        group = 1 if compiled.groups else 0
        return [match.span(group) for match in compiled.finditer(text) if match.start(group) < match.end(group)]


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _token(
    label: str,
    prefix: str,
    least: int,
    *literals: str,
    body: str = _WORD_CHAR,
    check: str = "",
    tail: str = "",
) -> SecretPattern:
    """Define a format of a prefix and at least `least` characters, or fewer before a cut."""
    common = literals == ("sk-",)  # of the others, the candidate is their own beginning
    return SecretPattern(
        label=label,
        literals=literals,
        candidate=_SK_CANDIDATE if common else prefix + body + "{4}",
        pattern=f"{_NOT_AFTER_WORD}{prefix}(?:{check}{body}{{{least},}}+{tail}|{body}{{4,{least - 1}}}+(?={CUT}))",
        common=common,
    )


DOTTED = r"[A-Za-z0-9_-]{3}\.[A-Za-z0-9_-]{20}"
"""The candidate of keys in parts, which have no literal; what comes before the point is at least this long."""
# A part with a digit and with letters of both cases.
_RANDOM_PART = (
    rf"(?={_WORD_OR_HYPHEN}{{0,64}}?\d)(?={_WORD_OR_HYPHEN}{{0,64}}?[A-Z])(?={_WORD_OR_HYPHEN}{{0,64}}?[a-z])"
)
_ALONE = r"(?<![A-Za-z0-9+/_.\\-])"
_ENDS_ALONE = r"(?![A-Za-z0-9+/=_-]|\.[A-Za-z0-9])"
_KEY_BEGIN = "-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_KEY_END = "-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_AWS_NAME = r"(?i:aws[_.\s-]?secret(?:[_.\s-]?access)?(?:[_.\s-]?key)?|secret[_.\s-]?access[_.\s-]?key)"
_BEARER = r"[A-Za-z0-9._~+/-]"

PATTERNS: tuple[SecretPattern, ...] = (
    SecretPattern(
        label="aws_access_key",
        literals=("AKIA", "ASIA"),
        candidate="A(?:K|S)IA[A-Z0-9]{4}",
        pattern=rf"{_NOT_AFTER_WORD}A[KS]IA(?:[A-Z0-9]{{16}}(?![A-Za-z0-9])|[A-Z0-9]{{4,15}}+(?={CUT}))",
    ),
    SecretPattern(
        label="aws_secret_key",
        literals=("ecret", "ECRET"),
        candidate=r"[Aa][Ww][Ss].?[Ss](?:ecret|ECRET)|[Ss](?:ecret|ECRET).?[Aa](?:ccess|CCESS)",
        pattern=rf"{_AWS_NAME}{_ASSIGNED}([A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+])=?|[A-Za-z0-9/+]{{4,39}}+(?={CUT}))",
    ),
    _token("github_token", "gh[oprsu]_", 36, "gho_", "ghp_", "ghr_", "ghs_", "ghu_"),
    _token("github_token", "github_pat_", 22, "github_pat_"),
    _token(
        "gitlab_token",
        "gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent|oas|ffct)-",
        20,
        *(
            "glpat-",
            "glptt-",
            "gldt-",
            "glrt-",
            "glcbt-",
            "glft-",
            "glsoat-",
            "glimt-",
            "glagent-",
            "gloas-",
            "glffct-",
        ),
        body=_WORD_OR_HYPHEN,
        tail=r"(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?",
    ),
    _token(
        "slack_token",
        r"(?:xoxe\.)?xox[abcdeprs]-",
        10,
        "xox",
        body="[A-Za-z0-9%+/-]",
        check=r"(?=[A-Za-z0-9%+/-]{0,24}\d)",
        tail="=*+",
    ),
    _token("slack_token", "xapp-", 20, "xapp-", body="[A-Za-z0-9-]", check=r"(?=[A-Za-z0-9-]{0,24}\d)"),
    SecretPattern(
        label="slack_webhook",
        literals=("hooks.slack",),
        candidate=r"hooks\.slack\.com",
        pattern=rf"hooks\.slack\.com/[a-z]{{1,16}}/([A-Za-z0-9/_+-]{{20,}}+|[A-Za-z0-9/_+-]{{4,19}}+(?={CUT}))",
    ),
    _token("anthropic_key", "sk-ant-", 20, "sk-", body=_WORD_OR_HYPHEN, check=_MIXED),
    _token("openai_key", "sk-(?:proj|svcacct|admin|None|or-v1)-", 20, "sk-", body=_WORD_OR_HYPHEN, check=_MIXED),
    _token("langfuse_key", "sk-lf-", 32, "sk-", body="[0-9a-f-]"),
    _token("openai_key", "sk-", 32, "sk-", body="[A-Za-z0-9]"),
    _token("litellm_key", "sk-", 22, "sk-", body=_WORD_OR_HYPHEN, check=_RANDOM),
    _token("bedrock_key", "ABSK", 100, "ABSK", body="[A-Za-z0-9+/]", tail="=*+"),
    _token("langsmith_key", "lsv2_(?:pt|sk)_", 32, "lsv2_"),
    _token("pinecone_key", "pcsk_", 40, "pcsk_"),
    _token("perplexity_key", "pplx-", 40, "pplx-", body="[A-Za-z0-9]"),
    _token("replicate_token", "r8_", 36, "r8_", body="[A-Za-z0-9]"),
    _token("nvidia_key", "nvapi-", 40, "nvapi-", body=_WORD_OR_HYPHEN),
    _token("tavily_key", "tvly-(?:dev-|prod-)?", 20, "tvly-", body=_WORD_OR_HYPHEN, check=_HAS_DIGIT),
    _token("fireworks_key", "fw_", 20, "fw_", body="[A-Za-z0-9]", check=_HAS_DIGIT),
    _token("cerebras_key", "csk-", 40, "csk-", body="[A-Za-z0-9]"),
    _token("voyage_key", "pa-", 40, "pa-", body=_WORD_OR_HYPHEN, check=_RANDOM),
    _token("databricks_token", "dapi", 32, "dapi", body="[0-9a-f]", tail=r"(?:-\d)?"),
    _token("vault_token", r"hv[sb]\.", 24, "hvs.", "hvb.", body=_WORD_OR_HYPHEN),
    _token("docker_token", "dckr_[op]at_", 27, "dckr_", body=_WORD_OR_HYPHEN),
    _token("digitalocean_token", "do[opr]_v1_", 64, "_v1_", body="[0-9a-f]"),
    _token("grafana_token", "glsa_", 32, "glsa_"),
    _token("grafana_token", "glc_", 32, "glc_", body="[A-Za-z0-9+/]", tail="=*+"),
    _token("sentry_token", "sntry[su]_", 40, "sntry", body="[A-Za-z0-9+/_-]", tail="=*+"),
    _token("postman_key", "PMAK-", 40, "PMAK-", body="[0-9a-f-]"),
    _token("linear_key", "lin_(?:api|oauth)_", 32, "lin_"),
    _token("notion_token", "ntn_", 40, "ntn_", body="[A-Za-z0-9]"),
    _token("notion_token", "secret_", 43, "secret_", body="[A-Za-z0-9]"),
    _token("supabase_key", "sbp_", 40, "sbp_", body="[0-9a-f]"),
    _token("supabase_key", "sb_secret_", 20, "sb_secret_", body=_WORD_OR_HYPHEN),
    SecretPattern(
        label="azure_key",
        literals=("countKey=", "cessKey="),
        candidate="(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{4}",
        pattern=rf"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{{40,}}+=*+|[A-Za-z0-9+/]{{4,}}+(?={CUT}))",
    ),
    SecretPattern(
        label="url_signature",
        literals=("sig=", "ignature=", "ecurity-Token="),
        candidate="(?:sig|-Signature|-Security-Token)(?:=|%3D)[A-Za-z0-9%+/_-]{4}",
        pattern=(
            rf"(?:(?<=[?&;])sig|X-(?:Amz|Goog)-(?:Signature|Security-Token))="
            rf"([A-Za-z0-9%+/=_-]{{20,}}+|[A-Za-z0-9%+/=_-]{{4,}}+(?={CUT}))"
        ),
    ),
    _token("groq_key", "gsk_", 40, "gsk_"),
    _token("xai_key", "xai-", 60, "xai-"),
    _token("google_api_key", "AIza", 35, "AIza", body=_WORD_OR_HYPHEN),
    _token("google_oauth", "GOCSPX-", 24, "GOCSPX-", body=_WORD_OR_HYPHEN),
    _token("google_oauth", r"ya29\.", 20, "ya29.", body=_WORD_OR_HYPHEN),
    _token("stripe_key", "[rs]k_live_", 16, "k_live_"),
    _token("stripe_key", "whsec_", 24, "whsec_", body="[A-Za-z0-9+/]"),
    _token("huggingface_token", "hf_", 34, "hf_"),
    _token("npm_token", "npm_", 36, "npm_"),
    _token("pypi_token", "pypi-AgE", 32, "pypi-", body=_WORD_OR_HYPHEN),
    SecretPattern(
        label="sendgrid_key",
        literals=("SG.",),
        candidate=rf"SG\.{_WORD_OR_HYPHEN}{{4}}",
        pattern=rf"{_NOT_AFTER_WORD}SG\.(?:{_WORD_OR_HYPHEN}{{22}}\.{_WORD_OR_HYPHEN}{{43,}}+|{_WORD_OR_HYPHEN}{{4,22}}+(?:\.{_WORD_OR_HYPHEN}{{0,42}}+)?(?={CUT}))",
    ),
    SecretPattern(
        label="twilio_key",
        literals=("SK",),
        candidate=SHORT,
        pattern=rf"{_NOT_AFTER_WORD}SK(?:[0-9a-f]{{32}}(?![A-Za-z0-9])|[0-9a-f]{{4,31}}+(?={CUT}))",
    ),
    SecretPattern(
        label="twilio_key",
        literals=("wilio", "WILIO"),
        candidate="[Tt](?:wilio|WILIO)",
        pattern=rf"(?i:twilio[\w.\s-]{{0,24}}?(?:token|secret)){_ASSIGNED}([A-Za-z0-9]{{32}}(?![A-Za-z0-9]))",
    ),
    SecretPattern(
        label="jwt",
        literals=("eyJ",),
        candidate=rf"eyJ{_WORD_OR_HYPHEN}{{8}}",
        # The last alternative consumes other runs, so that the search does not start again inside them.
        pattern=(
            rf"{_NOT_AFTER_WORD}(?:(eyJ{_WORD_OR_HYPHEN}{{8,}}+(?:\.eyJ{_WORD_OR_HYPHEN}{{4,}}+(?:\.{_WORD_OR_HYPHEN}++)?"
            rf"|\.{_WORD_OR_HYPHEN}*+\.{_WORD_OR_HYPHEN}{{8,}}+(?:\.{_WORD_OR_HYPHEN}++){{0,2}}|(?:\.{_WORD_OR_HYPHEN}*+){{0,2}}(?={CUT})))|eyJ{_WORD_OR_HYPHEN}{{8,}}+)"
        ),
    ),
    SecretPattern(
        label="private_key",
        literals=("-----BEGIN",),
        candidate="-----BEGIN",
        # Up to the END line; without one, as far as the lines look like a key.
        pattern=(
            rf"{_KEY_BEGIN}(?:(?:-(?!-)|[^-])++{_KEY_END}"
            r"|\s*+(?:[A-Za-z][A-Za-z-]{2,30}: [^\n]{0,200}\n\s*+){0,8}(?:[A-Za-z0-9+/=]{16,}+\s*+)*+[A-Za-z0-9+/=]*+)"
        ),
    ),
    SecretPattern(
        label="private_key",
        literals=("-----END",),
        candidate="-----END",
        pattern=rf"\A{CUT}[A-Za-z0-9+/=\s]*+{_KEY_END}",
    ),
    SecretPattern(
        label="authorization",
        literals=("uthorization", "UTHORIZATION"),
        candidate="[Aa](?:uthorization|UTHORIZATION)",
        pattern=(
            rf"(?i:authorization){_ASSIGNED}(?:(?i:basic|bearer|token|digest|apikey|negotiate)\s{{1,4}}{_NOT_PROSE}"
            rf"|(?=[^\s\"']{{0,64}}\d))([^\s\"'\\,;<>()\[\]{{}}{CUT}]{{8,}}+)"
        ),
    ),
    SecretPattern(
        label="authorization",
        literals=("earer ", "earer\t", "earer%20"),
        candidate=rf"[Bb]earer(?:\s|%20){{1,4}}{_BEARER}{{4}}",
        pattern=(rf"(?<![A-Za-z0-9])(?i:bearer)\s{{1,4}}{_NOT_PROSE}({_BEARER}{{16,}}+=*+|{_BEARER}{{4,}}+(?={CUT}))"),
    ),
    SecretPattern(
        label="authorization",
        literals=("asic ", "asic\t", "asic%20"),
        candidate=r"[Bb]asic(?:\s|%20){1,4}[A-Za-z0-9+/]{4}",
        # Base64 of user:password: digits, capitals and small letters, in groups of four.
        pattern=(
            r"(?<![A-Za-z0-9])[Bb]asic\s{1,4}(?=[A-Za-z+/]{0,64}\d)(?=[A-Za-z0-9+/]{0,64}[A-Z])(?=[A-Za-z0-9+/]{0,64}[a-z])"
            r"((?:[A-Za-z0-9+/]{4}){3,}+[A-Za-z0-9+/]{0,3}+=*+(?![A-Za-z0-9]))"
        ),
    ),
    SecretPattern(
        label="authorization",
        literals=("pi-key", "pi-Key", "PI-Key"),
        candidate="[Aa](?:pi|PI)-[Kk]ey",
        pattern=rf"(?i:api-key){_ASSIGNED}(?=[^\s\"']{{0,64}}\d)({_BEARER}{{16,}}+=*+)",
    ),
    *(_token(one.label, one.prefix, one.least, *one.literals, body=one.body) for one in MORE_FORMATS),
    SecretPattern(
        label="telegram_token",
        literals=(":AA",),
        candidate="[0-9]{4}:AA[A-Za-z0-9_-]{4}",
        # Alone, or as in https://api.telegram.org/bot….
        pattern=rf"(?:(?<=bot)|{_NOT_AFTER_WORD})[0-9]{{8,10}}:AA(?:{_WORD_OR_HYPHEN}{{32,}}+|{_WORD_OR_HYPHEN}{{4,31}}+(?={CUT}))",
    ),
    SecretPattern(
        label="azure_secret",
        literals=("Q~",),
        candidate=r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{4}",
        pattern=r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,}+",
    ),
    SecretPattern(
        label="terraform_token",
        literals=(".atlasv1.",),
        candidate=r"[A-Za-z0-9]\.atlasv1\.",
        pattern=rf"{_NOT_AFTER_WORD}[A-Za-z0-9]{{14}}\.atlasv1\.[A-Za-z0-9_=-]{{40,}}+",
    ),
    SecretPattern(
        label="dotted_key",
        literals=(".",),
        candidate=DOTTED,
        # A name or a short prefix and random letters, and then long random parts. A digest in the name of a file has an
        # ending, and a domain or a path in code is not random.
        pattern=(
            rf"{_ALONE}(?:[a-z][A-Za-z0-9_]{{2,23}}+(?:\.{_RANDOM_PART}{_WORD_OR_HYPHEN}{{20,}}+){{2,3}}+"
            rf"|[a-z]{{2,5}}(?=[A-Za-z0-9]{{0,24}}\d)(?=[A-Za-z0-9]{{0,24}}[A-Z])[A-Za-z0-9]{{12,24}}\.{_WORD_OR_HYPHEN}{{40,}}+)"
            rf"{_ENDS_ALONE}"
        ),
    ),
    *(
        SecretPattern(
            label=label,
            literals=(host.replace("\\", ""),),
            candidate=host,
            # A slash may be escaped, so it is in the pattern only.
            pattern=rf"{host}/{path}([A-Za-z0-9@/_-]{{60,}}+|[A-Za-z0-9@/_-]{{4,59}}+(?={CUT}))",
        )
        for label, host, path in (
            ("discord_webhook", r"discord\.com", r"api/webhooks/\d{17,20}/"),
            ("discord_webhook", r"discordapp\.com", r"api/webhooks/\d{17,20}/"),
            ("teams_webhook", r"webhook\.office\.com", "webhookb2/"),
        )
    ),
    SecretPattern(
        label="url_credentials",
        literals=("://", r":\/", r":\\"),
        candidate=rf":(?:\\*/){{2}}[^\s/\"'<>@]*:[^\s/\"'<>]+[@{CUT}]",
        common=True,
        # Up to the last @ before the path. Digits and then ? or # are a port.
        pattern=(
            rf"(?<=://)(?!\[REDACTED:)([^\s/\"'<>@:]{{0,256}}+:(?!\d{{1,5}}[?#])"
            rf"[^\s/\"'<>@]{{1,512}}(?:@[^\s/\"'<>@?#,;]{{1,512}}(?=@))*+(?=@|{CUT}))"
        ),
    ),
    *(
        SecretPattern(label="named_secret", literals=NAME_LITERALS, candidate=candidate, pattern=pattern)
        for pattern, candidate in zip_longest(NAMED, NAME_CANDIDATES, fillvalue=NAME_CANDIDATES[0])
    ),
)
"""All formats. If two match the same text, the earlier one names it."""

NAMED_LABEL = "named_secret"
"""The label of a value that is a secret because of its name."""

COMMON = (*dict.fromkeys(pattern.candidate for pattern in PATTERNS if pattern.common), _SK_AFTER_COLOUR)
"""The candidates of the formats whose literals are common in ordinary text."""
