"""Read a URL as the most lenient browser would: its host, and how much a path, a query or a subdomain can carry."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from llmops_sdk.errors import ConfigError

__all__ = ["MAX_URL", "Host", "ascii_domains", "bits_in", "host_of", "is_allowed", "registrable"]

MAX_URL = 2048
"""A URL that is longer counts as a payload, whatever is in it."""

_SPECIAL = frozenset({"", "http", "https", "ftp", "ws", "wss"})
_HEAD = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.\-]{0,30}):)?([\\/]*+)")
_IGNORED = re.compile(r"[\t\r\n\u00ad\u034f\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+")
_CONTROLS = "".join(map(chr, range(33)))
_END_OF_AUTHORITY = re.compile(r"[/\\?#]")
_PLAIN_HOST = re.compile(r"[\w.-]++(?::[0-9]*+)?|\[[0-9A-Fa-f:.]++\](?::[0-9]*+)?")
_PORT = re.compile(r":[0-9]*\Z")
# The labels that stand before a country's code, as in co.uk.
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"})

_BREAKS = re.compile(r"[^A-Za-z0-9]+")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_NEEDLESS = re.compile(r"%(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])")
_NO_VOWELS = re.compile(r"(?i)[bcdfghjklmnpqrstvwxz]{5}")
# The words of CamelCase and numbers: what is encoded has many short ones.
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_VALUE = re.compile(r"[=&#?;]")


class Host(NamedTuple):
    """The host of a URL.

    Attributes:
        name: The name, in lower case, with punycode.
        rest: What stands behind the host.
        user: What stands before the "@".
        is_plain: Whether every program reads the same host. False for backslashes, escapes and their like.
    """

    name: str
    rest: str
    user: str
    is_plain: bool


def host_of(url: str) -> Host | None:
    r"""Return the host to which a URL leads, or None for a relative one and for schemes without hosts.

    Example:
        >>> from llmops_sdk.guardrails.detectors.links._urls import host_of
        >>> host_of("HTTPS:\\\\\\\\good.example@evil.example/x").name
        'evil.example'
    """
    written = url[: 2 * MAX_URL].strip(_CONTROLS)
    clean = _IGNORED.sub("", written)
    head = _HEAD.match(clean)
    assert head is not None
    scheme, slashes = (head[1] or "").lower(), head[2]
    if scheme == "mailto":
        address, _, rest = clean[head.end() :].partition("?")
        user, _, name = address.rpartition("@")
        return Host(_ascii(name), rest, "", is_plain=bool(user)) if name else None
    if scheme not in _SPECIAL or not scheme:
        if len(slashes) < 2:
            return None
    elif not slashes and not head[1]:
        return None
    begin = head.end()
    end = _END_OF_AUTHORITY.search(clean, begin)
    authority = clean[begin : end.start() if end else len(clean)]
    user, _, host = authority.rpartition("@")
    is_plain = (
        "\\" not in slashes
        and (end is None or end[0] != "\\")
        and "@" not in user
        and _PLAIN_HOST.fullmatch(host) is not None
        and unicodedata.normalize("NFKC", host) == host
        and written.startswith(clean[: begin + len(authority) + 1])
    )
    name = _ascii(_PORT.sub("", unquote(host)))
    return Host(name, clean[end.start() :] if end else "", user, is_plain) if name else None


def _ascii(host: str) -> str:
    """Return a host in lower case, with punycode for labels in other scripts."""
    host = unicodedata.normalize("NFKC", host).lower().replace("\u3002", ".").strip(".")
    if host.isascii():
        return host
    # Python's codec "idna" writes another host than browsers do for some letters, so it must not decide.
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode", "replace").decode("ascii", "replace")
        for label in host[:500].encode("utf-8", "replace").decode().split(".")
    )


def ascii_domains(domains: Iterable[str]) -> frozenset[str]:
    """Return an allow-list as `is_allowed` wants it.

    Raises:
        ConfigError: An item is not a domain.
    """
    if isinstance(domains, str):
        raise ConfigError(f"allow_domains must be a list, as in [{domains!r}], not a bare string", value=domains)
    result: set[str] = set()
    for domain in domains:
        name = domain.removeprefix("*.").strip(".") if isinstance(domain, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
        if not re.fullmatch(r"[\w-]+(?:\.[\w-]+)*", name):
            raise ConfigError(f'{domain!r} is not a domain: write it as in "example.org"', value=domain)
        result.add(_ascii(name))
    return frozenset(result)


def is_allowed(host: Host, domains: frozenset[str]) -> bool:
    """Return whether a host is one of the domains or below one."""
    if not domains or not host.is_plain:
        return False
    name = host.name
    while name not in domains:
        _, dot, name = name.partition(".")
        if not dot:
            return False
    return True


def registrable(name: str) -> str:
    """Return the part of a host that its owner registered, by a rule of thumb: `a.b.example.co.uk` → `example.co.uk`.

    It takes no public list; below a shared host, such as a bucket's, it joins what belongs to several owners.
    """
    labels = name.split(".")
    is_long = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3 if is_long else -2 :])


def bits_in(host: Host) -> int:
    """Return how many bits of hidden data a URL may carry; words, dates and short numbers count as none."""
    below = host.name.removesuffix(registrable(host.name))
    bits = _encoded_bits(below.replace("xn--", "")) + _encoded_bits(host.user)
    if not host.rest:
        return bits
    rest = host.rest
    needless = len(_NEEDLESS.findall(rest))
    if needless >= 4:
        bits += 8 * needless
        rest = _NEEDLESS.sub("", rest)
    path, *values = _VALUE.split(rest)
    bits += _encoded_bits(path)
    for value in values:
        text = unquote(value.replace("+", " "))
        if len(text) >= 32 and text.count(" ") >= 3:
            bits += 3 * len(text)
        else:
            bits += _encoded_bits(text)
    return bits


def _encoded_bits(text: str) -> int:
    if len(text) < 6:
        return 0
    return sum(_run_bits(run) for run in _BREAKS.split(text) if len(run) >= 6)


def _run_bits(run: str) -> int:
    """Return the bits in a run of letters and digits, or 0 if it looks like a word or a number."""
    size = len(run)
    if run.isdecimal():
        return int(3.3 * size) if size > 10 else 0
    has_digits = any(character.isdecimal() for character in run[:64])
    if _HEX.fullmatch(run) and size >= 8 and (has_digits or size >= 16):
        return 4 * size
    if run.isalpha() and (run.islower() or run.isupper() or run.istitle()):
        return int(4.7 * size) if size >= 32 or (size >= 12 and _NO_VOWELS.search(run)) else 0
    parts = len(_PARTS.findall(run))
    if size >= 8 and parts >= 3 and parts * 2.7 > size:
        return 6 * size
    is_random = (size >= 12 and _NO_VOWELS.search(run)) or (size >= 24 and parts >= 4 and parts * 5 > size)
    return 5 * size if is_random else 0
