"""Find the addresses, hosts, codes and words of a text, in the form in which two texts are compared."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmops_sdk.guardrails.detectors.links._url_scan import scan
from llmops_sdk.guardrails.detectors.links._urls import Host, host_of

__all__ = [
    "addresses_in",
    "bare_hosts_in",
    "codes_in",
    "hosts_in",
    "is_file_name",
    "names_in",
    "plain_host",
    "words_of",
]

# Scripts without spaces: each character counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(r"[^\W_]+")
_WORD_OR_CHARACTER = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

# An "@" inside of something: not the one of "@ada", "/@types" or "<@U12>".
_AT = re.compile(r"(?<=[^\s(\[{<,;:/|@])@(?=\S)")
_LOCAL = re.compile(r"(?<![\w.+%'=-])[\w.+%'=-]{1,64}+\Z")
_DOMAIN = re.compile(r"\[?[\w.:-]{1,253}+")
# Not behind "@" or "/": those are parts of addresses and of paths.
_BARE_HOST = re.compile(
    r"(?<![\w.@/-])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}|localhost)(?![\w-])(?!\.\w)"
)
# A whole value that a program may take for a host: with a port or a path, or alone.
_HOST_VALUE = re.compile(
    r"(?:(?:[\w-]{1,63}\.){1,8}([A-Za-z]{2,24})|\d{1,3}(?:\.\d{1,3}){3}|localhost)\.?(?::\d{1,5})?(?:[/?#].*)?",
    re.DOTALL,
)
_SCHEME = re.compile(
    r"(?i)(?:https?|ftp|wss?|file|javascript|vbscript|data|blob|view-source):|[a-z][a-z0-9+.-]{1,30}:[/\\]"
)
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
_NO_HOST = Host("", "", "", is_plain=False)
_ITEMS = re.compile(r"[\s,;]+")
# Suffixes of files that are no top-level domains, and some that are.
_FILE_SUFFIXES = frozenset({
    "bmp", "csv", "doc", "docx", "gif", "gz", "htm", "html", "jpeg", "jpg", "js", "json", "log", "odt", "pdf", "png",
    "ppt", "pptx", "svg", "tar", "toml", "ts", "txt", "xls", "xlsx", "xml", "yaml", "yml",
})  # fmt: skip
_FILES_OR_HOSTS = frozenset({"cc", "md", "mov", "pl", "ps", "py", "rs", "sh", "zip"})
_SHORTEST_CODE, _SHORTEST_RUN, _LONG_WORD = 6, 8, 16
_LONGEST_CODE = 256


def words_of(text: str) -> list[str]:
    """Return the words of a text without case, in order.

    Example:
        >>> from llmops_sdk.guardrails.taint._identifiers import words_of
        >>> words_of("Ada_L@Example.org, 東京")
        ['ada', 'l', 'example', 'org', '東', '京']
    """
    text = text.casefold()
    return (_WORD if text.isascii() else _WORD_OR_CHARACTER).findall(text)


def addresses_in(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the e-mail addresses of a text without case, each with its place. More than one "@" in a row counts too."""
    for match in _AT.finditer(text):
        at = match.start()
        before = text[max(0, at - 65, text.rfind("@", max(0, at - 65), at) + 1) : at]
        local = _LOCAL.search(before)
        domain = _DOMAIN.match(text, at + 1)
        # An unusual local part or domain, as in '"a b"@(c)d.example', must not hide an address.
        user = local[0] if local else before
        name = domain[0].lstrip("[").strip(".-_:") if domain else ""
        if text[at - 1] in "\"'" and "." not in name:
            continue  # as in '@types/node'
        yield f"{user}@{name}".casefold(), at - len(user), domain.end() if domain else at + 1


def hosts_in(text: str) -> Iterator[tuple[Host, int, int]]:
    """Yield the hosts to which the URLs and e-mail addresses of a text lead, each with its place.

    A text that consists of hosts alone, as in "example.org/start", counts as URLs.
    """
    for place in scan(text).places:
        if place.url and (host := host_of(place.url)) is not None:
            yield host._replace(is_plain=host.is_plain and not place.is_odd), place.start, place.end
    for address, start, end in addresses_in(text):
        host = host_of(f"mailto:{address}") or _NO_HOST
        # In "a@good.example@evil.example", programs disagree about the host.
        has_two = text[start - 1 : start] == "@" or text[end : end + 1] == "@"
        yield host._replace(is_plain=host.is_plain and not has_two), start, end
    if len(text) <= 4096:
        yield from _hosts_alone(text)


def names_in(text: str) -> set[str]:
    """Return the addresses of a text, and its hosts with and without a scheme: without case and "www."."""
    names = {address for address, _, _ in addresses_in(text)}
    urls = {place.url for place in scan(text).places if place.url}
    urls |= {f"mailto:a@{host}" for host in {name.rpartition("@")[2] for name in names}}
    hosts = {host.name for url in urls if (host := host_of(url)) is not None} | set(bare_hosts_in(text))
    return names | {plain_host(host) for host in hosts}


def is_file_name(text: str) -> bool:
    """Return whether a text is rather the name of a file than a host, as in "notes.md"."""
    return text.count(".") == 1 and text.rpartition(".")[2].lower() in _FILES_OR_HOSTS


def plain_host(name: str) -> str:
    """Return a host's name without "www."."""
    return name.removeprefix("www.")


def _hosts_alone(text: str) -> Iterator[tuple[Host, int, int]]:
    written = text.strip().translate(_DOTS)
    if _SCHEME.match(written):
        # Such as "https:evil.example", and "file:///etc/passwd", which has no host that a list could allow.
        yield host_of(written) or _NO_HOST, 0, len(text)
        return
    items = [item for item in _ITEMS.split(written) if item]
    for item in items if all(map(_may_be_host, items)) else ():
        host = host_of(item if item[:1] in {"/", "\\"} else f"//{item}")
        yield host or _NO_HOST, 0, len(text)


def _may_be_host(item: str) -> bool:
    if item[:1] in {"/", "\\"}:
        return item[1:2] in {"/", "\\"}
    match = _HOST_VALUE.fullmatch(item)
    return match is not None and (match[1] or "").lower() not in _FILE_SUFFIXES


def bare_hosts_in(text: str) -> Iterator[str]:
    """Yield what looks like a host without a scheme, in lower case: also names of files."""
    for match in _BARE_HOST.finditer(text):
        yield match[0].lower()


def codes_in(words: list[str]) -> Iterator[str]:
    """Yield account numbers and the like: words with a digit, runs of such words, and long words.

    Example:
        >>> from llmops_sdk.guardrails.taint._identifiers import codes_in, words_of
        >>> list(codes_in(words_of("to DE89 3704 0044 now")))
        ['de8937040044']
    """
    run: list[str] = []
    for word in [*words, ""]:
        if any(map(str.isdigit, word)):
            run.append(word)
            if len(word) >= _SHORTEST_CODE:
                yield word[:_LONGEST_CODE]
            continue
        joined = "".join(run)
        if len(run) > 1 and _SHORTEST_RUN <= len(joined) <= _LONGEST_CODE:
            yield joined
        run = []
        if len(word) >= _LONG_WORD:
            yield word[:_LONGEST_CODE]
