"""Recognise a secret by the name beside it: `password`, `api_key`, `OPENAI_API_KEY=…`, `?token=…`.

A value of such a name needs no known format. Numbers, flags, placeholders and names of types are no secrets.
"""

from __future__ import annotations

import re

from llmops_sdk.config._secrets import CERTAIN_WORDS, QUALIFIED_WORDS

__all__ = ["CONTEXT_KEY", "NAMED", "NAME_CANDIDATES", "NAME_LITERALS", "named_secret"]

_SEPARATOR = "[_.-]?"
_QUALIFIED = (
    f"(?:{'|'.join(firsts)}){_SEPARATOR}{word}".replace(" ", _SEPARATOR) for word, firsts in QUALIFIED_WORDS.items()
)
# Names whose value is always a secret. "token" alone also names words and marks of a page.
_NAMES = f"(?:{'|'.join((*CERTAIN_WORDS, *_QUALIFIED))})"
_KEY = re.compile(rf"(?i:{_NAMES}(?:[_.-]?(?:value|\d{{1,2}}))?)\Z")
_TOKEN_KEY = re.compile(r"(?i:(?<![a-z])token|[a-z]Token)\Z")
CONTEXT_KEY = re.compile(rf"{_NAMES}|twilio|token\Z|\$head", re.IGNORECASE)
"""Matches keys and attribute names that help to recognise their value."""
_PLACEHOLDER = re.compile(
    r"(?i:\s*|\*+|x+|\.+|…|null|none|nil|true|false|str|string|text|bytes|object|array|number|integer|required|optional"
    r"|empty|unset|missing|redacted|hidden|masked|\$\w+|[$%]?\{.*|<.*>?|%\w+%?)\Z",
    re.DOTALL,
)
_LOOKS_LIKE_A_TOKEN = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z_-])[!-~]{8,}\Z")
_REPLACED = "[REDACTED:"


def named_secret(key: str, value: str) -> bool:
    """Tell whether the value of a key, an argument or an attribute is a secret because of its name.

    Args:
        key: The name. Only its end counts, as in `db.password` and `openaiApiKey`.
        value: The value, in which known formats are replaced already.

    Example:
        >>> from llmops_sdk.tracing.privacy._secret_names import named_secret
        >>> named_secret("db.password", "hunter2"), named_secret("password", "string"), named_secret("token", "Hello")
        (True, False, False)
    """
    if _REPLACED in value or _PLACEHOLDER.match(value):
        return False
    if _KEY.search(key) is not None:
        return True
    return _TOKEN_KEY.search(key) is not None and _LOOKS_LIKE_A_TOKEN.match(value) is not None


# Characters of a value that is not quoted, up to the end of a parameter or a word.
_VALUE = r"[^\s\"'&;,<>(){}\[\]$`\\…]"
_NOT_REPLACED = r"(?!\[REDACTED:)"
_QUOTED_KEY = rf"[\"'][\w.-]{{0,64}}?(?i:{_NAMES})[\"']"
NAMED: tuple[str, ...] = (
    # A query or a form: ?api_key=…, &access_token=…
    rf"(?<=[?&])(?i:[\w.-]{{0,32}}?{_NAMES}|sig|signature)={_NOT_REPLACED}({_VALUE}{{4,}}+)",
    rf"(?<=[?&])(?i:[\w.-]{{0,32}}?(?:token|key|auth))={_NOT_REPLACED}((?=[^\s&]{{0,64}}\d){_VALUE}{{12,}}+)",
    # A line of an environment or a shell: OPENAI_API_KEY=…, export DB_PASSWORD='…'. Fewer names: PWD and CREDENTIALS
    # hold paths there.
    (
        r"(?<![A-Za-z0-9_])[A-Z0-9_]{0,64}(?:API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|(?:ACCESS|SECRET|PRIVATE)_KEY)"
        rf"=[\"']?{_NOT_REPLACED}({_VALUE}{{6,}}+)"
    ),
    rf"(?<=--)(?i:[\w-]{{0,32}}?{_NAMES}|token)={_NOT_REPLACED}({_VALUE}{{4,}}+)",
    # A connection string: Server=db;Password=…;
    rf"(?<=;)\s{{0,2}}(?i:password|pwd)={_NOT_REPLACED}([^\s;\"'&]{{3,}}+)",
    # JSON or a dictionary inside a text: {{"password": "…"}}
    rf"{_QUOTED_KEY}\s{{0,4}}:\s{{0,4}}\"{_NOT_REPLACED}([^\"\\…\n]{{1,512}})\"",
    rf"{_QUOTED_KEY}\s{{0,4}}:\s{{0,4}}'{_NOT_REPLACED}([^'\\…\n]{{1,512}})'",
)
"""Regular expressions of assignments in a text; the group is the value."""

NAME_LITERALS: tuple[str, ...] = (
    *("assw", "ASSW", "assphrase", "asscode", "ecret", "ECRET", "apikey", "APIKEY", "_key", "_KEY", "-key", "-Key"),
    *("redential", "ookie", "_string", "-string", "nString", "uthorization", "UTHORIZATION", "OKEN"),
    # Words of prose and of code: ask for what comes between a name and its value.
    *(f"{name}{sign}" for name in ("oken", "Key", "pwd") for sign in ('"', "'", "\\", "=", "\n")),
    *("oken%", "PWD=", "&key=", "?key=", "&auth=", "?auth=", "sig=", "ature="),
)
"""One of these is in each text that `NAMED` or `named_secret` matches, the key before the value. None is short: a sieve
with two dozen more literals of three characters takes ten times as long."""

_ENDS = (
    "assword|ASSWORD|asswd|ASSWD|assphrase|ASSPHRASE|asscode|pwd|PWD|ecret|ECRET|apikey|APIKEY|[_.-]key|_KEY|Key"
    "|redentials?|ookie|[_.-]string|nString|uthorization|UTHORIZATION|oken|OKEN"
)
NAME_CANDIDATES: tuple[str, ...] = (
    rf"(?:{_ENDS})(?:[_.-]?(?:value|[0-9]{{1,2}}))?[\"'\\\]]{{0,9}}[ \t]{{0,4}}(?:[:=\n]|%3[ADad])",
    r"(?:[?&]|%3F|%26)(?:key|auth|sig|signature)(?:=|%3D)",
    r"ignature(?:=|%3D)",
)
"""The finer sieve, in Rust's syntax."""
